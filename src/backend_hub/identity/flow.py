"""The way to a provider and back: one row a trip, for one browser, taken once."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, update
from sqlmodel import col, select

from backend_hub.auth.secret_box import UnreadableSecret, seal, unseal
from backend_hub.auth.service import hash_token
from backend_hub.db import AsyncSession, utcnow
from backend_hub.identity.models import IdentityProvider, LoginTransaction, PendingIdentity
from backend_hub.identity.outside import Handshake
from backend_hub.identity.queries import redirect_uri
from backend_hub.settings import Settings

LIVES = timedelta(minutes=10)
VERIFIER = "pkce-verifier"


@dataclass(frozen=True, slots=True)
class Trip:
    """A trip that came back to the browser it left from."""

    provider: IdentityProvider
    handshake: Handshake
    user_id: UUID | None
    target: str


def new_handshake(settings: Settings, provider: IdentityProvider) -> Handshake:
    return Handshake(
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        redirect_uri=redirect_uri(settings, provider.slug),
    )


async def begin_trip(
    session: AsyncSession,
    settings: Settings,
    provider: IdentityProvider,
    handshake: Handshake,
    browser: str,
    target: str,
    user_id: UUID | None,
) -> None:
    """Remember who left, and where to; `browser` is the value of its session cookie."""
    state_hash = hash_token(handshake.state)
    session.add(
        LoginTransaction(
            state_hash=state_hash,
            browser_hash=hash_token(browser),
            provider_id=provider.id,
            user_id=user_id,
            issuer=provider.issuer,
            nonce=handshake.nonce,
            sealed_verifier=seal(settings, VERIFIER, state_hash, handshake.verifier),
            target=target[:4_000],
        )
    )
    await session.flush()


async def take_trip(
    session: AsyncSession, settings: Settings, slug: str, state: str, browser: str
) -> Trip | None:
    """The trip that this browser began with this provider; None for any other, and the next time.

    Another browser does not use it up.
    """
    state_hash = hash_token(state)
    taken = (
        delete(LoginTransaction)
        .where(
            col(LoginTransaction.state_hash) == state_hash,
            col(LoginTransaction.browser_hash) == hash_token(browser),
        )
        .returning(LoginTransaction)
    )
    row = (await session.execute(taken)).scalar_one_or_none()
    if row is None or utcnow() - row.created_at > LIVES:
        return None
    found = select(IdentityProvider).where(
        IdentityProvider.id == row.provider_id,
        IdentityProvider.slug == slug,
        IdentityProvider.issuer == row.issuer,
        col(IdentityProvider.enabled),
    )
    provider = (await session.exec(found)).first()
    if provider is None:
        return None
    try:
        verifier = unseal(settings, VERIFIER, state_hash, row.sealed_verifier)
    except UnreadableSecret:
        return None
    handshake = Handshake(state, row.nonce, verifier, redirect_uri(settings, slug))
    return Trip(provider, handshake, row.user_id, row.target)


async def carry_over(session: AsyncSession, before: str, after: str) -> None:
    """What this browser began goes on under its new session: another tab may still be away."""
    for table in (LoginTransaction, PendingIdentity):
        mine = col(table.browser_hash) == hash_token(before)
        await session.execute(update(table).where(mine).values(browser_hash=hash_token(after)))


async def purge_trips(session: AsyncSession) -> None:
    for table in (LoginTransaction, PendingIdentity):
        old = col(table.created_at) < utcnow() - PENDING_LIVES
        await session.execute(delete(table).where(old))


PENDING_LIVES = timedelta(minutes=30)
"""How long somebody may think about their name."""
