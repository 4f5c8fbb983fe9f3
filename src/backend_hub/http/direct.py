"""Endpoints without FastAPI's machinery: what one depends on is worked out once, at start.

FastAPI walks the tree of an endpoint's dependencies anew for each request, through two stacks of
contexts and its routers, and that costs more than a read. An endpoint needs to do nothing for
the short way: it returns a Response, and all that it depends on is async functions of the request,
of its parameters, and of a JSON object as its body. Its declaration stays FastAPI's, and so do the
OpenAPI document and every refusal: a request that is not plainly right goes the ordinary way.
"""

import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import params
from fastapi._compat import ModelField, field_annotation_is_sequence, lenient_issubclass
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security import SecurityScopes
from pydantic import BaseModel
from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend_hub.http.context import TRACED
from backend_hub.http.paging import add_link_header
from backend_hub.http.problems import ANSWERED, error_response
from backend_hub.http.routing import HubRoute, attempt, storable

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
        self.headers: list[Target] = []
        self.path: list[Target] = []
        self.body: Target | None = None
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
        for one in dependant.header_params:
            self.headers.append((number, one.name, one))
            call.arguments[one.name] = one.default
        for one in dependant.body_params:
            if self.body is not None:
                raise NotDirect
            self.body = (number, one.name, one)
        self.path += [(number, one.name, one) for one in dependant.path_params]
        self.calls.append(call)
        self._numbers[key] = number
        return number

    def matched(self, path: str) -> dict[str, Any] | None:
        """The path's parameters, or None when it is not this route's."""
        if not self.path:  # which was found by its whole path
            return {}
        found = self.context.path_regex.match(path)
        if found is None:
            return None
        convertors = self.context.param_convertors
        return {name: convertors[name].convert(text) for name, text in found.groupdict().items()}

    def read(self, path: dict[str, Any], scope: Scope) -> list[dict[str, Any]] | None:
        """The arguments but for the body, or None when FastAPI has to say what is wrong."""
        arguments = [call.arguments.copy() for call in self.calls]
        sent = scope["query_string"].decode("latin-1")
        query = parse_qsl(sent, keep_blank_values=True) if sent else []
        given = dict(query)
        if len(given) < len(query) or not self.required <= given.keys() <= self.query.keys():
            return None
        found = [(target, given[name]) for name in given for target in self.query[name]]
        found += [(target, path[target[2].alias]) for target in self.path]
        if self.headers:
            headers = Headers(scope=scope)
            found += [
                (one, headers[one[2].alias]) for one in self.headers if one[2].alias in headers
            ]
        for target, value in found:
            if isinstance(value, str) and not storable(value):
                return None
            if not put(arguments, target, value):
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
        return response


def put(arguments: list[dict[str, Any]], target: Target, value: Any) -> bool:
    """Give a call its argument; False when it is not what it must be."""
    number, name, one = target
    arguments[number][name], errors = one.validate(value)
    return not errors


def _plain(dependant: Dependant) -> Callable[..., Awaitable[Any]]:
    """What is called; raises NotDirect when it is more than such an async function."""
    call = dependant.call
    asynchronous = iscoroutinefunction(call) or iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004
    more = (
        *(dependant.cookie_params, dependant.websocket_param_name),
        *(dependant.background_tasks_param_name, dependant.response_param_name),
        *(dependant.concurrency, not dependant.use_cache),
        *(one.field_info.is_required() for one in dependant.header_params),
        *(not _is_json_object(one) for one in dependant.body_params),
    )
    parameters = [*dependant.query_params, *dependant.path_params, *dependant.header_params]
    if call is None or not asynchronous or any(more) or not all(map(_simple, parameters)):
        raise NotDirect
    return call


def _is_json_object(one: ModelField) -> bool:
    """Whether it is the whole body, and that a model."""
    info = one.field_info
    return (
        type(info) is params.Body
        and not info.embed
        and info.is_required()
        and lenient_issubclass(info.annotation, BaseModel)
    )


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
    """The direct routes of an app for some methods, found by a dictionary: by their path, with
    `{}` for its one parameter, the last part or the last but one."""

    def __init__(self, contexts: Iterable[RouteContext], methods: Collection[str]) -> None:
        self.found: dict[str, DirectRoute | None] = {}
        known = [one for one in contexts if one.path_regex]
        for method in methods:
            own = [one for one in known if method in (one.methods or ())]
            for context in own:
                path, parameters = _PARAMETER.subn("{}", context.path_format or "")
                if parameters < 2:
                    self.found.setdefault(f"{method} {path}", self._direct(context, own))

    def _direct(self, context: RouteContext, others: list[RouteContext]) -> DirectRoute | None:
        route = context.original_route
        returned = getattr(context.endpoint, "__annotations__", {}).get("return")
        if not isinstance(route, HubRoute) or not route.strict or returned is not Response:
            return None
        example = _PARAMETER.sub(str(UUID(int=0)), context.path_format or "")
        if next(one for one in others if one.path_regex.match(example)) != context:
            return None  # another route comes first
        try:
            return DirectRoute(context)
        except NotDirect:
            return None

    def find(self, method: str, path: str) -> tuple[DirectRoute, dict[str, Any]] | None:
        """The route of a request and the path's parameters."""
        for pattern in _patterns(path):
            if (key := f"{method} {pattern}") in self.found:
                route = self.found[key]
                parameters = route.matched(path) if route is not None else None
                return (route, parameters) if route and parameters is not None else None
        return None


_PARAMETER = re.compile(r"\{[^/]+\}")


def _patterns(path: str) -> Iterator[str]:
    yield path
    head, _, last = path.rpartition("/")
    yield f"{head}/{{}}"
    yield f"{head.rpartition('/')[0]}/{{}}/{last}"


class DirectMiddleware:
    """Takes the requests of some methods that can go the short way.

    Reads do so before the layers for bodies, which they have none of, and writes after them.
    """

    def __init__(self, app: ASGIApp, methods: Collection[str]) -> None:
        self.app, self.methods = app, methods
        self.routes: DirectRoutes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") not in self.methods or TRACED in scope:
            await self.app(scope, receive, send)  # with telemetry each of FastAPI's steps is told
            return
        sent = Sent(receive)
        try:
            response = await self._answer(scope, sent)
        except ANSWERED as error:
            response = error_response(scope, error)
        if response is None:
            await self.app(scope, sent.again, send)
        else:
            await response(scope, receive, send)

    async def _answer(self, scope: Scope, sent: "Sent") -> Response | None:
        if self.routes is None:
            app: Starlette = scope["app"]
            self.routes = DirectRoutes(iter_route_contexts(app.routes), self.methods)
        found = self.routes.find(scope["method"], get_route_path(scope))
        if found is None:
            return None
        route, parameters = found
        if route.body is None and _has_body(scope):
            return None
        arguments = route.read(parameters, scope)
        if arguments is None:
            return None
        request = Request(scope, sent.receive)
        if route.body is not None and not (
            _is_json(scope) and put(arguments, route.body, await sent.json(request))
        ):
            return None
        scope["route"], scope["path_params"] = route.context, parameters
        if scope["method"] != "GET":
            return await attempt(request, partial(route.run, arguments=arguments))
        response = await route.run(request, arguments)
        add_link_header(request, response)
        return response


class Sent:
    """A body that is read once and can be read again."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.body: bytes | None = None

    async def json(self, request: Request) -> Any:
        """What it says; None when that is no JSON."""
        try:
            self.body = await request.body()
            return json.loads(self.body)
        except (ValueError, RecursionError, ClientDisconnect):
            return None

    async def again(self) -> Message:
        body, self.body = self.body, None
        if body is None:
            return await self.receive()
        return {"type": "http.request", "body": body, "more_body": False}


def _is_json(scope: Scope) -> bool:
    return (b"content-type", b"application/json") in scope["headers"]


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])
