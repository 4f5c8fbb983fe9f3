"""Passwords after the first: forgotten ones, and changed ones."""

from uuid import UUID

from sqlalchemy import delete, func, update
from sqlmodel import col, select

from backend_hub.auth.email_links import end_links, mail_link, open_link
from backend_hub.auth.models import BrowserSession, Purpose, TokenFamily
from backend_hub.auth.passwords import hash_password, verify_password, weakness
from backend_hub.auth.second_factors import has_second_factor
from backend_hub.auth.security_log import note
from backend_hub.auth.service import revoke_all
from backend_hub.auth.throttling import MAIL, MAIL_ADDRESS, Try, reserve
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import Unprocessable
from backend_hub.events.service import record
from backend_hub.http.callers import Caller, program_of
from backend_hub.http.rate_limits import network_of
from backend_hub.settings import Settings
from backend_hub.users.models import User


class WeakPassword(Unprocessable):
    """Raised before anything is used up: another one may be tried."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The password {reason}", loc=("body", "password"))
        self.reason = reason


class WrongPassword(Unprocessable):
    def __init__(self) -> None:
        super().__init__("That is not your current password", loc=("body", "current"))


async def ask_reset(session: AsyncSession, settings: Settings, email: str, caller: Caller) -> None:
    """Mail a link to whoever verified this address; for nobody the same statements run.

    Raises TooManyTries.
    """
    network = network_of(caller.address)
    await reserve(session, Try(MAIL, email.lower()), Try(MAIL_ADDRESS, network))
    found = select(User).where(
        func.lower(User.email) == email.lower(),
        col(User.email_verified_at).is_not(None),
        col(User.disabled_at).is_(None),
    )
    user = (await session.exec(found)).first()
    address = user.email if user and user.email else email
    program = program_of(caller.user_agent)
    details = {"address": caller.address, "program": program}
    mail_link(session, settings, Purpose.reset, user, address, **details)
    await session.flush()


async def reset_password(session: AsyncSession, token: str, password: str, caller: Caller) -> User:
    """Set a password by a link; raises InvalidLink, WeakPassword.

    It signs nobody in, so that a second factor is asked for as ever (promise 67).
    """
    _, user = await open_link(session, token, Purpose.reset, lock=True)
    await _set_password(session, user, password)
    await revoke_all(session, user.id)
    note(session, user.id, "password_reset", caller)
    return user


async def change_password(
    session: AsyncSession,
    user_id: UUID,
    current: str,
    password: str,
    caller: Caller,
    keep: UUID,
) -> None:
    """Change it, or set the first one; raises WrongPassword, WeakPassword.

    The browser session `keep` goes on; others end, and so do sign-ins with the old password.
    """
    user = await session.get_one(User, user_id, with_for_update={"key_share": True})
    if user.password_hash is not None:
        verified, _ = await verify_password(current, user.password_hash)
        if not verified:
            raise WrongPassword
    await _set_password(session, user, password)
    browsers = delete(BrowserSession).where(col(BrowserSession.user_id) == user_id)
    await session.execute(browsers.where(col(BrowserSession.id) != keep))
    families = update(TokenFamily).where(
        col(TokenFamily.user_id) == user_id,
        col(TokenFamily.client_id).is_(None),
        col(TokenFamily.revoked_at).is_(None),
    )
    await session.execute(families.values(revoked_at=utcnow()))
    note(session, user_id, "password_changed", caller)


async def _set_password(session: AsyncSession, user: User, password: str) -> None:
    """No link that was mailed before leads into the account any more."""
    beside = await has_second_factor(session, user.id)
    if reason := weakness(password, user.username, user.email or "", second_factor=beside):
        raise WeakPassword(reason)
    user.password_hash = await hash_password(password)
    user.version += 1
    await end_links(session, user, Purpose.reset)
    record(session, "user.account_changed", actor_id=user.id, subject_id=user.id, private=True)
    await session.flush()
