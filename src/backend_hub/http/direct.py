"""Reads without FastAPI's machinery: what an endpoint depends on is worked out once, at start.

FastAPI walks the tree of an endpoint's dependencies anew for each request, through two stacks of
contexts and its routers, and that costs more than the read. An endpoint needs to do nothing for
the short way: it is a GET that returns a Response, and all that it depends on is async functions
of the request and of query and path parameters. Its declaration stays FastAPI's, and so do the
OpenAPI document and every refusal: a request that is not plainly right goes the ordinary way.
"""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi._compat import ModelField, field_annotation_is_sequence, lenient_issubclass
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security import SecurityScopes
from pydantic import BaseModel
from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backend_hub.http.paging import add_link_header
from backend_hub.http.problems import ANSWERED, error_response
from backend_hub.http.routing import HubRoute, storable

IMMUTABLE = (str, int, float, bool, Enum, type(None))


class NotDirect(Exception):
    """The endpoint needs what only FastAPI gives."""


@dataclass(slots=True)
class Call:
    """A dependency, or the endpoint: the arguments that are known before, those that are results
    of earlier calls (by their number), and the parameter that takes the request."""

    function: Callable[..., Awaitable[Any]]
    arguments: dict[str, Any] = field(default_factory=dict)
    results: list[tuple[str, int]] = field(default_factory=list)
    request: str | None = None


Target = tuple[int, str, ModelField]
"""The number of a call, the name of its argument, and what the argument must be."""


class DirectRoute:
    """An endpoint and its dependencies, in the order in which they are called."""

    def __init__(self, context: RouteContext) -> None:
        self.context = context
        self.calls: list[Call] = []
        self.query: defaultdict[str, list[Target]] = defaultdict(list)
        self.path: list[Target] = []
        self.required: set[str] = set()
        self._numbers: dict[Any, int] = {}
        self._add(context.dependant)

    def _add(self, dependant: Dependant) -> int:
        """Read a tree; gives the number of its last call. Each dependency is called once."""
        scopes = [*(dependant.parent_oauth_scopes or []), *(dependant.own_oauth_scopes or [])]
        key = (dependant.call, tuple(sorted(set(scopes))))
        if key in self._numbers:
            return self._numbers[key]
        request = dependant.request_param_name or dependant.http_connection_param_name
        call = Call(_plain(dependant), request=request)
        for needed in dependant.dependencies:
            result = self._add(needed)
            if needed.name is not None:
                call.results.append((needed.name, result))
        if dependant.security_scopes_param_name is not None:
            call.arguments[dependant.security_scopes_param_name] = SecurityScopes(scopes)
        number = len(self.calls)
        for one in dependant.query_params:
            self.query[one.alias].append((number, one.name, one))
            if one.field_info.is_required():
                self.required.add(one.alias)
            else:
                call.arguments[one.name] = one.default
        self.path += [(number, one.name, one) for one in dependant.path_params]
        self.calls.append(call)
        self._numbers[key] = number
        return number

    def matched(self, path: str) -> dict[str, Any] | None:
        """The path's parameters, or None when it is not this route's."""
        found = self.context.path_regex.match(path)
        if found is None:
            return None
        convertors = self.context.param_convertors
        return {name: convertors[name].convert(text) for name, text in found.groupdict().items()}

    def read(self, path: dict[str, Any], query_string: bytes) -> list[dict[str, Any]] | None:
        """The arguments of each call, or None when FastAPI has to say what is wrong."""
        arguments = [call.arguments.copy() for call in self.calls]
        query = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
        given = dict(query)
        if len(given) < len(query) or not self.required <= given.keys() <= self.query.keys():
            return None
        found = [(target, given[name]) for name in given for target in self.query[name]]
        for target, value in [*found, *((target, path[target[2].alias]) for target in self.path)]:
            number, name, one = target
            if isinstance(value, str) and not storable(value):
                return None
            arguments[number][name], errors = one.validate(value)
            if errors:
                return None
        return arguments

    async def run(self, request: Request, arguments: list[dict[str, Any]]) -> Response:
        results: list[Any] = []
        for call, given in zip(self.calls, arguments, strict=True):
            for name, number in call.results:
                given[name] = results[number]
            if call.request is not None:
                given[call.request] = request
            results.append(await call.function(**given))
        response: Response = results[-1]
        add_link_header(request, response)
        return response


def _plain(dependant: Dependant) -> Callable[..., Awaitable[Any]]:
    """What is called; raises NotDirect when it is more than such an async function."""
    call = dependant.call
    asynchronous = iscoroutinefunction(call) or iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004
    more = (
        *(dependant.header_params, dependant.cookie_params, dependant.body_params),
        *(dependant.websocket_param_name, dependant.background_tasks_param_name),
        *(dependant.response_param_name, dependant.concurrency, not dependant.use_cache),
    )
    parameters = [*dependant.query_params, *dependant.path_params]
    if call is None or not asynchronous or any(more) or not all(map(_simple, parameters)):
        raise NotDirect
    return call


def _simple(one: ModelField) -> bool:
    """Whether it has one value, and a default that is the same each time."""
    info, kind = one.field_info, one.field_info.annotation
    return (
        not field_annotation_is_sequence(kind)
        and not lenient_issubclass(kind, BaseModel)
        and not info.validate_default
        and info.default_factory is None
        and (info.is_required() or isinstance(one.default, IMMUTABLE))
    )


class DirectRoutes:
    """The direct routes of an app, found by a dictionary: those without parameters by their path,
    those with one at the end by what is before it."""

    def __init__(self, contexts: Iterable[RouteContext]) -> None:
        self.reads = [one for one in contexts if one.path_regex and "GET" in (one.methods or ())]
        self.found: dict[str, DirectRoute | None] = {}
        for context in self.reads:
            path = context.path_format or ""
            head, _, last = path.rpartition("/")
            key = f"{head}/" if last.startswith("{") else path
            if "{" not in key:
                self.found.setdefault(key, self._direct(context))

    def _direct(self, context: RouteContext) -> DirectRoute | None:
        route = context.original_route
        returned = getattr(context.endpoint, "__annotations__", {}).get("return")
        if not isinstance(route, HubRoute) or not route.strict or returned is not Response:
            return None
        example = re.sub(r"\{[^/]+$", str(UUID(int=0)), context.path_format or "")
        if next(one for one in self.reads if one.path_regex.match(example)) != context:
            return None  # another route comes first
        try:
            return DirectRoute(context)
        except NotDirect:
            return None

    def find(self, path: str) -> tuple[DirectRoute, dict[str, Any]] | None:
        """The route of a path and the path's parameters."""
        route = self.found.get(path) if path in self.found else self.found.get(_head(path))
        parameters = route.matched(path) if route is not None else None
        return (route, parameters) if route is not None and parameters is not None else None


def _head(path: str) -> str:
    return path[: path.rfind("/") + 1]


class DirectMiddleware:
    """Takes the requests that can go the short way; within it are the layers for bodies only."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.routes: DirectRoutes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = None
        if scope.get("method") == "GET" and _direct(scope):
            response = await self._answer(scope, receive)
        if response is None:
            await self.app(scope, receive, send)
        else:
            await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        if self.routes is None:
            app: Starlette = scope["app"]
            self.routes = DirectRoutes(iter_route_contexts(app.routes))
        found = self.routes.find(get_route_path(scope))
        if found is None:
            return None
        route, parameters = found
        arguments = route.read(parameters, scope["query_string"])
        if arguments is None:
            return None
        scope["route"], scope["path_params"] = route.context, parameters
        try:
            return await route.run(Request(scope, receive), arguments)
        except ANSWERED as error:
            return error_response(scope, error)


def _direct(scope: Scope) -> bool:
    """Whether there is no body to refuse, and no telemetry to tell of each of FastAPI's steps."""
    return "fastapi.telemetry" not in scope and not any(
        name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"]
    )
