"""The limit: uvicorn and asyncpg with nothing between, the JSON built by PostgreSQL."""

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import asyncpg
import orjson
from pwdlib.hashers.argon2 import Argon2Hasher
from uuid_utils.compat import uuid7

from bench.peers import sql

POOL: list[Any] = []
JSON = (b"content-type", b"application/json")
SECRET = os.environ["BENCH_SECRET"].encode()
HASHER = Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")


def _signature(signed: bytes) -> bytes:
    digest = hmac.digest(SECRET, signed, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=")


def token_for(user_id: str) -> str:
    claims = base64.urlsafe_b64encode(orjson.dumps({"sub": user_id})).rstrip(b"=")
    signed = HEADER + b"." + claims
    return (signed + b"." + _signature(signed)).decode()


def _who(headers: dict[bytes, bytes]) -> UUID | None:
    """Whose bearer token it is."""
    signed, _, signature = headers.get(b"authorization", b"")[7:].rpartition(b".")
    if not hmac.compare_digest(_signature(signed), signature):
        return None
    claims = signed.partition(b".")[2]
    return UUID(orjson.loads(base64.urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)))["sub"])


async def _body(receive: Callable[[], Awaitable[Any]]) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


Answer = tuple[int, str, list[tuple[bytes, bytes]]]


async def _questions(scope: Any, headers: dict[bytes, bytes]) -> Answer:
    if scope["query_string"]:
        before = UUID(parse_qs(scope["query_string"].decode())["before"][0])
        body, tag = await POOL[0].fetchrow(sql.BEFORE, before)
    elif (known := headers.get(b"if-none-match")) is not None:
        etag = (await POOL[0].fetchval(sql.ENTITY_TAG)).encode()
        if known.strip(b'"') == etag:
            return 304, "", [(b"etag", known)]
        body, tag = await POOL[0].fetchrow(sql.SUMMARIES)
    else:
        body, tag = await POOL[0].fetchrow(sql.SUMMARIES)
    return 200, body, [JSON, (b"etag", b'"' + tag.encode() + b'"')]


async def _ask(headers: dict[bytes, bytes], body: bytes) -> Answer:
    user_id, key = _who(headers), headers.get(b"idempotency-key", b"").decode()
    if user_id is None:
        return 401, "{}", [JSON]
    form, post_id, digest = orjson.loads(body), uuid7(), hashlib.sha256(body).hexdigest()
    text = f"<p>{escape(form['body'])}</p>\n"
    made = await POOL[0].fetchval(
        sql.ASK,
        *(user_id, post_id, form["title"], form["body"], text),
        *(form["topic"], form["tags"], key, digest),
    )
    made = made or await POOL[0].fetchval(sql.REPLAY, user_id, key, digest)
    return (201, made, [JSON]) if made else (422, "{}", [JSON])


async def _vote(post_id: str, headers: dict[bytes, bytes], body: bytes) -> Answer:
    if (user_id := _who(headers)) is None:
        return 401, "{}", [JSON]
    value = orjson.loads(body)["value"]
    voted = await POOL[0].fetchval(sql.VOTE, user_id, UUID(post_id), value)
    return (200, voted, [JSON]) if voted else (404, "{}", [JSON])


async def _sign_in(body: bytes) -> Answer:
    form = parse_qs(body.decode())
    found = await POOL[0].fetchrow(sql.CREDENTIALS, form["username"][0])
    known = found and await asyncio.to_thread(
        HASHER.verify, form["password"][0], found["password_hash"]
    )
    if not known:
        return 401, "{}", [JSON]
    refresh = secrets.token_urlsafe(32)
    digest = hashlib.sha256(refresh.encode()).hexdigest()
    await POOL[0].execute(sql.SIGN_IN, uuid7(), found["id"], uuid7(), digest)
    tokens = {"access_token": token_for(str(found["id"])), "refresh_token": refresh}
    return 200, orjson.dumps(tokens).decode(), [JSON]


async def _answer(scope: Any, receive: Callable[[], Awaitable[Any]]) -> Answer:
    path: str = scope["path"]
    headers = dict(scope["headers"]) if path != "/health" else {}
    if scope["method"] == "POST" and path == "/questions":
        return await _ask(headers, await _body(receive))
    if scope["method"] == "PUT":
        return await _vote(path[7:43], headers, await _body(receive))
    if path == "/sign-in":
        return await _sign_in(await _body(receive))
    if path == "/questions":
        return await _questions(scope, headers)
    if path == "/health":
        body = '{"status":"ok"}'
    elif path.startswith("/questions/"):
        body = await POOL[0].fetchval(sql.WHOLE, UUID(path[11:]))
    elif path == "/search":
        words = parse_qs(scope["query_string"].decode())["q"][0]
        body = await POOL[0].fetchval(sql.SEARCH, words)
    else:
        topic = parse_qs(scope["query_string"].decode())["topic"][0]
        body = await POOL[0].fetchval(sql.RESOURCES, topic)
    return 200, body, [JSON]


async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
    if scope["type"] == "lifespan":
        await receive()
        POOL.append(await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    status, body, headers = await _answer(scope, receive)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
