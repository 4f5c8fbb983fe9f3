"""Reading providers and links."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col
from sqlmodel import select as select_rows

from backend_hub.db import AsyncSession
from backend_hub.http.cursors import Order, Page, PageParams, fetch_page
from backend_hub.identity.models import IdentityProvider, LinkedAccount
from backend_hub.identity.schemas import IdentityProviderRead, OfferedProvider
from backend_hub.settings import Settings

MOST = 100
"""Providers on the sign-in page."""
FIELDS = (
    *("id", "slug", "name", "kind", "issuer", "client_id", "scope", "trusts_email", "enabled"),
    *("configured", "version", "created_at"),
)


def redirect_uri(settings: Settings, slug: str) -> str:
    """Each provider has its own: an answer of one cannot pass for another's (RFC 9700 4.4.2)."""
    return f"{settings.issuer}/sign-in/with/{slug}/callback"


def read_model(settings: Settings, provider: IdentityProvider) -> IdentityProviderRead:
    return IdentityProviderRead(
        **provider.model_dump(include=set(FIELDS)),
        has_secret=provider.sealed_secret is not None,
        redirect_uri=redirect_uri(settings, provider.slug),
    )


async def list_providers(
    session: AsyncSession, settings: Settings, page: PageParams
) -> Page[IdentityProviderRead]:
    """All of them, the newest first."""
    statement = select(
        *(col(getattr(IdentityProvider, name)) for name in FIELDS),
        col(IdentityProvider.sealed_secret).is_not(None).label("has_secret"),
    )
    order = Order("newest", [col(IdentityProvider.id)])
    rows, total = await fetch_page(session, statement, order, page)
    items = [
        IdentityProviderRead.model_validate(
            {**row, "redirect_uri": redirect_uri(settings, row["slug"])}
        )
        for row in rows
    ]
    return Page[IdentityProviderRead](items=items, next_cursor=page.next_cursor, total=total)


async def list_offered(session: AsyncSession) -> list[OfferedProvider]:
    """What the sign-in page offers, by name."""
    found = (
        select(col(IdentityProvider.slug), col(IdentityProvider.name))
        .where(col(IdentityProvider.enabled))
        .order_by(col(IdentityProvider.name), col(IdentityProvider.slug))
        .limit(MOST)
    )
    rows = (await session.execute(found)).mappings().all()
    return [OfferedProvider.model_validate(dict(row)) for row in rows]


async def find_enabled(session: AsyncSession, slug: str) -> IdentityProvider | None:
    found = select_rows(IdentityProvider).where(
        IdentityProvider.slug == slug, col(IdentityProvider.enabled)
    )
    return (await session.exec(found)).first()


class Link(NamedTuple):
    """A linked account, and the name of its provider as far as it is still known."""

    account: LinkedAccount
    provider: str | None


async def list_links(session: AsyncSession, user_id: UUID) -> Sequence[Link]:
    """Whom this person signs in with, the oldest first."""
    found = (
        select_rows(LinkedAccount, IdentityProvider.name)
        .join(
            IdentityProvider,
            col(IdentityProvider.issuer) == col(LinkedAccount.issuer),
            isouter=True,
        )
        .where(LinkedAccount.user_id == user_id)
        .order_by(col(LinkedAccount.id))
    )
    return [Link(account, name) for account, name in (await session.exec(found)).all()]
