"""Who it is, by name and password: every guess is counted before it is judged."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func
from sqlmodel import col, select

from backend_hub.auth.devices import device_of
from backend_hub.auth.models import TokenFamily
from backend_hub.auth.passwords import verify_password
from backend_hub.auth.security_log import note_sign_in, recent_sign_ins
from backend_hub.auth.service import Grant, InvalidGrant, granted_scopes, new_grant
from backend_hub.auth.throttling import (
    SIGN_IN,
    SIGN_IN_ADDRESS,
    SIGN_IN_KNOWN,
    Try,
    reserve,
    succeed,
)
from backend_hub.db import AsyncSession, Database, new_id, utcnow
from backend_hub.events.service import record
from backend_hub.http.callers import Caller
from backend_hub.http.rate_limits import network_of
from backend_hub.settings import Settings
from backend_hub.users.models import User


@dataclass(frozen=True, slots=True)
class Guess:
    """A name and a password, and where they come from."""

    username: str
    password: str
    caller: Caller
    device: str = ""
    """The browser's device cookie (devices.py)."""

    @property
    def name(self) -> str:
        return self.username.strip().lower()


async def authenticate(
    database: Database, session: AsyncSession, settings: Settings, guess: Guess
) -> User:
    """Check name (or verified address) and password; raises InvalidGrant, and TooManyTries.

    Whether there is such an account changes neither the statements nor the hashing. `session` is
    used after all that, so that no request waits for a second connection while it holds one.
    """
    async with database.transaction() as counting:
        user = await _find(counting, guess.name)
        place, network = await _tries(counting, settings, user, guess)
        await reserve(counting, place, *network)
    known_hash = user.password_hash if user else None
    verified, renewed = await verify_password(guess.password, known_hash)
    if user is not None and verified and user.disabled_at is None:
        user = await session.get(User, user.id, with_for_update={"key_share": True})
    if user is None or not verified or user.disabled_at or user.password_hash != known_hash:
        raise InvalidGrant("The name or the password is wrong")
    if renewed:
        user.password_hash = renewed
    await succeed(session, place, *network)
    return user


async def begin_grant(
    session: AsyncSession, settings: Settings, user: User, wanted: list[str], caller: Caller
) -> Grant:
    """A sign-in of the hub's own clients, by whoever has proved to be this person."""
    family = TokenFamily(
        user_id=user.id,
        scope=" ".join(sorted(granted_scopes(user.role, wanted))),
        address=caller.address,
        user_agent=caller.user_agent,
        expires_at=utcnow() + timedelta(seconds=settings.refresh_token_ttl),
    )
    session.add(family)
    await session.flush()
    await note_sign_in(session, user.id, caller)
    record(session, "user.signed_in", actor_id=user.id, subject_id=user.id, private=True)
    return new_grant(session, family, user.role, parent=None)


async def _find(session: AsyncSession, name: str) -> User | None:
    found = select(User).where(
        (func.lower(User.username) == name)
        | ((func.lower(User.email) == name) & col(User.email_verified_at).is_not(None))
    )
    return (await session.exec(found)).first()


async def _tries(
    session: AsyncSession, settings: Settings, user: User | None, guess: Guess
) -> tuple[Try, list[Try]]:
    """What the guess counts against: a place that the account knows counts by itself.

    Elsewhere it is the name as it was typed: if a name and an address counted together, that
    would tell whose address it is.
    """
    user_id = user.id if user else new_id()
    network = network_of(guess.caller.address)
    networks = {seen for seen, _ in await recent_sign_ins(session, user_id)}
    if device := device_of(settings, user_id, guess.device):
        return Try(SIGN_IN_KNOWN, f"{user_id} {device}"), []
    if network in networks:
        place = Try(SIGN_IN_KNOWN, f"{user_id} {network}")
    else:
        place = Try(SIGN_IN, guess.name)
    return place, [Try(SIGN_IN_ADDRESS, network)]
