"""`Idempotency-Key`: a retry gets the first answer (draft-ietf-httpapi-idempotency-key-header).

The key's row, the write and the stored answer are one transaction, so a crash leaves all of them
or none. A refused request (4xx) rolls back and leaves no row: its retry is judged anew.

A request of several statements takes its key first (`reserve`) and stores its answer last. One
that is a single statement (`expect`) writes key and answer with the rest, and looks for an earlier
answer when it is refused.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Annotated, Any

from fastapi import Header, Request
from sqlalchemy import bindparam, delete, literal_column, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import col
from starlette.responses import Response

from backend_hub.db import AsyncSession, Database, UTCDateTime, constraint_name, sqlstate, utcnow
from backend_hub.errors import Conflict, Unprocessable
from backend_hub.http.models import IdempotencyRecord
from backend_hub.inserting import Row
from backend_hub.settings import Settings
from backend_hub.statements import Prepared, Reader, prepare

KEPT = timedelta(hours=24)
SOON = {"Retry-After": "1"}
LOCKED = "55P03"
"""lock_not_available: whoever has the row did not end in time."""

IdempotencyKeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Any unique text, such as a UUID. Sent again within 24 hours, the first "
        "answer comes back with `Idempotency-Replayed: true` and nothing is done twice.",
    ),
]


class IdempotencyInProgress(Conflict):
    code, title = "idempotency_in_progress", "The first request with this key is still running"


class IdempotencyKeyReused(Unprocessable):
    code, title = "idempotency_key_reused", "This key was used for another request"


class Replay(Exception):
    """Not an error: ends the request early with the answer that was given before."""

    def __init__(self, response: Response) -> None:
        self.response = response


@dataclass(frozen=True, slots=True)
class Key:
    """The key of a request, and what tells that request from another."""

    owner: str
    key: str
    request_hash: str

    def columns(self) -> dict[str, str]:
        return {"owner": self.owner, "key": self.key, "request_hash": self.request_hash}

    def answer(self, location: str) -> Row:
        """The row of the request that made what is at the location, but for the body.

        Written together with that (`insert_together`), it is refused when the key is taken: all of
        it is undone, and `attempt` finds the first answer.
        """
        made = {"status": 201, "location": location, "etag": '"1"'}
        return IdempotencyRecord, {**self.columns(), "created_at": utcnow(), **made}


async def expect(request: Request, owner: str, key: str) -> Key:
    """The key of a request that makes what it makes by one statement."""
    request.state.key = found = Key(owner, key, await _fingerprint(request))
    return found


async def reserve(session: AsyncSession, request: Request, owner: str, key: str) -> None:
    """Take the key for this request; raises Replay when it already has its answer.

    A concurrent twin waits on the row of the first, up to the lock timeout.
    """
    wanted = Key(owner, key, await _fingerprint(request))
    now = utcnow()
    row = {**wanted.columns(), "created_at": now, "too_old": now - KEPT}
    try:
        reserved = await session.fetch(_reserve(), row)
    except DBAPIError as error:
        if sqlstate(error) == LOCKED:
            raise IdempotencyInProgress(headers=SOON) from None
        raise
    if not reserved and (response := await first_answer(session, wanted)) is not None:
        raise Replay(response)
    request.state.idempotency = wanted


COLUMNS = IdempotencyRecord.__table__.c  # type: ignore[attr-defined]
TOO_OLD = bindparam("too_old", type_=UTCDateTime)


def _parameters(*names: str) -> dict[str, Any]:
    return {name: bindparam(name, type_=COLUMNS[name].type) for name in names}


def _of_key(statement: Any) -> Any:
    """Only the row of the parameters `owner` and `key`."""
    return statement.where(*(COLUMNS[name] == value for name, value in KEY.items()))


KEY = _parameters("owner", "key")


@cache
def _reserve() -> Prepared:
    """A row where the key was taken: it was new, or its answer is too old."""
    row = _parameters("owner", "key", "request_hash", "created_at")
    taken = (
        insert(IdempotencyRecord)
        .values(row)
        .on_conflict_do_update(
            index_elements=["owner", "key"],
            set_={**row, "status": null(), "body": null()},
            where=COLUMNS.created_at < TOO_OLD,
        )
        .returning(col(IdempotencyRecord.key))
        .cte("taken")
    )
    return prepare(select(taken))


@cache
def _remember() -> Prepared:
    answer = _parameters("status", "location", "etag", "body")
    kept = _of_key(update(IdempotencyRecord)).values(answer).cte("kept")
    return prepare(select(literal_column("1").label("done")).add_cte(kept))


async def _fingerprint(request: Request) -> str:
    """What tells one request from another.

    Keyed with the hub's secret: the body may hold a password, and a bare hash of it in a
    stolen database could be guessed a million times faster than the password's own.
    """
    settings: Settings = request.app.state.settings
    path = request.scope["path"].encode("utf-8", "surrogateescape")
    parts = (request.method.encode(), path, await request.body())
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    return hmac.digest(settings.secret_key.get_secret_value().encode(), digests, "sha256").hex()


async def first_answer(reader: Reader, key: Key) -> Response | None:
    """What was answered to the request that had the key first; raises IdempotencyKeyReused when
    that was another request."""
    rows = await reader.fetch(_first_answer(), {**key.columns(), "too_old": utcnow() - KEPT})
    if not rows:
        return None
    found = rows[0]
    if found["request_hash"] != key.request_hash:
        raise IdempotencyKeyReused(loc=("header", "Idempotency-Key"))
    response = Response(found["body"], found["status"] or 200, media_type="application/json")
    response.headers["Idempotency-Replayed"] = "true"
    for name in ("location", "etag"):
        if found[name] is not None:
            response.headers[name] = found[name]
    return response


@cache
def _first_answer() -> Prepared:
    return prepare(_of_key(select(*COLUMNS).where(COLUMNS.created_at >= TOO_OLD)))


async def answer_again(request: Request, error: Exception) -> Response | None:
    """The first answer to a refused request, if there is one to its key."""
    key: Key | None = getattr(request.state, "key", None)
    if key is None:
        return None
    if sqlstate(error) == LOCKED:
        raise IdempotencyInProgress(headers=SOON) from None
    database: Database = request.app.state.database
    response = await first_answer(database, key)
    if response is None and key_taken(error):  # for too long: it is free for the next attempt
        await database.write(_forget(), {**key.columns(), "too_old": utcnow() - KEPT})
    return response


def key_taken(error: Exception) -> bool:
    """Whether the row of a key was refused, because there is one."""
    return constraint_name(error) == f"pk_{IdempotencyRecord.__tablename__}"


@cache
def _forget() -> Prepared:
    gone = _of_key(delete(IdempotencyRecord).where(COLUMNS.created_at < TOO_OLD)).cte("gone")
    return prepare(select(literal_column("1").label("done")).add_cte(gone))


async def remember(request: Request, response: Response) -> None:
    """Store the answer beside the write, before the transaction commits."""
    reserved: Key | None = getattr(request.state, "idempotency", None)
    if reserved is None:
        return
    session: AsyncSession = request.state.session
    answer = {
        "status": response.status_code,
        "location": response.headers.get("location"),
        "etag": response.headers.get("etag"),
        "body": bytes(response.body),
    }
    await session.fetch(_remember(), {**reserved.columns(), **answer})


async def purge_expired(session: AsyncSession) -> None:
    await session.execute(
        delete(IdempotencyRecord).where(col(IdempotencyRecord.created_at) < utcnow() - KEPT)
    )
