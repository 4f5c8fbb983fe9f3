"""Connections that are all taken, clients that went away, and a stop in the middle of work."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.faults.conftest import Programs
from tests.faults.machine import Ledger, direct, http, new_question, people
from tests.program.conftest import Program

POOL, HELD = 5, 4
"""Four fifths of a pool are with single statements, such as that of a question."""


@pytest.fixture(scope="module")
def program(programs: Programs) -> Program:
    """A small pool, and statements that may wait for longer than the pool's clients."""
    return programs(HUB_DATABASE_POOL_SIZE=str(POOL), HUB_DATABASE_LOCK_TIMEOUT="6000").start(
        "--no-seed"
    )


@asynccontextmanager
async def locked_questions(program: Program) -> AsyncIterator[Any]:
    """Every write of a question waits until the block ends."""
    async with direct(program) as connection, connection.transaction():
        await connection.execute("LOCK TABLE questions IN ACCESS EXCLUSIVE MODE")
        yield connection


async def waiting(program: Program, count: int) -> None:
    """Return when that many statements of the hub wait for the lock."""
    async with direct(program) as connection:
        for _ in range(250):
            found = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE application_name = 'backend-hub' AND wait_event_type = 'Lock'"
            )
            if found >= count:
                return
            await asyncio.sleep(0.02)
    raise AssertionError(f"{found} of {count} statements wait")


async def busy_connections(program: Program) -> int:
    async with direct(program) as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'backend-hub' AND state <> 'idle'"
        )
        return count


async def test_an_exhausted_pool_is_503_within_three_seconds(program: Program) -> None:
    [person] = await people(program, 1)
    async with http(program) as client:

        async def ask(key: str) -> httpx.Response:
            return await client.post("/api/v1/questions", json=new_question(key), headers=person)

        async with locked_questions(program):
            holders = [asyncio.create_task(ask(f"holds {n}")) for n in range(HELD)]
            await waiting(program, HELD)
            began = time.monotonic()
            refused = await asyncio.gather(*(ask(f"waits {n}") for n in range(20)))
            took = time.monotonic() - began
            assert Counter(answer.status_code for answer in refused) == {503: 20}
            assert all("Retry-After" in answer.headers for answer in refused)
            assert took < 3
            ready = await client.get("/health/ready")
            assert ready.status_code == 503, "a load balancer sends the next one elsewhere"
            assert (await client.get("/health/live")).status_code == 200
        done = await asyncio.gather(*holders)
        assert Counter(answer.status_code for answer in done) == {201: HELD}
        print(f"503 x 20 after {took:.2f} s")


async def test_vanished_clients_give_their_connections_back(program: Program) -> None:
    [person] = await people(program, 1)
    async with locked_questions(program):
        async with http(program) as client:
            tasks = [
                asyncio.create_task(
                    client.post("/api/v1/questions", json=new_question("gone"), headers=person)
                )
                for _ in range(HELD)
            ]
            await waiting(program, HELD)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        began = time.monotonic()
        async with http(program) as client:
            while (await client.get("/health/ready")).status_code != 200:
                assert time.monotonic() - began < 9, "the lock timeout ends what nobody waits for"
    assert await busy_connections(program) == 0
    print(f"the pool was whole again after {time.monotonic() - began:.2f} s")


async def test_requests_in_flight_finish_before_a_stop(programs: Programs) -> None:
    program = programs(HUB_SHUTDOWN_GRACE="10").start("--no-seed")
    ledger = Ledger()
    writers = await people(program, 8)
    async with http(program) as client:
        async with locked_questions(program):
            tasks = [asyncio.create_task(ledger.ask(client, person)) for person in writers]
            await waiting(program, len(writers))
            assert program.process is not None
            program.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            began = time.monotonic()
        await asyncio.gather(*tasks)
        code = await asyncio.to_thread(program.process.wait, 30)
    assert dict(ledger.outcomes) == {"201": len(writers)}, "they got their answers, once"
    assert code in {0, 128 + signal.SIGTERM}
    assert time.monotonic() - began < 10
    assert program.postgres() is None
    await asyncio.to_thread(program.start, "--no-seed")
    await ledger.check(program)
