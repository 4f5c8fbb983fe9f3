"""Prepared reads hand their connections to each other: here two of a pool of three.

Each read says a word of its own: those that ask the same are asked once (test_coalescing.py).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend_hub.db import Database
from backend_hub.settings import Settings
from backend_hub.statements import Prepared
from tests.hub import Hub

SAY = Prepared(
    "SELECT $1::text AS said, pg_backend_pid() AS pid, pg_sleep($2)", ("word", "seconds"), ()
)


@pytest.fixture
async def database(settings: Settings, database_url: str) -> AsyncIterator[Database]:
    small = {"database_pool_size": 3, "database_pool_timeout": 0.5}
    made = Database(settings.model_copy(update=small), database_url)
    yield made
    assert in_use(made) == 0
    await made.dispose()


async def say(database: Database, word: str = "", seconds: float = 0.001) -> Any:
    return (await database.fetch(SAY, {"word": word, "seconds": seconds}))[0]


def in_use(database: Database) -> int:
    used: int = database.engine.pool.checkedout()  # type: ignore[attr-defined]
    return used


async def outcome(read: Awaitable[Any]) -> Any:
    """What it gives, or the class of what it raises."""
    try:
        return await read
    except Exception as error:
        return type(error)


async def test_each_read_gets_its_own_answer(database: Database) -> None:
    words = [str(n) for n in range(200)]
    said = await asyncio.gather(*(say(database, word) for word in words))
    assert [row["said"] for row in said] == words
    assert len({row["pid"] for row in said}) == 2


async def test_sessions_get_in_between_reads(database: Database) -> None:
    """Also when one of them holds what reads leave to sessions, and reads never cease."""
    ended = False

    async def keep_reading(word: str) -> None:
        while not ended:
            await say(database, word)

    readers = [asyncio.create_task(keep_reading(str(n))) for n in range(8)]
    async with database.reading() as held:
        await held.execute(text("SELECT 1"))
        async with database.reading() as session:
            assert await session.scalar(text("SELECT 1")) == 1
    ended = True
    await asyncio.gather(*readers)


async def test_who_waits_too_long_is_told_and_takes_nothing_along(database: Database) -> None:
    long = [asyncio.create_task(say(database, f"long {n}", 1)) for n in range(2)]
    found = await asyncio.gather(*(outcome(say(database, str(n))) for n in range(5)))
    assert found == [PoolTimeout] * 5
    await asyncio.gather(*long)
    assert (await say(database, "again"))["said"] == "again"


async def test_a_reader_who_leaves_takes_no_connection_along(database: Database) -> None:
    """Whether it waited, was just given one, or was reading."""
    for turn in range(40):
        reads = [asyncio.create_task(say(database, str(n))) for n in range(8)]
        await asyncio.sleep(0.0005 * (turn % 8))
        for read in reads[turn % 3 :: 2]:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        assert in_use(database) == 0
    assert (await say(database, "again"))["said"] == "again"


async def test_a_connection_that_died_is_handed_to_nobody(database: Database, live: Hub) -> None:
    said = await asyncio.gather(*(say(database, str(n)) for n in range(9)))
    pids = {row["pid"] for row in said}
    reads = [asyncio.create_task(say(database, str(n), 0.02)) for n in range(12)]
    async with live.database.reading() as session:
        for pid in pids:
            await session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    rows = await asyncio.gather(*reads)
    assert len(rows) == 12
    assert not pids & {row["pid"] for row in rows[-6:]}
