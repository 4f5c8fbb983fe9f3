"""Reading a person's own sign-ins and apps."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import String, case, func, literal, null, or_, select, union_all
from sqlmodel import col

from backend_hub.account.schemas import AllowedAppRead, SessionKind, SessionRead
from backend_hub.auth.models import BrowserSession, RefreshToken, TokenFamily
from backend_hub.db import AsyncSession, utcnow
from backend_hub.http.callers import program_of
from backend_hub.http.cursors import Order, Page, PageParams, fetch_page, read_page
from backend_hub.oauth.models import ClientType, Consent, OAuthClient
from backend_hub.settings import Settings


def _browsers(settings: Settings, user_id: UUID) -> Any:
    now = utcnow()
    idle_since = now - timedelta(seconds=settings.session_idle_ttl)
    return select(
        col(BrowserSession.id),
        literal(SessionKind.browser, String).label("kind"),
        null().cast(String).label("client_id"),
        null().cast(String).label("client_name"),
        col(BrowserSession.user_agent),
        col(BrowserSession.address),
        literal("", String).label("scope"),
        col(BrowserSession.created_at),
        col(BrowserSession.seen_at),
        col(BrowserSession.expires_at),
    ).where(
        col(BrowserSession.user_id) == user_id,
        col(BrowserSession.expires_at) > now,
        col(BrowserSession.seen_at) > idle_since,
    )


def _families(user_id: UUID) -> Any:
    """Machines are left out: they sign in anew for each token."""
    refreshed = (
        select(func.max(col(RefreshToken.created_at)))
        .where(col(RefreshToken.family_id) == TokenFamily.id)
        .scalar_subquery()
    )
    kind = case((col(TokenFamily.client_id).is_(None), SessionKind.hub), else_=SessionKind.app)
    return (
        select(
            col(TokenFamily.id),
            kind.label("kind"),
            col(TokenFamily.client_id),
            col(OAuthClient.name).label("client_name"),
            col(TokenFamily.user_agent),
            col(TokenFamily.address),
            col(TokenFamily.scope),
            col(TokenFamily.created_at),
            func.coalesce(refreshed, TokenFamily.created_at).label("seen_at"),
            col(TokenFamily.expires_at),
        )
        .outerjoin(OAuthClient, col(OAuthClient.id) == TokenFamily.client_id)
        .where(
            col(TokenFamily.user_id) == user_id,
            col(TokenFamily.revoked_at).is_(None),
            col(TokenFamily.expires_at) > utcnow(),
            or_(col(OAuthClient.type).is_(None), col(OAuthClient.type) != ClientType.machine),
        )
    )


async def list_sessions(
    session: AsyncSession,
    settings: Settings,
    user_id: UUID,
    current_id: UUID | None,
    page: PageParams,
) -> Page[SessionRead]:
    """A person's sign-ins that last, the newest first."""
    all_of_them = union_all(_browsers(settings, user_id), _families(user_id)).subquery()
    order = Order("newest", [all_of_them.c.id])
    rows, total = await fetch_page(session, select(all_of_them), order, page)
    items = [
        SessionRead(
            **{k: v for k, v in row.items() if k in SessionRead.model_fields},
            device=program_of(row["user_agent"]),
            scopes=row["scope"].split(),
            current=row["id"] == current_id,
        )
        for row in rows
    ]
    return Page[SessionRead](items=items, next_cursor=page.next_cursor, total=total)


async def list_allowed_apps(
    session: AsyncSession, user_id: UUID, page: PageParams
) -> Page[AllowedAppRead]:
    """The apps that a person allowed, the newest first."""
    token = func.coalesce(RefreshToken.created_at, TokenFamily.created_at)
    used = (
        select(func.max(token))
        .select_from(TokenFamily)
        .outerjoin(RefreshToken, col(RefreshToken.family_id) == TokenFamily.id)
        .where(
            col(TokenFamily.user_id) == Consent.user_id,
            col(TokenFamily.client_id) == Consent.client_id,
        )
        .correlate(Consent)
        .scalar_subquery()
    )
    statement = (
        select(
            col(Consent.client_id),
            col(OAuthClient.name),
            col(OAuthClient.homepage_url),
            col(OAuthClient.verified),
            func.string_to_array(col(Consent.scope), " ").label("scopes"),
            col(Consent.created_at),
            used.label("used_at"),
        )
        .join(OAuthClient, col(OAuthClient.id) == Consent.client_id)
        .where(col(Consent.user_id) == user_id)
    )
    order = Order("newest", [col(Consent.created_at), col(Consent.client_id)])
    return await read_page(session, statement, order, page, AllowedAppRead)
