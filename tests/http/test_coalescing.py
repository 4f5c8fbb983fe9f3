"""Reads that wait and ask the same are asked once: here mostly with one connection for all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncpg import DivisionByZeroError

from backend_hub.db import Database
from backend_hub.settings import Settings
from backend_hub.statements import Prepared

WHEN = Prepared("SELECT $1::text AS said, clock_timestamp() AS moment", ("word",), ())
SLOW = Prepared("SELECT clock_timestamp() AS moment, pg_sleep(0.05)", (), ())
WRONG = Prepared("SELECT 1 / $1::int AS never", ("number",), ())
COUNTED = Prepared("SELECT last_value AS value FROM counted", (), ())
COUNT = Prepared("SELECT nextval('counted') AS value", (), ())


@asynccontextmanager
async def connected(settings: Settings, url: str, size: int) -> AsyncIterator[Database]:
    made = Database(settings.model_copy(update={"database_pool_size": size}), url)
    await made.ping()
    yield made
    await made.dispose()


@pytest.fixture
async def database(settings: Settings, database_url: str) -> AsyncIterator[Database]:
    async with connected(settings, database_url, 1) as made:
        yield made


@pytest.fixture
async def wide(settings: Settings, database_url: str) -> AsyncIterator[Database]:
    async with connected(settings, database_url, 10) as made:
        yield made


def begun(database: Database, statement: Prepared, **values: Any) -> asyncio.Task[Any]:
    async def first_row() -> Any:
        return (await database.fetch(statement, values))[0]

    return asyncio.create_task(first_row())


async def outcomes(reads: list[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.gather(*reads, return_exceptions=True)


async def sent() -> None:
    """Wait until what was begun is with PostgreSQL: what comes now has to wait."""
    await asyncio.sleep(0.02)


async def test_what_waits_is_asked_once(database: Database) -> None:
    held = begun(database, SLOW)
    await sent()
    reads = [begun(database, WHEN, word=word) for word in "abab" * 5]
    rows = await asyncio.gather(*reads)
    assert [row["said"] for row in rows] == list("abab" * 5)
    assert len({row["moment"] for row in rows}) == 2
    await held


async def test_what_is_asked_just_now_waits_for_its_like(wide: Database) -> None:
    """Also where a connection is free."""
    first = begun(wide, SLOW)
    await sent()
    others = [begun(wide, SLOW) for _ in range(5)]
    moments = [row["moment"] for row in await asyncio.gather(first, *others)]
    assert len(set(moments)) == 2
    assert moments[0] < moments[1]


async def test_what_was_sent_is_not_joined(database: Database) -> None:
    """It may have been read before a write that is known by now."""
    first = begun(database, SLOW)
    await sent()
    second = begun(database, SLOW)
    moments = [row["moment"] for row in await asyncio.gather(first, second)]
    assert (moments[1] - moments[0]).total_seconds() >= 0.05


async def test_nobody_reads_less_than_was_written_before(database: Database) -> None:
    await database.write(Prepared("CREATE SEQUENCE counted", (), ()), {})

    async def write_and_read() -> None:
        for _ in range(20):
            written = (await database.write(COUNT, {}))[0]["value"]
            assert (await database.fetch(COUNTED, {}))[0]["value"] >= written

    try:
        await asyncio.gather(*(write_and_read() for _ in range(12)))
    finally:
        await database.write(Prepared("DROP SEQUENCE counted", (), ()), {})


async def test_a_write_is_never_shared(database: Database) -> None:
    held = begun(database, SLOW)
    await sent()
    rows = await asyncio.gather(*(database.write(WHEN, {"word": "a"}) for _ in range(5)))
    assert len({row[0]["moment"] for row in rows}) == 5
    await held


async def test_all_get_the_error(database: Database) -> None:
    held = begun(database, SLOW)
    await sent()
    found = await outcomes([begun(database, WRONG, number=0) for _ in range(3)])
    assert [type(error) for error in found] == [DivisionByZeroError] * 3
    await held


@pytest.mark.parametrize("seconds", [0.0, 0.06], ids=["while it waits", "while it is asked"])
async def test_who_leaves_takes_nobody_along(database: Database, seconds: float) -> None:
    held = begun(database, SLOW)
    await sent()
    reads = [begun(database, SLOW) for _ in range(6)]
    await asyncio.sleep(seconds)
    for gone in (reads[0], reads[3]):
        gone.cancel()
    found = await outcomes(reads)
    left = [number for number, row in enumerate(found) if isinstance(row, BaseException)]
    assert left == [0, 3]
    await held
