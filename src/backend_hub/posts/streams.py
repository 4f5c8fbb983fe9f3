"""The event log as a stream: one look at the log a second for all who listen."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.auth.personal_tokens import renew_any_actor
from backend_hub.db import Database
from backend_hub.errors import Unavailable
from backend_hub.events.models import Event
from backend_hub.http.cursors import PageParams, encode_cursor
from backend_hub.posts.activity import LOG, SETTLED, read_events
from backend_hub.posts.schemas import EventRead

LOOK_EVERY = 1.0
"""Seconds between two looks whether the log has grown."""
MOST_LISTENERS = 1_000
"""Of one process; whoever comes after them is asked to poll, or to come back."""
PAGE = 100

log = structlog.get_logger(__name__)


class Bell:
    """Rings for every listener of this process when the log has grown, and when it ends."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.closing = False
        self.listeners = 0
        self._newest: Any = None
        self._rung = asyncio.Event()

    @property
    def next_ring(self) -> asyncio.Event:
        """Set when the bell rings after now."""
        return self._rung

    async def wait(self, rung: asyncio.Event, ends: float) -> None:
        """Until that ring, or until then by the loop's clock; the log is looked at meanwhile."""
        self.listeners += 1
        try:
            async with asyncio.timeout_at(ends):
                await rung.wait()
        except TimeoutError:
            pass
        finally:
            self.listeners -= 1

    def ring(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    def close(self) -> None:
        """Every stream ends, so that the process can."""
        self.closing = True
        self.ring()

    async def watch(self) -> None:
        """Look at the log as long as somebody listens; a database that is away is asked again."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not self.listeners:
                continue
            try:
                newest = await newest_position(self.database)
            except (SQLAlchemyError, OSError):
                log.warning("the event log was not read; will try again")
                continue
            if newest != self._newest:
                self._newest = newest
                self.ring()


async def newest_position(database: Database) -> str:
    """The cursor behind the newest settled event."""
    newest = (
        select(col(Event.transaction_id), col(Event.id))
        .where(SETTLED)
        .order_by(*(column.desc() for column in LOG.columns))
        .limit(1)
    )
    async with database.reading() as session:
        row = (await session.execute(newest)).first()
    return encode_cursor(LOG.name, list(row) if row else [0, 0])


async def follow(
    bell: Bell, actor: Actor | None, type_prefix: str | None, after: str, seconds: float
) -> AsyncIterator[tuple[str, EventRead]]:
    """What the reader may see, as it happens, each with its cursor; waiting holds no connection.

    Ends after so many seconds, with the process, and when the reader's sign-in does.
    """
    if bell.listeners >= MOST_LISTENERS:
        raise Unavailable("Too many listen already: poll /events", retry_after=30)
    now = asyncio.get_running_loop().time
    ends = now() + seconds
    while not bell.closing:
        rung = bell.next_ring  # before the read: what comes while it runs is not missed
        if actor is not None and (actor := await renew_any_actor(bell.database, actor)) is None:
            return
        async with bell.database.reading() as session:
            found = await read_events(session, actor, type_prefix, PageParams(PAGE, after))
        for cursor, event in found:
            yield cursor, event
            after = cursor
        if len(found) < PAGE:
            if now() >= ends:
                return
            await bell.wait(rung, ends)
