"""Rate limits per account when signed in, else per address, and the headers that tell of them.

Headers: draft-ietf-httpapi-ratelimit-headers (`RateLimit`, `RateLimit-Policy`) and the older
`x-ratelimit-*`. Limits are kept in memory, or in Redis for several processes.
"""

import time
from collections.abc import Callable

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError
from redis.exceptions import RedisError
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend_hub.errors import RateLimited
from backend_hub.http.problems import hub_error_response
from backend_hub.settings import Settings

log = structlog.get_logger(__name__)

SIGN_IN_PATHS = frozenset({"/api/v1/auth/token", "/api/v1/auth/register"})
UNLIMITED = ("/health/", "/static/", "/static-offline-docs/")


def make_storage(redis_url: str) -> Storage:
    if not redis_url:
        return MemoryStorage()
    return RedisStorage(f"async+{redis_url}", implementation="redispy", wrap_exceptions=True)


class RateLimitMiddleware:
    """Counts a request against its client; `identify` names the account behind a scope."""

    def __init__(
        self, app: ASGIApp, *, settings: Settings, identify: Callable[[Scope], str | None]
    ) -> None:
        self.app = app
        self.identify = identify
        self.limiter = FixedWindowRateLimiter(make_storage(settings.redis_url))
        self.default = parse(settings.rate_limit)
        self.sign_in = parse(settings.sign_in_rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UNLIMITED):
            await self.app(scope, receive, send)
            return
        limit, key = self._limit_for(scope)
        try:
            allowed = await self.limiter.hit(limit, *key)
            window = await self.limiter.get_window_stats(limit, *key)
        except (StorageError, RedisError, OSError):
            log.warning("rate limits are off: their store does not answer")
            await self.app(scope, receive, send)
            return
        seconds = max(1, round(window.reset_time - time.time()))
        headers = _headers(limit, window.remaining, seconds)

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        if allowed:
            await self.app(scope, receive, tell)
            return
        refusal = RateLimited(
            f"At most {limit}; try again in {seconds} s", headers={"Retry-After": str(seconds)}
        )
        await hub_error_response(scope, refusal)(scope, receive, tell)

    def _limit_for(self, scope: Scope) -> tuple[RateLimitItem, tuple[str, str]]:
        address = scope["client"][0] if scope.get("client") else "unknown"
        if scope["method"] == "POST" and scope["path"] in SIGN_IN_PATHS:
            return self.sign_in, ("sign-in", address)
        account = self.identify(scope)
        return self.default, ("account", account) if account else ("address", address)


def _headers(limit: RateLimitItem, remaining: int, seconds: int) -> dict[str, str]:
    window = limit.get_expiry()
    return {
        "RateLimit-Policy": f'"default";q={limit.amount};w={window}',
        "RateLimit": f'"default";r={remaining};t={seconds}',
        "X-RateLimit-Limit": str(limit.amount),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(seconds),
    }
