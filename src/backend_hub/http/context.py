"""Request ids, W3C trace context, and one log line a request."""

import re
import time

import structlog
from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from backend_hub.http.headers import first
from backend_hub.logs import log_request

TRACED = "fastapi.telemetry"
"""In the scope of a request whose steps FastAPI tells of."""
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
        ids = _ids(scope)
        scope.setdefault("state", {})["request_id"] = ids["request_id"]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**ids)
        started = time.perf_counter()
        status = 0

        async def identify(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (b"x-request-id", ids["request_id"].encode())
                message["headers"] = [*message["headers"], own]
            await send(message)

        try:
            await self.app(scope, receive, identify)
        finally:
            actor = scope["state"].get("actor")
            log_request(
                method=scope["method"],
                path=scope["path"],
                route=route_template(scope),
                actor=str(actor.id) if actor else None,
                status=status,
                milliseconds=round((time.perf_counter() - started) * 1000, 1),
                **ids,
            )


def _ids(scope: Scope) -> dict[str, str]:
    """Of the request, and of the trace that it is part of: its own span's, when traces are on."""
    headers = scope["headers"]
    given = (first(headers, b"x-request-id") or b"").decode("latin-1")
    ids = {"request_id": given if _REQUEST_ID.fullmatch(given) else str(uuid7())}
    parent = first(headers, b"traceparent")
    caller = _TRACEPARENT.fullmatch(parent.decode("latin-1")) if parent else None
    if caller and set(caller[1]) != {"0"} and set(caller[2]) != {"0"}:
        ids |= {"trace_id": caller[1], "parent_id": caller[2]}
    if TRACED not in scope:
        return ids
    span = trace.get_current_span().get_span_context()
    if span.is_valid and (own := f"{span.trace_id:032x}") != ids.get("trace_id"):
        ids["trace_id"] = own
        ids.pop("parent_id", None)
    return ids
