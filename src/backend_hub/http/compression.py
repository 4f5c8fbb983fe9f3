"""gzip, with an ETag of its own for the compressed form."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MINIMUM_SIZE = 2_000
"""Bytes; less is not worth compressing."""
GZIP_SUFFIX = "-gzip"


def accepts_gzip(headers: Headers) -> bool:
    """Whether the client takes gzip; `gzip;q=0` says that it does not (RFC 9110 12.5.3)."""
    for part in ",".join(headers.getlist("accept-encoding")).lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in {"gzip", "x-gzip"}:
            return weight.replace(" ", "").rstrip("0").rstrip(".") not in {"q=", "q=0"}
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
                headers = MutableHeaders(scope=message)
                etag = headers.get("etag", "")
                if etag and "accept-encoding" not in headers.get("vary", "").lower():
                    headers.add_vary_header("Accept-Encoding")  # on a 304 and a short 200 too
                if etag.startswith('"') and headers.get("content-encoding") == "gzip":
                    headers["etag"] = f'{etag[:-1]}{GZIP_SUFFIX}"'
            await send(message)

        layer = self.app
        if accepts_gzip(Headers(scope=scope)):
            layer = GZipResponder(self.app, MINIMUM_SIZE, compresslevel=1)
        await layer(scope, receive, label)
