"""What speaks HTTP: uvicorn's protocol, with a deadline for headers and fewer writes."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend_hub.settings import get_settings


class OneWrite:
    """A transport that sends the header of an answer in one write with its body.

    uvicorn writes them apart, which are two system calls and, without Nagle's algorithm, two
    packets. What is written waits for what follows in the same turn of the loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: bytes | None = None

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
