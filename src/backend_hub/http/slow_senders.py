"""Clients that send byte by byte: a deadline for the header, and one for the body.

uvicorn limits neither: it only closes connections that are idle between two requests.
"""

import asyncio
import contextlib
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend_hub.settings import get_settings

LINGER_SECONDS = 2.0


class OneWrite:
    """A transport that sends the header of an answer in one write with its body.

    uvicorn writes them apart, which are two system calls and, without Nagle's algorithm, two
    packets. What is written waits for what follows in the same turn of the loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: bytes | None = None
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._held is None:
            self._held = data
            self._loop.call_soon(self._flush)
        else:
            whole, self._held = self._held + data, None
            self._transport.write(whole)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._transport.write(held)


class HubProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which closes a connection whose header takes too long.

    Almost every header comes in one piece, so a timer is set only when one did not.
    """

    _header_begun = True
    _header_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, OneWrite(transport, self.loop)))
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._header_begun and self._header_deadline is None:
            self._expect_header()

    def on_message_begin(self) -> None:
        self._header_begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._header_arrived()
        super().on_headers_complete()

    def _expect_header(self) -> None:
        seconds = get_settings().request_header_timeout
        self._header_deadline = self.loop.call_later(seconds, self._give_up)

    def _header_arrived(self) -> None:
        self._header_begun = False
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None

    def _give_up(self) -> None:
        """Nobody reads an answer in the middle of their own header: close without one."""
        self._header_deadline = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_header()  # an earlier request on the connection is still being answered
        elif not self.transport.is_closing():
            self.transport.close()


class BodyDeadlineMiddleware:
    """408 for a body that is not complete in time; it was waiting for nothing but its client.

    A connection closed while its client still writes is reset, and a reset may overtake the answer
    (RFC 9112, section 9.6). So the whole answer is sent, and what comes is read for a moment more.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self.seconds
        complete = late = False

        async def receive_in_time() -> Message:
            nonlocal complete, late
            if complete:  # what remains to be heard is that the client has gone
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                late = True
                # An HTTPException is the one kind that FastAPI lets through while it reads.
                raise HTTPException(
                    408, "The body did not arrive in time", {"Connection": "close"}
                ) from None
            complete = not message.get("more_body", False)
            return message

        async def send_and_linger(message: Message) -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if late and last:
                await send({**message, "more_body": True})
                await drain(receive)
                message = {"type": "http.response.body"}
            await send(message)

        await self.app(scope, receive_in_time, send_and_linger)


async def drain(receive: Receive) -> None:
    """Throw away what a client still sends, until it is done or has had time to read its answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
