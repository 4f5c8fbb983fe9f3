"""Codes, consents and tokens: the rows behind what Authlib decides."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.models import RefreshToken, TokenFamily
from backend_hub.auth.scopes import held_scopes
from backend_hub.auth.service import Grant, hash_token, new_grant
from backend_hub.auth.tokens import InvalidToken, TokenService
from backend_hub.db import AsyncSession, utcnow
from backend_hub.events.service import record
from backend_hub.oauth.clients import CONFIDENTIAL, KnownClient
from backend_hub.oauth.models import AuthorizationCode, Consent
from backend_hub.settings import Settings
from backend_hub.users.models import User

CODE_LIVES = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token somebody presents, with the sign-in that it came from, as Authlib asks about it."""

    family: TokenFamily
    username: str
    kind: str
    scope: str
    issued_at: int
    expires_at: int
    jkt: str | None

    def check_client(self, client: KnownClient) -> bool:
        return self.family.client_id == client.id

    def get_scope(self) -> str:
        return self.scope

    def is_expired(self) -> bool:
        return self.expires_at <= utcnow().timestamp()

    def is_revoked(self) -> bool:
        return self.family.revoked_at is not None or self.family.expires_at <= utcnow()


async def save_code(
    session: AsyncSession, browser: SignedInBrowser, client: KnownClient, code: str, **fields: Any
) -> None:
    """Keep a new code for what the person holds of `scope`."""
    scope = [name for name in fields.pop("scope").split() if name in held_scopes(browser.user.role)]
    session.add(
        AuthorizationCode(
            code_hash=hash_token(code),
            client_id=client.id,
            user_id=browser.user.id,
            scope=" ".join(scope),
            authenticated_at=browser.authenticated_at,
            amr=browser.amr,
            **fields,
        )
    )
    await session.flush()


async def take_code(session: AsyncSession, code: str, client_id: str) -> AuthorizationCode | None:
    """The code, locked, if this client may exchange it now.

    Of several who come with it at once, one finds it unused. A second use means that somebody
    stole it: what it was exchanged for stops working.
    """
    found = select(AuthorizationCode).where(AuthorizationCode.code_hash == hash_token(code))
    row = (await session.exec(found.with_for_update())).first()
    if row is None or row.client_id != client_id:
        return None
    if row.used_at is not None:
        if row.family_id is not None:
            await revoke_family(session, row.family_id)
            record(
                session,
                "user.code_reused",
                actor_id=row.user_id,
                subject_id=row.family_id,
                private=True,
            )
        return None
    return row if utcnow() - row.created_at <= CODE_LIVES else None


async def begin_family(
    session: AsyncSession,
    user: User,
    client: KnownClient,
    scope: str,
    seconds: int,
    jkt: str | None = None,
) -> TokenFamily:
    """A sign-in. `jkt` binds the refresh tokens of an app without a secret (RFC 9449 section 5)."""
    family = TokenFamily(
        user_id=user.id,
        client_id=client.id,
        scope=scope,
        expires_at=utcnow() + timedelta(seconds=seconds),
        dpop_jkt=None if client.type in CONFIDENTIAL else jkt,
    )
    session.add(family)
    await session.flush()
    record(
        session,
        "user.signed_in",
        actor_id=user.id,
        subject_id=user.id,
        private=True,
        client=client.row.name,
    )
    return family


async def exchange_code(
    session: AsyncSession,
    settings: Settings,
    user: User,
    client: KnownClient,
    code: AuthorizationCode,
    jkt: str | None,
) -> Grant:
    """Mark the code as used and begin the sign-in that it stands for."""
    seconds = settings.refresh_token_ttl
    family = await begin_family(session, user, client, code.scope, seconds, jkt)
    code.used_at, code.family_id = utcnow(), family.id
    return new_grant(session, family, user.role, parent=None)


async def find_refresh_token(session: AsyncSession, presented: str) -> IssuedToken | None:
    found = (
        select(RefreshToken, TokenFamily, User.username)
        .join(TokenFamily, col(TokenFamily.id) == RefreshToken.family_id)
        .join(User, col(User.id) == TokenFamily.user_id)
        .where(RefreshToken.token_hash == hash_token(presented))
    )
    row = (await session.exec(found)).first()
    if row is None:
        return None
    token, family, username = row
    begun, ends = int(token.created_at.timestamp()), int(family.expires_at.timestamp())
    scope, jkt = family.scope, family.dpop_jkt
    return IssuedToken(family, username, "refresh_token", scope, begun, ends, jkt)


async def find_access_token(
    session: AsyncSession, tokens: TokenService, presented: str
) -> IssuedToken | None:
    try:
        claims = tokens.verify(presented)
    except InvalidToken:
        return None
    found = (
        select(TokenFamily, User.username)
        .join(User, col(User.id) == TokenFamily.user_id)
        .where(TokenFamily.id == claims.family_id, col(User.disabled_at).is_(None))
    )
    row = (await session.exec(found)).first()
    if row is None:
        return None
    scope = " ".join(sorted(claims.scopes))
    return IssuedToken(*row, "access_token", scope, claims.issued_at, claims.expires_at, claims.jkt)


async def revoke_family(session: AsyncSession, family_id: UUID) -> None:
    alive = col(TokenFamily.id) == family_id, col(TokenFamily.revoked_at).is_(None)
    await session.execute(update(TokenFamily).where(*alive).values(revoked_at=utcnow()))


async def consented(session: AsyncSession, user_id: UUID, client: KnownClient) -> frozenset[str]:
    """What the person allowed this app before; nothing when nobody verified the app."""
    if not client.row.verified:
        return frozenset()
    row = await session.get(Consent, (user_id, client.id))
    return frozenset(row.scope.split()) if row else frozenset()


async def remember_consent(
    session: AsyncSession, user_id: UUID, client: KnownClient, scope: str
) -> None:
    """Add to what the person allowed this app."""
    before = await session.get(Consent, (user_id, client.id), with_for_update=True)
    words = set(scope.split()) | set(before.scope.split() if before else ())
    kept = insert(Consent).values(
        user_id=user_id, client_id=client.id, scope=" ".join(sorted(words)), created_at=utcnow()
    )
    await session.execute(
        kept.on_conflict_do_update(
            index_elements=["user_id", "client_id"], set_={"scope": kept.excluded.scope}
        )
    )
    record(
        session,
        "user.allowed_app",
        actor_id=user_id,
        subject_id=client.id,
        private=True,
        client=client.row.name,
        scope=scope,
    )


async def withdraw_consent(session: AsyncSession, user_id: UUID, client_id: str) -> None:
    """Forget what was allowed, and end every sign-in of this app."""
    mine = col(Consent.user_id) == user_id, col(Consent.client_id) == client_id
    await session.execute(delete(Consent).where(*mine))
    theirs = col(TokenFamily.user_id) == user_id, col(TokenFamily.client_id) == client_id
    alive = col(TokenFamily.revoked_at).is_(None)
    await session.execute(update(TokenFamily).where(*theirs, alive).values(revoked_at=utcnow()))
    unused = (
        col(AuthorizationCode.user_id) == user_id,
        col(AuthorizationCode.client_id) == client_id,
    )
    await session.execute(delete(AuthorizationCode).where(*unused))
    record(session, "user.withdrew_app", actor_id=user_id, subject_id=client_id, private=True)


async def purge_expired_codes(session: AsyncSession) -> None:
    """Used codes stay for a day, so that a second use is still noticed."""
    old = col(AuthorizationCode.created_at) < utcnow() - timedelta(days=1)
    await session.execute(delete(AuthorizationCode).where(old))
