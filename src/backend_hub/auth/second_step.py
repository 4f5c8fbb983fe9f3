"""Between the first factor and the session: a sign-in that waits for the second one."""

import secrets
from datetime import timedelta

from sqlalchemy import delete
from sqlmodel import col, select

from backend_hub.auth.models import PendingSignIn
from backend_hub.auth.password_sign_in import Guess, authenticate, begin_grant
from backend_hub.auth.second_factors import SecondFactorNeeded, check_code, has_second_factor
from backend_hub.auth.service import Grant, hash_token
from backend_hub.db import AsyncSession, Database, utcnow
from backend_hub.errors import HubError, Unauthorized
from backend_hub.http.callers import Caller
from backend_hub.settings import Settings
from backend_hub.users.models import User

LIVES = timedelta(minutes=10)
ATTEMPTS = 5
LONGEST_TARGET = 4_000


class StartOver(Unauthorized):
    code, title = "start_over", "Sign in from the beginning"


async def begin_second_step(session: AsyncSession, user: User, amr: str, target: str) -> str:
    """Keep what was proved so far; the value of its cookie."""
    token = secrets.token_urlsafe(32)
    session.add(
        PendingSignIn(
            token_hash=hash_token(token),
            user_id=user.id,
            amr=amr,
            target=target if len(target) <= LONGEST_TARGET else "/",
            expires_at=utcnow() + LIVES,
        )
    )
    await session.flush()
    return token


async def find_pending(session: AsyncSession, token: str) -> tuple[PendingSignIn, User] | None:
    """The sign-in that waits, locked, and whose it is."""
    found = (
        select(PendingSignIn, User)
        .join(User, col(User.id) == PendingSignIn.user_id)
        .where(
            PendingSignIn.token_hash == hash_token(token),
            PendingSignIn.expires_at > utcnow(),
            PendingSignIn.attempts < ATTEMPTS,
            col(User.disabled_at).is_(None),
        )
        .with_for_update(of=PendingSignIn)
    )
    return (await session.exec(found.execution_options(populate_existing=True))).first()


async def answer_with_code(
    session: AsyncSession,
    settings: Settings,
    pending: PendingSignIn,
    user: User,
    code: str,
    caller: Caller,
) -> HubError | None:
    """Try a code; the refusal is returned, so that the attempt counts."""
    pending.attempts += 1
    refusal = await check_code(session, settings, user, code, caller)
    if refusal is not None and pending.attempts >= ATTEMPTS:
        return StartOver("Too many wrong codes: sign in again")
    return refusal


async def sign_in_with_password(
    database: Database,
    session: AsyncSession,
    settings: Settings,
    guess: Guess,
    otp: str,
    wanted: list[str],
) -> Grant | HubError:
    """Begin a sign-in of the hub's own clients.

    Raises InvalidGrant, TooManyTries and SecondFactorNeeded; a wrong code is returned, not raised,
    so that it counts.
    """
    user = await authenticate(database, session, settings, guess)
    if await has_second_factor(session, user.id):
        if not otp.strip():
            raise SecondFactorNeeded("Send a code of your authenticator app, or a recovery code")
        refusal = await check_code(session, settings, user, otp, guess.caller)
        if refusal is not None:
            return refusal
    return await begin_grant(session, settings, user, wanted, guess.caller)


async def end_pending(session: AsyncSession, pending: PendingSignIn) -> None:
    await session.delete(pending)
    await session.flush()


async def purge_expired_pending(session: AsyncSession) -> None:
    await session.execute(delete(PendingSignIn).where(col(PendingSignIn.expires_at) < utcnow()))
