"""Streams of the real program: what they bring while it happens, and how they end."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.faults.conftest import Programs
from tests.faults.machine import Headers, direct, http, new_question, people
from tests.program.conftest import Program

LISTENERS = 30


@asynccontextmanager
async def streaming(program: Program, person: Headers) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of a stream."""
    async with (
        http(program) as client,
        client.stream("GET", "/api/v1/events/stream", headers=person) as answer,
    ):
        assert answer.status_code == 200
        yield answer.aiter_lines()


async def until(lines: AsyncIterator[str], wanted: str) -> None:
    async with asyncio.timeout(30):
        async for line in lines:
            if line.startswith(wanted):
                return
    raise AssertionError(f"the stream ended before {wanted}")


async def ended(lines: AsyncIterator[str]) -> None:
    async with asyncio.timeout(30):
        async for _ in lines:
            pass


async def test_streams_bring_what_happens_and_end_when_they_must(programs: Programs) -> None:
    program = programs().start("--no-seed", "--workers", "2")
    ann, bob = await people(program, 2)
    async with http(program) as client, streaming(program, ann) as lines:
        await until(lines, "retry: ")
        asked = await client.post("/api/v1/questions", json=new_question("1"), headers=bob)
        assert asked.status_code == 201
        await until(lines, "event: question.created")

        # The sign-in ends, through another worker perhaps: so does the stream, and only then.
        out = await client.post("/api/v1/auth/sign-out", headers=ann)
        assert out.status_code == 204
        await client.post("/api/v1/questions", json=new_question("2"), headers=bob)
        await ended(lines)

    # SIGTERM: streams end, a request in flight is answered, and the process is gone in time.
    async with http(program) as client, streaming(program, bob) as lines, direct(program) as other:
        await until(lines, "retry: ")
        await other.execute("BEGIN")
        await other.execute("LOCK TABLE questions IN ACCESS EXCLUSIVE MODE")
        slow = asyncio.create_task(client.get("/api/v1/questions"))
        await waiting_for_a_lock(other)
        assert program.process is not None
        program.process.send_signal(signal.SIGTERM)
        await ended(lines)
        await other.execute("ROLLBACK")
        assert (await slow).status_code == 200
        code = await asyncio.to_thread(program.process.wait, 30)
    assert code in {0, 128 + signal.SIGTERM}


async def waiting_for_a_lock(connection: object) -> None:
    """Until the request's statement waits for the table."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(20):
        while not await connection.fetchval(query):  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def test_a_listener_that_vanishes_leaves_nothing_behind(programs: Programs) -> None:
    program = programs().start("--no-seed")
    for _ in range(LISTENERS):
        with httpx.stream("GET", f"{program.url}/api/v1/events/stream") as answer:
            assert next(answer.iter_lines()).startswith("retry")
    assert httpx.get(f"{program.url}/health/ready").status_code == 200
    assert "ERROR" not in program.log.upper().replace("NO ERROR", "")
    print(f"{LISTENERS} listeners vanished")
