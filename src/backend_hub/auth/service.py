"""Accounts begin here: register, rotate, sign out. Signing in is in password_sign_in.py."""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, func, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.auth.models import (
    BrowserSession,
    PendingSignIn,
    PersonalToken,
    RefreshToken,
    TokenFamily,
)
from backend_hub.auth.passwords import hash_password
from backend_hub.auth.schemas import NewAccount, UserRegister
from backend_hub.auth.scopes import FIRST_PARTY_SCOPES, SCOPES_OF_ROLE, held_scopes
from backend_hub.auth.tokens import FIRST_PARTY_CLIENTS, Claims
from backend_hub.db import AsyncSession, constraint_name, utcnow
from backend_hub.errors import Conflict, Forbidden, Unauthorized
from backend_hub.events.service import record
from backend_hub.settings import Settings
from backend_hub.statements import Prepared, Reader, prepare
from backend_hub.users.models import Role, User


class UsernameTaken(Conflict):
    code, title = "username_taken", "This name is taken"


class InvalidGrant(Unauthorized):
    """Wrong name, wrong password or a dead refresh token: the answer is the same."""

    code, title = "invalid_grant", "Sign-in failed"

    def __init__(self, detail: str) -> None:
        super().__init__(
            detail,
            headers={"WWW-Authenticate": 'Bearer realm="backend-hub"'},
            error="invalid_grant",
            error_description=detail,
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """A sign-in that succeeded, before its access token is signed."""

    user_id: UUID
    family_id: UUID
    scopes: frozenset[str]
    refresh_token: str


async def register_user(session: AsyncSession, form: UserRegister) -> User:
    """Make an account; raises UsernameTaken."""
    user = User(
        username=form.username,
        display_name=form.display_name.strip() or form.username,
        email=form.email,
        password_hash=await hash_password(form.password),
    )
    return await add_user(session, user)


async def add_user(session: AsyncSession, user: User) -> User:
    """Raises UsernameTaken."""
    session.add(user)
    try:
        await session.flush()
    except IntegrityError as error:
        if constraint_name(error) != "uq_users_username_lower":
            raise
        raise UsernameTaken from None
    record(session, "user.registered", actor_id=user.id, subject_id=user.id)
    return user


def granted_scopes(role: str, wanted: list[str]) -> frozenset[str]:
    """What was asked for and the role holds; all of the role's when nothing was asked for."""
    held = SCOPES_OF_ROLE[role]
    return held & frozenset(wanted) if wanted else held


def new_grant(
    session: AsyncSession, family: TokenFamily, role: str, parent: RefreshToken | None
) -> Grant:
    """A new refresh token; the scopes are those of the sign-in that the role still holds."""
    token = secrets.token_urlsafe(32)
    session.add(
        RefreshToken(
            family_id=family.id,
            parent_id=parent.id if parent else None,
            token_hash=hash_token(token),
        )
    )
    scopes = held_scopes(role) & frozenset(family.scope.split())
    return Grant(family.user_id, family.id, scopes, token)


def hash_token(token: str) -> str:
    """Tokens are 256 random bits: a plain SHA-256 cannot be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


async def rotate_refresh_token(
    session: AsyncSession, settings: Settings, presented: str, client_id: str | None = None
) -> Grant | InvalidGrant:
    """Exchange a refresh token for a new one, for the client that it was issued to.

    The refusal is returned, not raised, so that the revocation of a stolen family commits. Inside
    the grace the direct parent of a fresh token may come again (a browser with several tabs).
    """
    found = select(RefreshToken).where(RefreshToken.token_hash == hash_token(presented))
    token = (await session.exec(found)).first()
    if token is None:
        return InvalidGrant("The refresh token is not valid")
    locked = select(TokenFamily, User).join(User).where(TokenFamily.id == token.family_id)
    family, user = (await session.exec(locked.with_for_update(of=TokenFamily))).one()
    await session.refresh(token)
    now = utcnow()
    if family.client_id != client_id:
        return InvalidGrant("The refresh token is not valid")
    if family.revoked_at or family.expires_at <= now or user.disabled_at:
        return InvalidGrant("The sign-in has ended")
    if token.rotated_at is None:
        token.rotated_at = now
    elif not await _within_grace(session, settings, token):
        family.revoked_at = now
        record(session, "user.token_reused", actor_id=user.id, subject_id=family.id, private=True)
        return InvalidGrant("The refresh token was used before: the sign-in has ended")
    return new_grant(session, family, user.role, parent=token)


async def _within_grace(session: AsyncSession, settings: Settings, token: RefreshToken) -> bool:
    """Whether it was rotated a moment ago and none of its children was."""
    assert token.rotated_at is not None  # noqa: S101 - the caller saw it
    if utcnow() - token.rotated_at > timedelta(seconds=settings.refresh_token_grace):
        return False
    rotated_child = select(RefreshToken.id).where(
        RefreshToken.parent_id == token.id, col(RefreshToken.rotated_at).is_not(None)
    )
    return (await session.exec(rotated_child)).first() is None


async def sign_out(session: AsyncSession, actor: Actor) -> None:
    """End the sign-in that this request's token or cookie came from: it stops working at once.

    Raises Forbidden for a personal access token: there is no sign-in behind it.
    """
    if actor.token_id is not None:
        raise Forbidden("A personal access token is revoked, not signed out")
    if actor.session_id is not None:
        mine = col(BrowserSession.id) == actor.session_id
        await session.execute(delete(BrowserSession).where(mine))
    await session.execute(
        update(TokenFamily)
        .where(col(TokenFamily.id) == actor.family_id, col(TokenFamily.revoked_at).is_(None))
        .values(revoked_at=utcnow())
    )
    record(session, "user.signed_out", actor_id=actor.id, subject_id=actor.id, private=True)


async def revoke_all(session: AsyncSession, user_id: UUID) -> None:
    """End every sign-in of a person, those that wait for a second factor, and personal tokens."""
    for model in (BrowserSession, PendingSignIn, PersonalToken):
        await session.execute(delete(model).where(col(model.user_id) == user_id))
    await session.execute(
        update(TokenFamily)
        .where(col(TokenFamily.user_id) == user_id, col(TokenFamily.revoked_at).is_(None))
        .values(revoked_at=utcnow())
    )


async def purge_expired_families(session: AsyncSession) -> None:
    """Ended sign-ins stay until they would have expired, so that a stolen token is noticed."""
    over = col(TokenFamily.expires_at) < utcnow() - timedelta(days=1)
    await session.execute(delete(TokenFamily).where(over))


@cache
def _sign_in() -> Prepared:
    """Whose token it is, unless the sign-in ended or the account is disabled."""
    statement: Any = (
        select(User.id, User.username, User.role)
        .join(TokenFamily, col(TokenFamily.user_id) == User.id)
        .where(
            User.id == bindparam("user_id", type_=Uuid()),
            TokenFamily.id == bindparam("family_id", type_=Uuid()),
            col(TokenFamily.revoked_at).is_(None),
            TokenFamily.expires_at > func.statement_timestamp(),
            col(User.disabled_at).is_(None),
        )
    )
    return prepare(statement)


@cache
def _browser() -> Prepared:
    """The same of a browser's session."""
    statement: Any = (
        select(User.id, User.username, User.role)
        .join(BrowserSession, col(BrowserSession.user_id) == User.id)
        .where(
            User.id == bindparam("user_id", type_=Uuid()),
            BrowserSession.id == bindparam("session_id", type_=Uuid()),
            BrowserSession.expires_at > func.statement_timestamp(),
            col(User.disabled_at).is_(None),
        )
    )
    return prepare(statement)


async def find_actor(reader: Reader, claims: Claims) -> Actor | None:
    """The person behind a verified token, asked anew for each request: a revocation, a role and
    a suspension hold at once."""
    values = {"user_id": claims.subject, "family_id": claims.family_id}
    rows = await reader.fetch(_sign_in(), values)
    if not rows:
        return None
    row = rows[0]
    role = Role(row["role"])
    scopes = claims.scopes & held_scopes(role)
    if claims.client_id not in FIRST_PARTY_CLIENTS:
        scopes -= FIRST_PARTY_SCOPES  # whatever it was granted
    return Actor(row["id"], row["username"], role, scopes, claims.family_id)


async def renew_actor(reader: Reader, actor: Actor) -> Actor | None:
    """The same person some time later; None when the sign-in ended or the account is disabled."""
    sign_in = {"family_id": actor.family_id, "session_id": actor.session_id}
    statement = _browser() if actor.session_id else _sign_in()
    rows = await reader.fetch(statement, {"user_id": actor.id, **sign_in})
    if not rows:
        return None
    role = Role(rows[0]["role"])
    return replace(actor, role=role, scopes=actor.scopes & held_scopes(role))


async def make_admin(session: AsyncSession, form: NewAccount) -> User:
    """An admin account of that name: a new one, or the one that exists, with this password."""
    found = select(User).where(func.lower(User.username) == form.username.lower())
    user = (await session.exec(found)).first()
    if user is None:
        user = User(username=form.username, display_name=form.display_name or form.username)
        session.add(user)
    user.email, user.role, user.disabled_at = form.email, Role.admin, None
    user.password_hash = await hash_password(form.password)
    user.version += 1
    await session.flush()
    record(session, "user.account_changed", actor_id=user.id, subject_id=user.id, private=True)
    return user
