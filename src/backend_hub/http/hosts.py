"""Which host names the hub answers to."""

import re
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from backend_hub.http.headers import every

_HOST = re.compile(r"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
KNOWN = 100
"""Allowed names that are remembered as they were sent."""


class HostMiddleware:
    """400 for a Host that is not one (a URL made of it could not be parsed), or is not ours.

    `*.example.org` allows every name below example.org, `*` every name.
    """

    def __init__(self, app: ASGIApp, *, allowed: Sequence[str]) -> None:
        self.app = app
        self.allowed = [pattern.lower() for pattern in allowed]
        self.known: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hosts = every(scope["headers"], b"host")
            if len(hosts) != 1 or hosts[0] not in self.known:
                self._check([host.decode("latin-1") for host in hosts])
                if len(self.known) < KNOWN:
                    self.known |= set(hosts)
        await self.app(scope, receive, send)

    def _check(self, hosts: list[str]) -> None:
        """No Host at all is HTTP/1.0 (RFC 9112 section 3.2)."""
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if hosts and not found:
            raise HTTPException(400, "The Host header is not a host name")
        if "*" in self.allowed:
            return
        name = found[1].lower() if found else ""
        if not any(_matches(name, pattern) for pattern in self.allowed):
            raise HTTPException(400, "The hub does not answer to this host name")


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))
