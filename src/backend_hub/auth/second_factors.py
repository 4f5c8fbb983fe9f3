"""Second factors: one-time codes of an authenticator app (RFC 6238) and recovery codes."""

import base64
import hmac
import math
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pyotp
from sqlalchemy import delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from backend_hub.auth.models import RecoveryCode, SecondFactor
from backend_hub.auth.secret_box import UnreadableSecret, seal, unseal
from backend_hub.auth.security_log import note
from backend_hub.auth.service import InvalidGrant, hash_token
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import Conflict, HubError, RateLimited
from backend_hub.http.callers import Caller
from backend_hub.settings import Settings
from backend_hub.users.models import User

PURPOSE = "totp"
WINDOW = 1
"""Time steps that the clocks may differ by."""
RECOVERY_CODES = 10
RECOVERY_BYTES = 10
"""80 random bits: a plain SHA-256 of them cannot be guessed back."""
FREE_FAILURES = 5
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
"""Three codes in a million are right at a time: 24 tries a day find one in forty years."""


class SecondFactorNeeded(InvalidGrant):
    """The password is right, and does not do alone."""

    code, title = "second_factor_needed", "A second factor is needed"


class WrongCode(InvalidGrant):
    code, title = "second_factor_refused", "The code is wrong"


class TooManyCodes(RateLimited):
    """Recovery codes and passkeys go on working, so that nobody is locked out by a guesser."""

    code, title = "too_many_codes", "Too many wrong codes"

    def __init__(self, wait: timedelta) -> None:
        seconds = max(1, math.ceil(wait.total_seconds()))
        super().__init__(
            f"Wait {math.ceil(seconds / 60)} min, or use a recovery code",
            headers={"Retry-After": str(seconds)},
        )


async def find_second_factor(session: AsyncSession, user_id: UUID) -> SecondFactor | None:
    return await session.get(SecondFactor, user_id)


async def has_second_factor(session: AsyncSession, user_id: UUID) -> bool:
    """Whether the password alone does not sign this person in."""
    factor = await find_second_factor(session, user_id)
    return factor is not None and is_on(factor)


def is_on(factor: SecondFactor) -> bool:
    return factor.totp_confirmed_at is not None or factor.passkeys_since is not None


async def lock_second_factor(session: AsyncSession, user_id: UUID) -> SecondFactor:
    """The person's row, made if need be, and nobody else's until the end of the transaction."""
    await session.execute(insert(SecondFactor).values(user_id=user_id).on_conflict_do_nothing())
    mine = select(SecondFactor).where(SecondFactor.user_id == user_id).with_for_update()
    return (await session.exec(mine.execution_options(populate_existing=True))).one()


async def begin_totp(session: AsyncSession, settings: Settings, user: User) -> None:
    """A new secret, which counts once a code of it was sent; raises Conflict beside another."""
    factor = await lock_second_factor(session, user.id)
    if factor.totp_confirmed_at is not None:
        raise Conflict("There is an authenticator app already: remove it first")
    factor.totp_secret = seal(settings, PURPOSE, str(user.id), pyotp.random_base32())


async def pending_secret(session: AsyncSession, settings: Settings, user: User) -> str | None:
    """The secret of an app that is being set up."""
    factor = await find_second_factor(session, user.id)
    if factor is None or factor.totp_confirmed_at is not None:
        return None
    return _secret(settings, factor)


def provisioning_uri(settings: Settings, user: User, secret: str) -> str:
    """What authenticator apps read from a QR code."""
    issuer = settings.name.replace(":", " ")  # a colon ends the issuer in an app's label
    return pyotp.TOTP(secret, name=user.username, issuer=issuer).provisioning_uri()


async def confirm_totp(
    session: AsyncSession, settings: Settings, user: User, code: str, caller: Caller
) -> bool:
    """Turn the app on with its first code; False for a wrong one."""
    factor = await lock_second_factor(session, user.id)
    if factor.totp_confirmed_at is not None:
        raise Conflict("There is an authenticator app already")
    if not _take_totp(settings, factor, _plain(code)):
        return False
    factor.totp_confirmed_at = utcnow()
    factor.failures, factor.wait_until = 0, None
    note(session, user.id, "totp_enabled", caller)
    return True


async def remove_totp(session: AsyncSession, user: User, caller: Caller) -> None:
    factor = await lock_second_factor(session, user.id)
    if factor.totp_confirmed_at is not None:
        note(session, user.id, "totp_disabled", caller)
    factor.totp_secret = factor.totp_confirmed_at = None
    await forget_codes_if_off(session, factor)


async def forget_codes_if_off(session: AsyncSession, factor: SecondFactor) -> None:
    """Recovery codes stand for a second factor: without one they are for nothing."""
    if not is_on(factor):
        await session.execute(
            delete(RecoveryCode).where(col(RecoveryCode.user_id) == factor.user_id)
        )


async def make_recovery_codes(session: AsyncSession, user: User, caller: Caller) -> list[str]:
    """New codes in place of all before them; raises Conflict without a second factor."""
    if not is_on(await lock_second_factor(session, user.id)):
        raise Conflict("Recovery codes need a second factor")
    await session.execute(delete(RecoveryCode).where(col(RecoveryCode.user_id) == user.id))
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    session.add_all(
        RecoveryCode(user_id=user.id, code_hash=hash_token(_plain(code))) for code in codes
    )
    note(session, user.id, "recovery_codes_made", caller)
    return codes


async def count_recovery_codes(session: AsyncSession, user_id: UUID) -> int:
    """How many are left."""
    unused = select(func.count()).where(
        RecoveryCode.user_id == user_id, col(RecoveryCode.used_at).is_(None)
    )
    return (await session.exec(unused)).one()


async def check_code(
    session: AsyncSession, settings: Settings, user: User, code: str, caller: Caller
) -> HubError | None:
    """Use up a code of the app, or a recovery code; the refusal is returned, so that it counts."""
    factor, plain = await lock_second_factor(session, user.id), _plain(code)
    now = utcnow()
    if len(plain) > 8:  # too long to guess, so that no wait is needed
        right = await _take_recovery_code(session, user, plain, caller)
    elif factor.wait_until is not None and factor.wait_until > now:
        return TooManyCodes(factor.wait_until - now)
    else:
        right = factor.totp_confirmed_at is not None and _take_totp(settings, factor, plain)
        if not right:
            _count_failure(factor, now)
    if not right:
        note(session, user.id, "sign_in_refused", caller, "wrong second factor")
        return WrongCode("The code is wrong, or was used before")
    factor.failures, factor.wait_until = 0, None
    return None


def _count_failure(factor: SecondFactor, now: datetime) -> None:
    factor.failures += 1
    if factor.failures >= FREE_FAILURES:
        doublings = min(factor.failures - FREE_FAILURES, 10)
        factor.wait_until = now + min(FIRST_WAIT * 2**doublings, LONGEST_WAIT)


def _take_totp(settings: Settings, factor: SecondFactor, code: str) -> bool:
    """Whether it is the code of a time step after the last one taken, which it becomes."""
    secret = _secret(settings, factor)
    if secret is None:
        return False
    totp = pyotp.TOTP(secret)
    now = totp.timecode(utcnow())
    for step in range(now - WINDOW, now + WINDOW + 1):
        right = hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())
        if right and step > factor.totp_last_step:
            factor.totp_last_step = step
            return True
    return False


def _secret(settings: Settings, factor: SecondFactor) -> str | None:
    """None without one, and for one sealed under another HUB_SECRET_KEY: other factors remain."""
    if factor.totp_secret is None:
        return None
    try:
        return unseal(settings, PURPOSE, str(factor.user_id), factor.totp_secret)
    except UnreadableSecret:
        return None


async def _take_recovery_code(
    session: AsyncSession, user: User, plain: str, caller: Caller
) -> bool:
    mine = update(RecoveryCode).where(
        col(RecoveryCode.code_hash) == hash_token(plain),
        col(RecoveryCode.user_id) == user.id,
        col(RecoveryCode.used_at).is_(None),
    )
    used = mine.values(used_at=utcnow()).returning(col(RecoveryCode.code_hash))
    if (await session.execute(used)).scalar_one_or_none() is None:
        return False
    left = await count_recovery_codes(session, user.id)
    note(session, user.id, "recovery_code_used", caller, f"{left} left")
    return True


def _new_recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
    return "-".join(_quarters(text))


def _quarters(text: str) -> Iterator[str]:
    return (text[at : at + 4] for at in range(0, len(text), 4))


def _plain(code: str) -> str:
    """A code as typed, without what people put between its characters."""
    return "".join(code.split()).replace("-", "").lower()[:100]


def readable_secret(secret: str) -> str:
    """In groups of four, for whoever types it."""
    return " ".join(_quarters(secret))
