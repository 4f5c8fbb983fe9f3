"""Refusals of the framework's own layers, which are plain text, as problems."""

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend_hub.http.headers import first
from backend_hub.http.problems import problem_for


class PlainErrorMiddleware:
    """A 4xx or 5xx in plain text (a wrong host, a refused preflight) keeps its headers only."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain: Message | None = None

        async def translate(message: Message) -> None:
            nonlocal plain
            if message["type"] == "http.response.start" and _is_plain_error(message):
                plain = message
            elif plain is not None and message.get("more_body"):
                return
            elif plain is not None:
                start, plain = plain, None
                problem = problem_for(scope, HTTPStatus(start["status"]))
                headers = MutableHeaders(raw=start["headers"])
                for name, value in problem.headers.items():
                    headers[name] = value
                await send({**start, "headers": headers.raw})
                await send({"type": "http.response.body", "body": problem.body})
            else:
                await send(message)

        await self.app(scope, receive, translate if scope["type"] == "http" else send)


def _is_plain_error(message: Message) -> bool:
    if message["status"] < 400:
        return False
    return (first(message["headers"], b"content-type") or b"").startswith(b"text/plain")
