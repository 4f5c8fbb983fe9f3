"""The headers that keep a browser from guessing, framing or leaking."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
API_POLICY = "default-src 'none'; frame-ancestors 'none'"


class SecurityHeadersMiddleware:
    """Sets each header that the answer does not set itself; pages bring their own policy."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        headers = {**_COMMON, "Content-Security-Policy": API_POLICY}
        if https:
            headers["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains"
        self.headers = Headers(headers).raw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def protect(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                missing = [header for header in self.headers if header[0] not in present]
                message["headers"] = [*message["headers"], *missing]
            await send(message)

        await self.app(scope, receive, protect if scope["type"] == "http" else send)
