"""The address of an account: verifying it, and changing it."""

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from backend_hub.auth.email_links import end_links, mail_verification, open_link
from backend_hub.auth.models import EmailToken, Purpose
from backend_hub.auth.security_log import note
from backend_hub.auth.throttling import MAIL_ADDRESS, Try, reserve
from backend_hub.db import AsyncSession, constraint_name, utcnow
from backend_hub.errors import Conflict
from backend_hub.events.service import record
from backend_hub.http.callers import Caller
from backend_hub.http.rate_limits import network_of
from backend_hub.mail.service import queue_mail
from backend_hub.settings import Settings
from backend_hub.users.models import User


class AddressTaken(Conflict):
    code, title = "address_taken", "This address belongs to another account"

    def __init__(self) -> None:
        super().__init__("Somebody verified it for another account: sign in to that one instead")


async def ask_for_address(
    session: AsyncSession, settings: Settings, user: User, email: str, caller: Caller
) -> None:
    """Mail a link to a new address; it becomes the account's when the link is used.

    Links to any other address end, so that the last one asked for is the one that counts.
    Raises TooManyTries.
    """
    await reserve(session, Try(MAIL_ADDRESS, network_of(caller.address)))
    await end_links(session, user, Purpose.verify)
    await mail_verification(session, settings, user, email)
    note(session, user.id, "email_change_asked", caller, email)


async def ask_again(
    session: AsyncSession, settings: Settings, user: User, caller: Caller
) -> str | None:
    """Mail another link to the address that waits for it, and return it; raises TooManyTries."""
    waiting = await pending_address(session, user)
    if waiting is None and user.email_verified_at is None:
        waiting = user.email
    if waiting is not None:
        await reserve(session, Try(MAIL_ADDRESS, network_of(caller.address)))
        await mail_verification(session, settings, user, waiting)
    return waiting


async def verify_address(
    session: AsyncSession, settings: Settings, token: str, caller: Caller
) -> User:
    """Use a link: the address is the account's from now on; raises InvalidLink, AddressTaken."""
    link, user = await open_link(session, token, Purpose.verify, lock=True)
    before, was_verified = user.email, user.email_verified_at is not None
    moved = (before or "").lower() != link.email.lower()
    user.email, user.email_verified_at = link.email, utcnow()
    user.version += 1
    await _flush_unique(session)
    # Links that went to the address before must not lead into the account.
    await end_links(session, user, Purpose.verify, Purpose.reset)
    note(session, user.id, "email_changed" if moved else "email_verified", caller, link.email)
    record(session, "user.account_changed", actor_id=user.id, subject_id=user.id, private=True)
    if moved and was_verified:
        contact = settings.contact_url
        queue_mail(session, before, "moved", username=user.username, contact=contact)
    return user


async def _flush_unique(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        if constraint_name(error) != "uq_users_verified_email":
            raise
        raise AddressTaken from None


async def pending_address(session: AsyncSession, user: User) -> str | None:
    """The address that a mail with a live link went to last."""
    sent = (
        select(EmailToken.email)
        .where(
            EmailToken.user_id == user.id,
            EmailToken.purpose == Purpose.verify,
            EmailToken.expires_at > utcnow(),
        )
        .order_by(col(EmailToken.id).desc())
    )
    return (await session.exec(sent)).first()
