"""Personal access tokens: made by a person for their own programs, with scopes and an end.

The form is one that scanners for leaked secrets know: a prefix, 256 random bits, and a checksum
of six characters, all in base 62.
"""

import hashlib
import secrets
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, func, update
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.auth.models import BrowserSession, PersonalToken, TokenFamily
from backend_hub.auth.schemas import PersonalTokenCreate
from backend_hub.auth.scopes import APP_SCOPES, SCOPES_OF_ROLE
from backend_hub.auth.security_log import note
from backend_hub.auth.service import hash_token, renew_actor
from backend_hub.db import AsyncSession, Database, utcnow
from backend_hub.errors import Conflict, Forbidden, NotFound, Unauthorized
from backend_hub.events.service import record
from backend_hub.http.callers import Caller
from backend_hub.statements import Prepared, Reader, Row, prepare, text_parameter
from backend_hub.users.models import Role, User

PREFIX = "hub_pat_"
MOST = 50
"""Tokens a person."""
USED_EVERY = timedelta(minutes=1)
"""The use of a token is written this often, not with every request."""
EXPIRED_SHOWN = timedelta(days=30)
FRESH = timedelta(minutes=10)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY, _CHECKSUM = 43, 6
_LENGTH = len(PREFIX) + _BODY + _CHECKSUM
_REMEMBERED = 10_000


class SignInAgain(Unauthorized):
    """RFC 9470: the token is good, and the sign-in behind it too old for this."""

    code, title = "recent_sign_in_needed", "Sign in again for this"

    def __init__(self) -> None:
        seconds = int(FRESH.total_seconds())
        challenge = f'Bearer error="insufficient_user_authentication", max_age="{seconds}"'
        super().__init__(
            "This needs a token of a sign-in with the hub's own password form, at most"
            f" {seconds // 60} minutes old",
            headers={"WWW-Authenticate": challenge},
        )


class TooManyTokens(Conflict):
    code, title = "too_many_tokens", "Revoke a token that you no longer use first"


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM)


def new_token() -> str:
    body = _base62(secrets.randbits(256), _BODY)
    return f"{PREFIX}{body}{_checksum(body)}"


def well_formed(token: str) -> bool:
    """Whether the hub could have made it: a mistyped one is refused without a question."""
    body = token[len(PREFIX) : -_CHECKSUM]
    return len(token) == _LENGTH and token.isascii() and token.endswith(_checksum(body))


async def require_fresh(session: AsyncSession, actor: Actor) -> None:
    """Raise SignInAgain unless the person signed in a moment ago: with the hub's password form, or
    in the browser whose cookie came."""
    browser = select(BrowserSession.id).where(
        BrowserSession.id == actor.session_id,
        col(BrowserSession.created_at) > utcnow() - FRESH,
    )
    family = select(TokenFamily.id).where(
        TokenFamily.id == actor.family_id,
        col(TokenFamily.client_id).is_(None),
        col(TokenFamily.created_at) > utcnow() - FRESH,
    )
    if (await session.exec(browser if actor.session_id else family)).first() is None:
        raise SignInAgain


async def make_token(
    session: AsyncSession, actor: Actor, form: PersonalTokenCreate, caller: Caller
) -> tuple[PersonalToken, str]:
    """A token and, this once, its text; raises Forbidden for scopes that the person lacks."""
    held = SCOPES_OF_ROLE[actor.role] & frozenset(APP_SCOPES)
    if lacking := sorted(set(form.scopes) - held):
        raise Forbidden(f"Your role does not hold {' '.join(lacking)}")
    # The row of their owner makes two who are made at once wait for each other.
    await session.exec(select(User.id).where(User.id == actor.id).with_for_update(key_share=True))
    mine = select(func.count()).where(col(PersonalToken.user_id) == actor.id)
    if (await session.exec(mine)).one() >= MOST:
        raise TooManyTokens
    token = new_token()
    row = PersonalToken(
        user_id=actor.id,
        name=form.name.strip(),
        token_hash=hash_token(token),
        scope=" ".join(sorted(set(form.scopes))),
        expires_at=utcnow() + timedelta(days=form.expires_in_days),
    )
    session.add(row)
    await session.flush()
    note(session, actor.id, "token_made", caller, row.name)
    record(session, "user.token_made", actor_id=actor.id, subject_id=row.id, private=True)
    return row, token


async def list_tokens(session: AsyncSession, user_id: UUID) -> Sequence[PersonalToken]:
    """All of a person's tokens, the newest first; there are at most MOST."""
    mine = select(PersonalToken).where(PersonalToken.user_id == user_id)
    return (await session.exec(mine.order_by(col(PersonalToken.id).desc()))).all()


async def get_token(session: AsyncSession, user_id: UUID, token_id: UUID) -> PersonalToken:
    found = select(PersonalToken).where(
        PersonalToken.id == token_id, PersonalToken.user_id == user_id
    )
    row = (await session.exec(found)).first()
    if row is None:
        raise NotFound("There is no such token of yours")
    return row


async def revoke_token(
    session: AsyncSession, user_id: UUID, token_id: UUID, caller: Caller
) -> None:
    """It stops working at once; raises NotFound."""
    row = await get_token(session, user_id, token_id)
    await session.delete(row)
    note(session, user_id, "token_revoked", caller, row.name)
    record(session, "user.token_revoked", actor_id=user_id, subject_id=token_id, private=True)
    await session.flush()


async def purge_expired_tokens(session: AsyncSession) -> None:
    """A token that expired is shown for a month more, so that its owner sees why it stopped."""
    old = col(PersonalToken.expires_at) < utcnow() - EXPIRED_SHOWN
    await session.execute(delete(PersonalToken).where(old))


def _owner(condition: Any) -> Prepared:
    """Whose token it is, unless it expired or the account is disabled."""
    statement: Any = (
        select(  # type: ignore[call-overload]
            User.id,
            User.username,
            User.role,
            PersonalToken.scope,
            PersonalToken.used_at,
            col(PersonalToken.id).label("token_id"),
        )
        .join(PersonalToken, col(PersonalToken.user_id) == User.id)
        .where(
            condition,
            PersonalToken.expires_at > func.statement_timestamp(),
            col(User.disabled_at).is_(None),
        )
    )
    return prepare(statement)


@cache
def _owner_by_hash() -> Prepared:
    return _owner(col(PersonalToken.token_hash) == text_parameter("token_hash"))


@cache
def _owner_by_id() -> Prepared:
    return _owner(col(PersonalToken.id) == bindparam("token_id", type_=Uuid()))


def _actor(row: Row) -> Actor:
    """No more than the role holds now."""
    role = Role(row["role"])
    scopes = frozenset(row["scope"].split()) & SCOPES_OF_ROLE[role] & frozenset(APP_SCOPES)
    return Actor(row["id"], row["username"], role, scopes, token_id=row["token_id"])


async def find_token_actor(database: Database, token: str) -> Actor | None:
    """The person behind a token, asked anew for each request."""
    if not well_formed(token):
        return None
    rows = await database.fetch(_owner_by_hash(), {"token_hash": hash_token(token)})
    if not rows:
        return None
    row, now = rows[0], utcnow()
    if row["used_at"] is None or now - row["used_at"] > USED_EVERY:
        await _mark_used(database, row["token_id"], now)
    return _actor(row)


async def renew_any_actor(reader: Reader, actor: Actor) -> Actor | None:
    """The same person some time later; None when the sign-in or the token ended."""
    if actor.token_id is None:
        return await renew_actor(reader, actor)
    rows = await reader.fetch(_owner_by_id(), {"token_id": actor.token_id})
    return _actor(rows[0]) if rows else None


async def _mark_used(database: Database, token_id: UUID, now: datetime) -> None:
    async with database.transaction() as session:
        used = update(PersonalToken).where(col(PersonalToken.id) == token_id)
        await session.execute(used.values(used_at=now))


class TokenOwners:
    """Whose the tokens were that this process saw: what rate limits count against.

    It says nothing of whether they still work, and holds their hashes only.
    """

    def __init__(self) -> None:
        self._owners: OrderedDict[bytes, str] = OrderedDict()

    def remember(self, token: str, user_id: UUID) -> None:
        self._owners[_digest(token)] = str(user_id)
        if len(self._owners) > _REMEMBERED:
            self._owners.popitem(last=False)

    def forget(self, token: str) -> None:
        self._owners.pop(_digest(token), None)

    def find(self, token: str) -> str | None:
        return self._owners.get(_digest(token))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
