"""Rate limits per account when signed in, else per address, and the headers that tell of them.

Headers: draft-ietf-httpapi-ratelimit-headers (`RateLimit`, `RateLimit-Policy`) and the older
`x-ratelimit-*`. Limits are kept in memory, or in Redis for several processes; while Redis does
not answer, each process counts for itself. (The memory of `limits` looks through every client it
knows at every request.)
"""

import ipaddress
import math
import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from limits import WindowStats, parse
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend_hub.errors import HubError, RateLimited
from backend_hub.http.problems import hub_error_response
from backend_hub.settings import Settings

SIGN_IN_PATHS = frozenset(
    {
        *("/api/v1/auth/token", "/api/v1/auth/register", "/api/v1/auth/forgot"),
        *("/api/v1/auth/reset", "/api/v1/auth/verify-email", "/oauth/register"),
        *("/sign-in", "/sign-up", "/forgot", "/reset", "/verify"),
        *("/sign-in/second", "/sign-in/second/passkey", "/sign-in/passkey", "/sign-up/passkey"),
    }
)
UNLIMITED = ("/health/", "/static/", "/static-offline-docs/")
CLEARED_EVERY = 60.0
"""Seconds between two looks for windows that ended."""


class Limit:
    """A limit under its name, and what every answer tells of it."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.item = name, parse(text)
        self.amount: int = self.item.amount
        self.seconds: int = self.item.get_expiry()
        policy = f'"{name}";q={self.amount};w={self.seconds}'
        self.told = [
            (b"ratelimit-policy", policy.encode()),
            (b"x-ratelimit-limit", str(self.amount).encode()),
        ]

    def headers(self, remaining: int, seconds: int) -> list[tuple[bytes, bytes]]:
        left, after = b"%d" % remaining, b"%d" % seconds
        return [
            *self.told,
            (b"ratelimit", b'"%b";r=%b;t=%b' % (self.name.encode(), left, after)),
            (b"x-ratelimit-remaining", left),
            (b"x-ratelimit-reset", after),
        ]


class Rule(NamedTuple):
    """A limit, and whom a request counts against."""

    limit: Limit
    client: str


@lru_cache(4_096)
def network_of(address: str) -> str:
    """An IPv6 customer holds a whole /64, so that is what counts; IPv4 in IPv6 counts as IPv4."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((int(ip), 64), strict=False))


class Windows:
    """The fixed windows of one process: when each ends, and what was counted in it."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}
        self._cleared = 0.0

    def hit(self, rule: Rule) -> tuple[bool, WindowStats]:
        now = time.time()
        if now - self._cleared > CLEARED_EVERY:
            self._windows = {key: kept for key, kept in self._windows.items() if kept[0] > now}
            self._cleared = now
        counted = rule.limit.name, rule.client
        ends, count = self._windows.get(counted, (0.0, 0))
        if ends <= now:
            ends, count = now + rule.limit.seconds, 0
        self._windows[counted] = ends, count + 1
        remaining = rule.limit.amount - count - 1
        return remaining >= 0, WindowStats(ends, max(0, remaining))


class RateLimitMiddleware:
    """Counts a request against its client; `identify` names the account behind a scope, and
    `refuse` answers whoever asked too much."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        identify: Callable[[Scope], str | None],
        refuse: Callable[[Scope, HubError], Response] = hub_error_response,
    ) -> None:
        self.app = app
        self.identify = identify
        self.refuse = refuse
        self.local = Windows()
        self.shared = None
        if settings.redis_url:
            from backend_hub.http.shared_limits import SharedWindows  # noqa: PLC0415

            self.shared = SharedWindows(settings.redis_url)
        self.default = Limit("default", settings.rate_limit)
        self.sign_in = Limit("sign-in", settings.sign_in_rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UNLIMITED):
            await self.app(scope, receive, send)
            return
        rule = self._rule_for(scope)
        allowed, window = await self._count(rule)
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        headers = rule.limit.headers(window.remaining, seconds)

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        if allowed:
            await self.app(scope, receive, tell)
            return
        refusal = RateLimited(
            f"At most {rule.limit.item}; try again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )
        await self.refuse(scope, refusal)(scope, receive, tell)

    async def _count(self, rule: Rule) -> tuple[bool, WindowStats]:
        if self.shared is not None and (counted := await self.shared.hit(rule)) is not None:
            return counted
        return self.local.hit(rule)

    def _rule_for(self, scope: Scope) -> Rule:
        address = network_of(scope["client"][0]) if scope.get("client") else "unknown"
        if scope["method"] == "POST" and scope["path"] in SIGN_IN_PATHS:
            return Rule(self.sign_in, address)
        return Rule(self.default, self.identify(scope) or address)
