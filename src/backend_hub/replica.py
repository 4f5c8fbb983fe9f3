"""A copy of the database that visitors read from while it is near enough to the primary.

How old its state is follows from positions in the write-ahead log: what it has replayed is at
least what the primary had written when a process saw it at that position. So an idle primary and
a replica that was cut off are told apart, and no clock of a server is asked
(docs/decisions/0015-visitors-read-from-a-replica.md).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from asyncpg import InterfaceError, InternalClientError, PostgresError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend_hub.db import Database, sqlstate
from backend_hub.settings import Settings
from backend_hub.statements import Prepared, Row

log = structlog.get_logger(__name__)

FAILURES = (SQLAlchemyError, OSError, PostgresError, InterfaceError, InternalClientError)
QUERY_CANCELED = "57014"

LOOK_EVERY = 1.0
LOOK_WITHIN = 1.0
"""Seconds, as all here."""

_WRITTEN = text("SELECT pg_current_wal_lsn() - '0/0', system_identifier FROM pg_control_system()")
_REPLAYED = text(
    "SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn(), '0/0') - '0/0', "
    "system_identifier FROM pg_control_system()"
)


class Replica:
    """The replica's pool, and what is known of its state."""

    def __init__(self, settings: Settings, primary: Database) -> None:
        url = settings.database_replica_url
        self.limit = settings.database_replica_lag
        self.primary = primary
        self.database = Database(settings, url)
        # Of their own, so that a pool at its limit does not look like a server that is away.
        alone = settings.model_copy(update={"database_pool_size": 1})
        self._watched = (Database(alone, settings.database_url), Database(alone, url))
        self.trouble = "was not looked at yet"
        """Why it is not used; empty when it is, unless too much time goes by."""
        self._seen: deque[tuple[float, int]] = deque(maxlen=1_000)
        """When the primary was at which position: those that the replica has yet to reach."""
        self._system: int | None = None
        self._shows = float("-inf")

    @property
    def lag(self) -> float:
        """How old what it shows may be; infinite as long as nothing is known."""
        return time.monotonic() - self._shows

    @property
    def near(self) -> bool:
        """Whether visitors may read from it now."""
        return not self.trouble and self.lag <= self.limit

    async def fetch(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Row]:
        """The rows of a prepared statement: from the primary if the replica fails."""
        try:
            return await self.database.fetch(statement, values)
        except FAILURES as error:
            if not self.failed(error):
                raise
            return await self.primary.fetch(statement, values)

    async def watch(self, tell: Callable[[float], None]) -> None:
        """Look at it as long as the process lives."""
        while True:
            was = self.trouble
            await self.look()
            tell(self.lag)
            if self.trouble != was:
                log.info("replica", used=self.near, trouble=self.trouble or None)
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """See where both servers are. While the primary is away nothing is known to be newer."""
        try:
            asked = time.monotonic()
            position, self._system = await _ask(self._watched[0], _WRITTEN)
            if self._seen and position < self._seen[-1][1]:  # a server promoted with less
                self._seen.clear()
            self._seen.append((asked, position))
        except FAILURES:
            pass
        try:
            follows, position, system = await _ask(self._watched[1], _REPLAYED)
        except FAILURES:
            self.trouble = "does not answer"
            return
        if not follows or (self._system is not None and system != self._system):
            self.trouble = "is no replica of the primary"
            return
        while self._seen and self._seen[0][1] <= position:
            self._shows = self._seen.popleft()[0]
        self.trouble = "" if self.lag <= self.limit else "is too far behind"

    async def dispose(self) -> None:
        for database in (self.database, *self._watched):
            await database.dispose()

    def failed(self, error: BaseException) -> bool:
        """Whether the primary may do better: not when a statement took too long, and not when all
        visitors would follow from a replica that is merely busy."""
        busy = isinstance(error, PoolTimeout) and self.near
        return isinstance(error, FAILURES) and not busy and sqlstate(error) != QUERY_CANCELED


async def _ask(database: Database, statement: Any) -> Any:
    async with asyncio.timeout(LOOK_WITHIN), database.reading() as session:
        return (await session.execute(statement)).one()
