"""Ending one's own sign-ins, and taking back what one allowed apps."""

from uuid import UUID

from sqlalchemy import delete, update
from sqlmodel import col

from backend_hub.auth.models import BrowserSession, TokenFamily
from backend_hub.auth.security_log import note
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import NotFound
from backend_hub.events.service import record
from backend_hub.http.callers import Caller
from backend_hub.oauth.grants import withdraw_consent
from backend_hub.oauth.models import Consent, OAuthClient


async def end_session(
    session: AsyncSession, user_id: UUID, session_id: UUID, caller: Caller
) -> None:
    """Sign a browser or a program out: its cookie or its tokens stop working at once.

    Raises NotFound.
    """
    browser = delete(BrowserSession).where(
        col(BrowserSession.id) == session_id, col(BrowserSession.user_id) == user_id
    )
    family = update(TokenFamily).where(
        col(TokenFamily.id) == session_id,
        col(TokenFamily.user_id) == user_id,
        col(TokenFamily.revoked_at).is_(None),
    )
    if not await _touched(session, browser.returning(col(BrowserSession.id))):
        ended = family.values(revoked_at=utcnow()).returning(col(TokenFamily.id))
        if not await _touched(session, ended):
            raise NotFound("There is no such sign-in of yours")
    note(session, user_id, "session_ended", caller)
    record(session, "user.session_ended", actor_id=user_id, subject_id=session_id, private=True)


async def _touched(session: AsyncSession, statement: object) -> bool:
    return (await session.execute(statement)).first() is not None  # type: ignore[call-overload]


async def end_other_sessions(
    session: AsyncSession, user_id: UUID, current_id: UUID | None, caller: Caller
) -> None:
    """Sign out of everything but the sign-in of this request, machines too."""
    browsers = col(BrowserSession.user_id) == user_id, col(BrowserSession.id) != current_id
    await session.execute(delete(BrowserSession).where(*browsers))
    families = (
        col(TokenFamily.user_id) == user_id,
        col(TokenFamily.id) != current_id,
        col(TokenFamily.revoked_at).is_(None),
    )
    await session.execute(update(TokenFamily).where(*families).values(revoked_at=utcnow()))
    note(session, user_id, "sessions_ended", caller)
    record(session, "user.sessions_ended", actor_id=user_id, subject_id=user_id, private=True)


async def withdraw_app(
    session: AsyncSession, user_id: UUID, client_id: str, caller: Caller
) -> None:
    """Take back what an app was allowed: its tokens stop working at once. Raises NotFound."""
    if await session.get(Consent, (user_id, client_id)) is None:
        raise NotFound("You did not allow this app anything")
    client = await session.get_one(OAuthClient, client_id)
    await withdraw_consent(session, user_id, client_id)
    note(session, user_id, "app_withdrawn", caller, client.name)
