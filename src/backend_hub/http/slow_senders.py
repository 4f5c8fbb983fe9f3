"""Clients that send a body byte by byte: a deadline for it. Headers have theirs in `protocol.py`.

uvicorn limits neither: it only closes connections that are idle between two requests.
"""

import asyncio
import contextlib

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_SECONDS = 2.0


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
