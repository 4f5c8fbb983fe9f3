"""Request ids, W3C trace context, and one log line a request."""

import re
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend_hub.db import new_id

log = structlog.get_logger("backend_hub.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def route_template(scope: Scope) -> str | None:
    """The route that answered, such as `/api/v1/questions/{question_id}`; None for none.

    The `route` of an included router knows only its own part of the path; FastAPI keeps the whole
    beside it.
    """
    whole = scope.get("fastapi", {}).get("effective_route_context")
    # `path_format` is the path as the OpenAPI document has it, without convertors.
    path: str | None = getattr(whole or scope.get("route"), "path_format", None)
    return path


class RequestContextMiddleware:
    """A valid `X-Request-ID` is kept, else one is made; both ids are in every log line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(new_id())
        scope.setdefault("state", {})["request_id"] = request_id
        trace = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if trace and set(trace[1]) != {"0"} and set(trace[2]) != {"0"}:
            structlog.contextvars.bind_contextvars(trace_id=trace[1], parent_id=trace[2])
        started = time.perf_counter()
        status = 0

        async def identify(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, identify)
        finally:
            actor = scope["state"].get("actor")
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                route=route_template(scope),
                actor=str(actor.id) if actor else None,
                status=status,
                milliseconds=round((time.perf_counter() - started) * 1000, 1),
            )
