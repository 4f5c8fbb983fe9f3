"""Every 4xx and 5xx as `application/problem+json` (RFC 9457), made in one place."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend_hub.db import refusal_for
from backend_hub.errors import HubError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "body_too_slow",
    413: "body_too_large",
    415: "unsupported_media_type",
}
MAX_ERRORS = 50


class InvalidField(BaseModel):
    """One thing that is wrong with a request."""

    loc: list[Annotated[str, Field(max_length=200)] | Annotated[int, Field(ge=0, le=2**31 - 1)]] = (
        Field(
            max_length=100,
            description="Where: `body`, `query`, `path` or `header`, then the names.",
        )
    )
    msg: str = Field(max_length=1_000)
    type: str = Field(max_length=100, description="A stable word for the kind of mistake.")


class Problem(BaseModel):
    """What went wrong, for a person and for a program (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(max_length=200, description="`about:blank`: the status says it all.")
    title: str = Field(max_length=200)
    status: int = Field(ge=400, le=599)
    detail: str = Field(max_length=2_000)
    code: str = Field(max_length=60, description="Stable: switch on this, not on the title.")
    request_id: str = Field(max_length=128, description="Quote it when you ask for help.")
    errors: list[InvalidField] | None = Field(None, max_length=MAX_ERRORS)


def problem_response(
    scope: Scope,
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    document = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": scope.get("state", {}).get("request_id", ""),
        **(extra or {}),
    }
    return Response(
        orjson.dumps(document, default=str),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def hub_error_response(scope: Scope, error: HubError) -> Response:
    return problem_response(
        scope,
        error.status,
        error.code,
        error.title,
        error.detail,
        headers=error.headers,
        extra=error.extra,
    )


def problem_for(
    scope: Scope,
    status: HTTPStatus,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The problem of a status that is no HubError's."""
    return problem_response(
        scope,
        status,
        CODES.get(status, status.phrase.lower().replace(" ", "_")),
        status.phrase,
        detail or status.description or status.phrase,
        headers=headers,
    )


def _http_error_response(scope: Scope, error: HTTPException) -> Response:
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {**(headers or {}), "Allow": ", ".join(sorted(allowed_methods(scope)))}
    return problem_for(scope, HTTPStatus(error.status_code), str(error.detail or ""), headers)


def allowed_methods(scope: Scope) -> set[str]:
    """Every method of the path; Starlette names those of the first route that has it."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    methods: set[str] = set()
    for context in iter_route_contexts(scope["app"].routes):
        if context.methods and context.path and compile_path(context.path)[0].match(path):
            methods |= context.methods
    return methods | ({"HEAD"} if "GET" in methods else set())


def _validation_response(scope: Scope, error: RequestValidationError) -> Response:
    """422 without `input` and `ctx`: what was sent is never echoed (it may be NaN, or a password).

    Locations are cleaned too: a field's unknown name may hold a lone surrogate.
    """
    errors = [
        {
            "loc": [
                part if isinstance(part, int) else _printable(str(part))[:200]
                for part in item["loc"]
            ],
            "msg": _printable(_message(item))[:500],
            "type": item["type"],
        }
        for item in error.errors()[:MAX_ERRORS]
    ]
    where = ".".join(str(part) for part in errors[0]["loc"]) if errors else "request"
    detail = f"{where}: {errors[0]['msg']}" if errors else "The request is not valid"
    return problem_response(
        scope,
        422,
        "validation_failed",
        "The request is not valid",
        detail,
        extra={"errors": errors},
    )


def _message(item: Mapping[str, Any]) -> str:
    """Pydantic's words, but for the one kind of message that repeats what was sent."""
    if item["type"] == "union_tag_invalid":
        context = item["ctx"]
        return f"{context['discriminator']} must be one of {context['expected_tags']}"
    return str(item["msg"])


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")


def error_response(scope: Scope, error: Exception) -> Response | None:
    """The answer to an exception, or None when it is a mistake of ours."""
    if isinstance(error, HubError):
        return hub_error_response(scope, error)
    if isinstance(error, RequestValidationError):
        return _validation_response(scope, error)
    if isinstance(error, HTTPException):
        return _http_error_response(scope, error)
    refusal = refusal_for(error)
    return hub_error_response(scope, refusal) if refusal else None


ANSWERED = (HubError, RequestValidationError, HTTPException)
"""What an endpoint raises for an answer; what else escapes is the outer layer's."""


def install(app: FastAPI) -> None:
    """Answer the framework's own errors, and ours, as problems."""

    async def handle(request: Request, error: Exception) -> Response:
        response = error_response(request.scope, error)
        if response is None:
            raise error
        return response

    for kind in ANSWERED:
        app.add_exception_handler(kind, handle)


class ProblemMiddleware:
    """The outermost layer: whatever escapes becomes an answer, never a broken connection.

    It does not re-raise: uvicorn closes the socket after an exception, and the client's next
    request on that connection would fail too.
    """

    def __init__(
        self, app: ASGIApp, refuse: Callable[[Scope, HubError], Response] = hub_error_response
    ) -> None:
        self.app, self.refuse = app, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            response = self._answer(scope, error)
            if response is None:
                log.exception("request failed", path=scope["path"])
                response = self.refuse(scope, HubError("The hub made a mistake"))
            elif response.status_code >= 500:
                log.warning("request refused", path=scope["path"], error=type(error).__name__)
            if started:  # half an answer is out: all that is left is to break it off
                raise
            await response(scope, receive, send)

    def _answer(self, scope: Scope, error: Exception) -> Response | None:
        refusal = error if isinstance(error, HubError) else refusal_for(error)
        return self.refuse(scope, refusal) if refusal else error_response(scope, error)
