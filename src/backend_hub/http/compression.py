"""gzip, with an ETag of its own for the compressed form."""

from starlette.middleware.gzip import GZipResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend_hub.http.headers import Pairs, every, first, varied, without

MINIMUM_SIZE = 2_000
"""Bytes; less is not worth compressing."""
GZIP_SUFFIX = "-gzip"


def accepts_gzip(headers: Pairs) -> bool:
    """Whether the client takes gzip; `gzip;q=0` says that it does not (RFC 9110 12.5.3)."""
    for part in b",".join(every(headers, b"accept-encoding")).lower().split(b","):
        coding, _, weight = part.partition(b";")
        if coding.strip() in {b"gzip", b"x-gzip"}:
            return weight.replace(b" ", b"").rstrip(b"0").rstrip(b".") not in {b"q=", b"q=0"}
    return False


class CompressionMiddleware:
    """Compresses large answers for clients that take it.

    A strong ETag names one sequence of bytes, so the compressed form gets its own: the tag ends
    in `-gzip` (RFC 9110 section 8.8.3.3, docs/decisions/0004-etags.md).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def label(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _labelled(message["headers"])
            await send(message)

        layer = self.app
        if accepts_gzip(scope["headers"]):
            layer = GZipResponder(self.app, MINIMUM_SIZE, compresslevel=1)
        await layer(scope, receive, label)


def _labelled(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    etag = first(headers, b"etag")
    if etag is None:
        return headers
    if etag.startswith(b'"') and first(headers, b"content-encoding") == b"gzip":
        compressed = etag[:-1] + GZIP_SUFFIX.encode() + b'"'
        headers = [*without(headers, b"etag"), (b"etag", compressed)]
    return varied(headers, b"Accept-Encoding")  # on a 304 and a short 200 too
