"""Which origins may read which answers (Fetch, "CORS protocol"); never with cookies.

Metadata and keys are for everyone. The API and the endpoints that apps talk to are for the origins
of the settings and of registered apps. Pages, and whatever else goes by cookie, are for none.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from urllib.parse import urlsplit

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from backend_hub.db import Database
from backend_hub.http.headers import first

log = structlog.get_logger(__name__)

KNOWN_LIVES = 10.0
"""Seconds after which an origin that was registered is looked up again."""
PAUSE = 2.0
"""Seconds between two looks because of an unknown origin: anyone can invent one."""
OPEN = "/.well-known/"
API = ("/api/", "/oauth/register/")
ENDPOINTS = frozenset(
    {
        *("/oauth/token", "/oauth/revoke", "/oauth/userinfo", "/oauth/register"),
        *("/oauth/par", "/oauth/device_authorization"),
    }
)
DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\]")


def origin_of(url: str) -> str | None:
    """The origin of an http or https URL as browsers write it, or None."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.netloc.rpartition("@")[2].lower()
    host = host[: host.rindex(":")] if port is not None else host.removesuffix(":")
    if parts.scheme not in DEFAULT_PORTS or not _HOST.fullmatch(host):
        return None
    shown = "" if port in {None, DEFAULT_PORTS[parts.scheme]} else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


class Origins:
    """The origins of the settings and, read from time to time, those of registered apps."""

    def __init__(
        self,
        configured: Collection[str],
        read: Callable[[Database], Awaitable[frozenset[str]]],
    ) -> None:
        self.configured = frozenset(configured)
        self.read = read
        self.registered: frozenset[str] = frozenset()
        self.looked = float("-inf")
        self._looking = asyncio.Lock()

    async def allow(self, origin: str, database: Database) -> bool:
        if origin in self.configured:
            return True
        lives = KNOWN_LIVES if origin in self.registered else PAUSE
        if time.monotonic() - self.looked > lives:
            async with self._looking:  # whoever waited here finds what the first one read
                if time.monotonic() - self.looked > lives:
                    await self._look(database)
        return origin in self.registered

    async def _look(self, database: Database) -> None:
        try:
            self.registered = await self.read(database)
        except (SQLAlchemyError, OSError):
            log.warning("the origins of apps could not be read; those known before hold")
        self.looked = time.monotonic()


class CorsMiddleware:
    """Starlette's, told for each request with an Origin which of three rules holds."""

    def __init__(self, app: ASGIApp, *, origins: Origins, expose: Iterable[str]) -> None:
        def rule(**allowed: object) -> CORSMiddleware:
            common = {"allow_methods": ["*"], "allow_headers": ["*"], "max_age": 600}
            return CORSMiddleware(app, expose_headers=list(expose), **common, **allowed)  # type: ignore[arg-type]

        self.app = app
        self.origins = origins
        self.everyone = rule(allow_origins=["*"])
        self.this_origin = rule(allow_origin_regex=".+")
        self.nobody = rule()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http":
            origin = first(scope["headers"], b"origin")
            if origin is not None:
                app = await self._rule_for(scope, origin.decode("latin-1"))
        await app(scope, receive, send)

    async def _rule_for(self, scope: Scope, origin: str) -> ASGIApp:
        path = scope["path"]
        if path.startswith(OPEN):
            return self.everyone
        if not path.startswith(API) and path not in ENDPOINTS:
            return self.app
        if "*" in self.origins.configured:
            return self.everyone
        known = await self.origins.allow(origin, scope["app"].state.database)
        return self.this_origin if known else self.nobody
