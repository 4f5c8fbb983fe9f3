"""`Idempotency-Key`: a retry gets the first answer (draft-ietf-httpapi-idempotency-key-header).

The key's row, the write and the stored answer are one transaction, so a crash leaves all of them
or none. A refused request (4xx) rolls back and leaves no row: its retry is judged anew.
"""

import hashlib
import hmac
from datetime import timedelta
from functools import cache
from typing import Annotated, Any

from fastapi import Header, Request
from sqlalchemy import bindparam, delete, literal_column, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import col
from starlette.responses import Response

from backend_hub.db import AsyncSession, UTCDateTime, sqlstate, utcnow
from backend_hub.errors import Conflict, Unprocessable
from backend_hub.http.models import IdempotencyRecord
from backend_hub.settings import Settings
from backend_hub.statements import Prepared, prepare

KEPT = timedelta(hours=24)

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


async def reserve(session: AsyncSession, request: Request, owner: str, key: str) -> None:
    """Take the key for this request; raises Replay when it already has its answer.

    A concurrent twin waits on the row of the first, up to the lock timeout.
    """
    request_hash = await _fingerprint(request)
    now = utcnow()
    row = {"owner": owner, "key": key, "request_hash": request_hash, "created_at": now}
    try:
        reserved = await session.fetch(_reserve(), {**row, "too_old": now - KEPT})
    except DBAPIError as error:
        if sqlstate(error) == "55P03":
            raise IdempotencyInProgress(headers={"Retry-After": "1"}) from None
        raise
    if not reserved:
        raise Replay(await _stored_answer(session, owner, key, request_hash))
    request.state.idempotency = (owner, key)


def _parameters(*names: str) -> dict[str, Any]:
    columns = IdempotencyRecord.__table__.c  # type: ignore[attr-defined]
    return {name: bindparam(name, type_=columns[name].type) for name in names}


@cache
def _reserve() -> Prepared:
    """A row where the key was taken: it was new, or its answer is too old."""
    row = _parameters("owner", "key", "request_hash", "created_at")
    too_old = bindparam("too_old", type_=UTCDateTime)
    taken = (
        insert(IdempotencyRecord)
        .values(row)
        .on_conflict_do_update(
            index_elements=["owner", "key"],
            set_={**row, "status": null(), "body": null()},
            where=col(IdempotencyRecord.created_at) < too_old,
        )
        .returning(col(IdempotencyRecord.key))
        .cte("taken")
    )
    return prepare(select(taken))


@cache
def _remember() -> Prepared:
    key = _parameters("owner", "key")
    answer = _parameters("status", "location", "etag", "body")
    kept = (
        update(IdempotencyRecord)
        .where(
            col(IdempotencyRecord.owner) == key["owner"], col(IdempotencyRecord.key) == key["key"]
        )
        .values(answer)
        .cte("kept")
    )
    return prepare(select(literal_column("1").label("done")).add_cte(kept))


async def _fingerprint(request: Request) -> str:
    """What tells one request from another.

    Keyed with the hub's secret: the body may hold a password, and a bare hash of it in a
    stolen database could be guessed a million times faster than the password's own.
    """
    settings: Settings = request.app.state.settings
    digest = hmac.new(settings.secret_key.get_secret_value().encode(), digestmod=hashlib.sha256)
    path = request.scope["path"].encode("utf-8", "surrogateescape")
    for part in (request.method.encode(), path, await request.body()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


async def _stored_answer(
    session: AsyncSession, owner: str, key: str, request_hash: str
) -> Response:
    record = await session.get_one(IdempotencyRecord, (owner, key))
    if record.request_hash != request_hash:
        raise IdempotencyKeyReused(loc=("header", "Idempotency-Key"))
    response = Response(record.body, record.status or 200, media_type="application/json")
    response.headers["Idempotency-Replayed"] = "true"
    for name, value in (("Location", record.location), ("ETag", record.etag)):
        if value is not None:
            response.headers[name] = value
    return response


async def remember(request: Request, response: Response) -> None:
    """Store the answer beside the write, before the transaction commits."""
    if (reserved := getattr(request.state, "idempotency", None)) is None:
        return
    owner, key = reserved
    session: AsyncSession = request.state.session
    answer = {
        "status": response.status_code,
        "location": response.headers.get("location"),
        "etag": response.headers.get("etag"),
        "body": bytes(response.body),
    }
    await session.fetch(_remember(), {"owner": owner, "key": key, **answer})


async def purge_expired(session: AsyncSession) -> None:
    await session.execute(
        delete(IdempotencyRecord).where(col(IdempotencyRecord.created_at) < utcnow() - KEPT)
    )
