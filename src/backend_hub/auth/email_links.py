"""Links in mails: single-use, of 256 random bits, known to the database by their SHA-256."""

import secrets
from datetime import timedelta

from sqlalchemy import delete
from sqlmodel import col, select

from backend_hub.auth.models import EmailToken, Purpose
from backend_hub.auth.service import hash_token
from backend_hub.auth.throttling import MAIL, Try, reserve
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import HubError
from backend_hub.mail.service import queue_mail, seal
from backend_hub.settings import Settings
from backend_hub.users.models import User

LIVES = {Purpose.verify: timedelta(hours=24), Purpose.reset: timedelta(hours=1)}


class InvalidLink(HubError):
    status, code, title = 422, "invalid_link", "This link does not work any more"

    def __init__(self) -> None:
        super().__init__("It was used before, it has expired, or it is not whole")


def mail_link(
    session: AsyncSession,
    settings: Settings,
    purpose: Purpose,
    user: User | None,
    email: str,
    **details: str,
) -> None:
    """Mail a new link to an address of somebody; for nobody the same is written, and none sent."""
    token, expires_at = secrets.token_urlsafe(32), utcnow() + LIVES[purpose]
    session.add(
        EmailToken(
            user_id=user.id if user else None,
            purpose=purpose,
            email=email,
            token_hash=hash_token(token),
            expires_at=expires_at,
        )
    )
    queue_mail(
        session,
        email if user else None,
        purpose,
        sealed=seal(settings, token),
        expires_at=expires_at,
        username=user.username if user else "",
        **details,
    )


async def mail_verification(
    session: AsyncSession, settings: Settings, user: User, email: str
) -> None:
    """Mail the link that makes the address theirs, and verified; raises TooManyTries."""
    await reserve(session, Try(MAIL, email.lower()))
    mail_link(session, settings, Purpose.verify, user, email)


async def open_link(
    session: AsyncSession, token: str, purpose: Purpose, *, lock: bool = False
) -> tuple[EmailToken, User]:
    """Whose link it is; raises InvalidLink. Locked, nobody else uses it meanwhile."""
    found = (
        select(EmailToken, User)
        .join(User, col(User.id) == EmailToken.user_id)
        .where(
            EmailToken.token_hash == hash_token(token),
            EmailToken.purpose == purpose,
            EmailToken.expires_at > utcnow(),
            col(User.disabled_at).is_(None),
        )
    )
    row = (await session.exec(found.with_for_update(key_share=True) if lock else found)).first()
    if row is None:
        raise InvalidLink
    return row


async def end_links(session: AsyncSession, user: User, *purposes: Purpose) -> None:
    mine = delete(EmailToken).where(col(EmailToken.user_id) == user.id)
    await session.execute(mine.where(col(EmailToken.purpose).in_(purposes)))


async def purge_expired_links(session: AsyncSession) -> None:
    await session.execute(delete(EmailToken).where(col(EmailToken.expires_at) < utcnow()))
