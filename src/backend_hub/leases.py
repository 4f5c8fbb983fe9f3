"""Connections that prepared statements hand to each other: reads, and writes of one statement.

To take a connection out of SQLAlchemy's pool and to bring it back costs more than a small read.
So a statement that ends gives its connection to one that waits, and the pool sees it again when
nobody does, or after a moment: sessions wait there too.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.util import greenlet_spawn

LONGEST = 0.05
"""Seconds that a connection goes from statement to statement."""


@dataclass(slots=True)
class Lease:
    """A connection of the pool, and the driver's own."""

    pooled: PoolProxiedConnection
    driver: Any
    began: float = field(default_factory=time.monotonic)


class Leases:
    """At most so many connections are with statements; who comes then waits for one of those."""

    def __init__(
        self, connect: Callable[[], PoolProxiedConnection], most: int, timeout: float
    ) -> None:
        self.connect = connect
        """Takes a connection out of the pool, in a greenlet."""
        self.most = most
        self.timeout = timeout
        self._out = 0
        self._waiting: deque[tuple[float, asyncio.Future[Lease | None]]] = deque()
        """Who waits, and until when."""
        self._timer: asyncio.TimerHandle | None = None
        """For the first of them. Whoever gets a connection leaves it: most wait for a moment."""

    async def take(self) -> Lease:
        """Raises SQLAlchemy's TimeoutError, and whatever connecting raises."""
        if self._out < self.most:
            self._out += 1
            return await self._connect()
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.timeout
        if (lease := await self._wait(loop, ends)) is not None:
            return lease
        try:
            async with asyncio.timeout_at(ends) as patience:
                return await self._connect()
        except TimeoutError:
            if not patience.expired():  # it was connecting that took too long
                raise
            raise self._too_late() from None

    def _too_late(self) -> PoolTimeout:
        return PoolTimeout(f"No connection for a statement within {self.timeout} s")

    async def _connect(self) -> Lease:
        try:
            pooled = await greenlet_spawn(self.connect)
        except BaseException:
            self._leave()
            raise
        return Lease(pooled, pooled.driver_connection)

    async def give_back(self, lease: Lease, *, lost: bool = False) -> None:
        whole = not lost and not lease.driver.is_closed()
        if whole and time.monotonic() - lease.began < LONGEST and self._hand_on(lease):
            return
        try:
            await greenlet_spawn(lease.pooled.close if whole else lease.pooled.invalidate)
        finally:
            self._leave()

    async def _wait(self, loop: asyncio.AbstractEventLoop, ends: float) -> Lease | None:
        """A connection, or None for the right to take one out of the pool."""
        place: asyncio.Future[Lease | None] = loop.create_future()
        self._waiting.append((ends, place))
        if self._timer is None:
            self._timer = loop.call_at(ends, self._give_up, loop)
        try:
            return await place
        except asyncio.CancelledError:
            # It may have come at the same moment.
            if place.done() and not place.cancelled() and place.exception() is None:
                await self._pass_by(place.result())
            raise

    def _give_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send away who waited too long."""
        while self._waiting and self._waiting[0][0] <= loop.time():
            _, place = self._waiting.popleft()
            if not place.done():
                place.set_exception(self._too_late())
        self._timer = None
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0][0], self._give_up, loop)

    async def _pass_by(self, handed: Lease | None) -> None:
        if handed is not None:
            await self.give_back(handed)
        else:
            self._leave()

    def _leave(self) -> None:
        """Let the next one take a connection out of the pool."""
        if not self._hand_on(None):
            self._out -= 1

    def _hand_on(self, lease: Lease | None) -> bool:
        """Whether somebody waited for it."""
        while self._waiting:
            _, place = self._waiting.popleft()
            if not place.done():
                place.set_result(lease)
                return True
        return False
