"""Windows that several processes count in together, in Redis.

A module of its own: its client takes 10 MiB of each worker, and most hubs have no Redis.
"""

import asyncio
import time

import structlog
from limits import WindowStats
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError
from redis.exceptions import RedisError

from backend_hub.http.rate_limits import Rule

log = structlog.get_logger(__name__)

ANSWERS_WITHIN = 0.5
"""Seconds to wait for Redis."""
PAUSE = 5.0
"""Seconds without asking Redis after it did not answer: an outage slows one request, not all."""


class SharedWindows:
    """The windows, as long as Redis answers."""

    def __init__(self, redis_url: str) -> None:
        self.storage = RedisStorage(
            f"async+{redis_url}",
            implementation="redispy",
            wrap_exceptions=True,
            key_prefix="backend-hub",
            socket_connect_timeout=ANSWERS_WITHIN,
            socket_timeout=ANSWERS_WITHIN,
        )
        self.limiter = FixedWindowRateLimiter(self.storage)
        self.again = 0.0

    async def hit(self, rule: Rule) -> tuple[bool, WindowStats] | None:
        """Whether the request is allowed, and the window; None while Redis does not answer."""
        if time.monotonic() < self.again:
            return None
        counted = (rule.limit.item, rule.limit.name, rule.client)
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                allowed = await self.limiter.hit(*counted)
                return allowed, await self.limiter.get_window_stats(*counted)
        except (StorageError, RedisError, OSError):
            self.again = time.monotonic() + PAUSE
            log.warning("rate limits count per process: their store does not answer")
            return None
