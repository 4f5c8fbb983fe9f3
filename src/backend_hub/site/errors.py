"""Refusals as pages, for whoever reads pages; programs keep problem documents."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from backend_hub.errors import HubError
from backend_hub.http.problems import hub_error_response
from backend_hub.site.browser import see_other
from backend_hub.site.entering import NeedsSignIn
from backend_hub.site.templating import page

FOR_PROGRAMS = ("/api/", "/oauth/", "/health/", "/.well-known/", "/static/", "/openapi.json")

Handler = Callable[[Request, Any], Awaitable[Response]]


def wants_page(request: Request) -> bool:
    """Whether a person asks: a browser, outside the API."""
    asks = "text/html" in request.headers.get("accept", "")
    return asks and not request.url.path.startswith(FOR_PROGRAMS)


def _words(error: Exception) -> tuple[int, str, str]:
    """Status, title and detail; an address that cannot be read leads nowhere, hence 404."""
    if isinstance(error, HubError) and error.status != 404:
        return error.status, error.title, error.detail
    if isinstance(error, HTTPException) and error.status_code != 404:
        return error.status_code, "That did not work", str(error.detail)
    return 404, "There is nothing here", "It may have been moved or deleted, or never existed."


def _or_page(answer: Handler) -> Handler:
    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, NeedsSignIn):
            return see_other(error.location)
        if not wants_page(request):
            return await answer(request, error)
        return _page_of(request, error)

    return handle


def _page_of(request: Request, error: Exception) -> Response:
    status, title, detail = _words(error)
    response = page(request, "error.html", status=status, title=title, detail=detail)
    response.headers.update(getattr(error, "headers", None) or {})
    response.headers["Cache-Control"] = "no-store"
    return response


def refusal_response(scope: Scope, error: HubError) -> Response:
    """A refusal of a middleware: a page for whoever reads pages."""
    request = Request(scope)
    return _page_of(request, error) if wants_page(request) else hub_error_response(scope, error)


def install(app: FastAPI) -> None:
    """Put pages before the handlers that answer with problem documents."""
    for kind in (HubError, RequestValidationError, HTTPException):
        answer: Any = app.exception_handlers[kind]
        app.add_exception_handler(kind, _or_page(answer))
