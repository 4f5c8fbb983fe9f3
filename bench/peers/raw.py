"""The limit: uvicorn and asyncpg with nothing between, the JSON built by PostgreSQL."""

import os
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import asyncpg

from bench.peers.sql import RESOURCES, SEARCH, SUMMARIES, WHOLE

POOL: list[Any] = []
HEADERS = [(b"content-type", b"application/json")]


async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
    if scope["type"] == "lifespan":
        await receive()
        POOL.append(await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    path: str = scope["path"]
    if path == "/health":
        body = '{"status":"ok"}'
    elif path == "/questions":
        body = await POOL[0].fetchval(SUMMARIES)
    elif path.startswith("/questions/"):
        body = await POOL[0].fetchval(WHOLE, UUID(path[11:]))
    elif path == "/search":
        words = parse_qs(scope["query_string"].decode())["q"][0]
        body = await POOL[0].fetchval(SEARCH, words)
    else:
        topic = parse_qs(scope["query_string"].decode())["topic"][0]
        body = await POOL[0].fetchval(RESOURCES, topic)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": body.encode()})
