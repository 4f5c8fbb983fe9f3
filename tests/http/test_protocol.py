"""How answers are written to the socket, by the protocol that serves the hub."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from backend_hub.http.protocol import HubProtocol

HOST = "127.0.0.1"
AT_MOST = 5.0
"""Seconds that a test waits for an answer."""


class Watched:
    """A real transport, and what was written to it."""

    def __init__(self, transport: asyncio.Transport, written: list[bytes]) -> None:
        self._transport, self._written = transport, written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._written.append(data)
        self._transport.write(data)


class Server:
    """A few answers behind the protocol."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.more = asyncio.Event()
        self.port = 0

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/stream":
            await StreamingResponse(self.parts(), media_type="text/plain")(scope, receive, send)
        else:
            await PlainTextResponse("hello")(scope, receive, send)

    async def parts(self) -> AsyncIterator[str]:
        await self.more.wait()
        yield "one"
        yield "two"

    async def ask(self, request: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(f"{request} HTTP/1.1\r\nHost: hub\r\n\r\n".encode())
        return reader, writer


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    config = Config(server.app, interface="asgi3", log_config=None, access_log=False)
    config.load()

    class Protocol(HubProtocol):
        def connection_made(self, transport: Any) -> None:
            watched: Any = Watched(transport, server.written)
            super().connection_made(watched)

    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Protocol(config, ServerState(), {}), HOST, 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening, asyncio.timeout(AT_MOST):
        yield server


async def test_a_header_and_its_body_are_one_write() -> None:
    async with serving() as server:
        reader, writer = await server.ask("GET /")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(5) == b"hello"
        assert len(server.written) == 1
        writer.write(b"GET / HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\nhello")
        assert len(server.written) == 2
        writer.close()


async def test_a_header_does_not_wait_for_a_body_that_comes_later() -> None:
    async with serving() as server:
        reader, writer = await server.ask("GET /stream")
        assert b"transfer-encoding: chunked" in await reader.readuntil(b"\r\n\r\n")
        server.more.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        writer.close()


@pytest.mark.parametrize("request_line", ["HEAD /", "nonsense"])
async def test_an_answer_without_a_body_is_sent(request_line: str) -> None:
    async with serving() as server:
        reader, writer = await server.ask(request_line)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 ")
        writer.close()
