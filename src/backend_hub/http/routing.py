"""What every route of the hub does: refuse what it does not know, retry, remember, link."""

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

from asyncpg import PostgresError
from fastapi import APIRouter, Request, params
from fastapi._compat import field_annotation_is_sequence
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match
from starlette.types import Scope

from backend_hub.db import RETRYABLE, sqlstate
from backend_hub.errors import HubError
from backend_hub.http.idempotency import Replay, answer_again, key_taken, remember
from backend_hub.http.paging import add_link_header
from backend_hub.http.sessions import leave_replica

ATTEMPTS = 4
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class HubRoute(APIRoute):
    """A route whose transaction is retried after a deadlock or a serialization failure, and on
    the primary when a replica failed it."""

    strict = True
    """Whether a query parameter that the route does not name is refused."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        fields = get_flat_params(self.dependant)
        known = {
            field.alias: field_annotation_is_sequence(field.field_info.annotation)
            for field in fields
            if isinstance(field.field_info, params.Query)
        }

        async def handler(request: Request) -> Response:
            if self.strict:
                refuse_bad_parameters(request, known)
            return await attempt(request, handle)

        return handler


class LenientRoute(HubRoute):
    """For pages and for protocols, in which unknown parameters must be ignored."""

    strict = False


async def attempt(request: Request, handle: Handler) -> Response:
    """Run a request until it is done or refused, or has the answer that it got before."""
    for number in range(1, ATTEMPTS + 1):
        try:
            return await run_once(request, handle)
        except Replay as replay:
            return replay.response
        except (HubError, SQLAlchemyError, PostgresError, OSError) as error:
            again = sqlstate(error) in RETRYABLE and number < ATTEMPTS
            if again or leave_replica(request, error):
                continue
            if (response := await answer_again(request, error)) is not None:
                return response
            if not key_taken(error) or number == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


async def run_once(request: Request, handle: Handler) -> Response:
    """One attempt: the session's transaction ends when the stack does, before the answer leaves.

    FastAPI closes `fastapi_function_astack` at the same point; a stack of our own lets the next
    attempt begin with a fresh session.
    """
    async with AsyncExitStack() as stack:
        request.scope["fastapi_function_astack"] = stack
        response = await handle(request)
        add_link_header(request, response)
        await remember(request, response)
    return response


def refuse_bad_parameters(request: Request, known: Mapping[str, bool]) -> None:
    """422 for a query parameter that the route does not have, or has once and got twice, and for
    text that PostgreSQL cannot hold.

    `known` says of each parameter whether it may be repeated.
    """
    errors = []
    seen = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            errors.append((("query", name), "Unknown query parameter", "extra_forbidden"))
        elif name in seen and not known[name]:
            errors.append((("query", name), "Send this parameter once", "repeated"))
        elif not storable(value):
            errors.append((("query", name), "Text must be free of NUL", "string_unicode"))
        seen.add(name)
    for name, value in request.path_params.items():
        if isinstance(value, str) and not storable(value):
            errors.append((("path", name), "Text must be free of NUL", "string_unicode"))
    if errors:
        raise RequestValidationError(
            [{"loc": loc, "msg": message, "type": kind} for loc, message, kind in errors]
        )


def storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text: no NUL, no lone surrogate."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class PrefixRouter(APIRouter):
    """A router that is asked for its routes only when the path has its prefix.

    Every route that is asked costs a regular expression, and the hub has more than a hundred.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if self.prefix not in scope["path"]:
            return Match.NONE, {}
        return super().matches(scope)


def hub_router(prefix: str, tag: str, **kwargs: Any) -> APIRouter:
    """A router whose routes are all HubRoutes."""
    return PrefixRouter(prefix=prefix, tags=[tag], route_class=HubRoute, **kwargs)


def page_router(prefix: str = "", **kwargs: Any) -> APIRouter:
    """A router of pages for people, which the OpenAPI document does not show."""
    return APIRouter(
        prefix=prefix,
        include_in_schema=False,
        route_class=LenientRoute,
        default_response_class=HTMLResponse,
        **kwargs,
    )
