"""Sessions of the hub's own pages: rows behind an opaque cookie (OWASP Session Management)."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, update
from sqlmodel import col, select

from backend_hub.auth.models import BrowserSession
from backend_hub.auth.security_log import note_sign_in
from backend_hub.auth.service import hash_token
from backend_hub.db import AsyncSession, utcnow
from backend_hub.events.service import record
from backend_hub.http.callers import SESSION, Caller
from backend_hub.settings import Settings
from backend_hub.users.models import User

SEEN_EVERY = timedelta(minutes=1)
"""A session in use is written this often, not with every request."""


@dataclass(frozen=True, slots=True)
class SignedInBrowser:
    """A live session and the person it belongs to."""

    id: UUID
    user: User
    authenticated_at: datetime
    amr: str
    """How they proved who they are (RFC 8176)."""


def cookie_name(settings: Settings, name: str = SESSION) -> str:
    """`__Host-` (RFC 6265bis 4.1.3.2) needs https, which a development hub does not have."""
    return f"__Host-{name}" if settings.issuer.startswith("https://") else name


def new_session_token() -> str:
    return secrets.token_urlsafe(32)


def csrf_token(session_token: str) -> str:
    """What a form of this browser carries; follows from the cookie, and does not lead back."""
    return hmac.new(session_token.encode(), b"csrf", hashlib.sha256).hexdigest()


async def begin_session(
    session: AsyncSession,
    settings: Settings,
    user: User,
    caller: Caller,
    amr: str,
    *,
    known_device: bool = False,
) -> str:
    """A session under a new id, whatever the browser had before; the value of its cookie.

    `amr` is how the person proved who they are (RFC 8176), such as `pwd otp`.
    """
    token = new_session_token()
    session.add(
        BrowserSession(
            user_id=user.id,
            token_hash=hash_token(token),
            amr=amr,
            address=caller.address,
            user_agent=caller.user_agent,
            expires_at=utcnow() + timedelta(seconds=settings.session_ttl),
        )
    )
    await session.flush()
    await note_sign_in(session, user.id, caller, known_device=known_device)
    record(session, "user.signed_in", actor_id=user.id, subject_id=user.id, private=True)
    return token


async def find_session(
    session: AsyncSession, settings: Settings, token: str
) -> SignedInBrowser | None:
    """Whose session it is; None for one that ended, idled too long, or belongs to nobody now."""
    now = utcnow()
    idle_since = now - timedelta(seconds=settings.session_idle_ttl)
    found = (
        select(BrowserSession, User)
        .join(User, col(User.id) == BrowserSession.user_id)
        .where(
            BrowserSession.token_hash == hash_token(token),
            BrowserSession.expires_at > now,
            BrowserSession.seen_at > idle_since,
            col(User.disabled_at).is_(None),
        )
    )
    row = (await session.exec(found)).first()
    if row is None:
        return None
    browser, user = row
    if now - browser.seen_at > SEEN_EVERY:
        seen = update(BrowserSession).where(col(BrowserSession.id) == browser.id)
        await session.execute(seen.values(seen_at=now))
    return SignedInBrowser(browser.id, user, browser.created_at, browser.amr)


async def end_session(session: AsyncSession, token: str) -> None:
    """Sign a browser out: its cookie is worth nothing from now on."""
    mine = col(BrowserSession.token_hash) == hash_token(token)
    ended = delete(BrowserSession).where(mine).returning(col(BrowserSession.user_id))
    user_id = (await session.execute(ended)).scalar_one_or_none()
    if user_id is not None:
        record(session, "user.signed_out", actor_id=user_id, subject_id=user_id, private=True)


async def purge_expired_sessions(session: AsyncSession) -> None:
    await session.execute(delete(BrowserSession).where(col(BrowserSession.expires_at) < utcnow()))
