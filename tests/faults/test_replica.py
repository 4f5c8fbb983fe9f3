"""Visitors read from a replica while it is near, and from the primary when it is not."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.conftest import Programs
from tests.faults.machine import Headers, http, people
from tests.faults.servers import Cluster, connected, replicated
from tests.hub import question
from tests.program.conftest import Program

LAG = 6
"""The setting of these hubs, in seconds."""
TOKEN = "scrape-me-softly"


@pytest.fixture
def servers(scratch: Path) -> Iterator[tuple[Cluster, Cluster]]:
    with replicated(scratch) as servers:
        yield servers


async def ask(client: httpx.AsyncClient, title: str, person: Headers) -> str:
    """Ask a question; gives the path that shows it."""
    asked = await client.post("/api/v1/questions", json=question(title), headers=person)
    assert asked.status_code == 201, asked.text
    return str(asked.headers["Location"])


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what happens by itself."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def lag(program: Program) -> float:
    async with http(program) as client:
        page = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    line = next(one for one in page.text.splitlines() if one.startswith("hub_replica_lag_seconds"))
    return float(line.split()[1])


async def test_a_visitor_reads_from_the_replica_and_an_author_their_own_write(
    programs: Programs, servers: tuple[Cluster, Cluster]
) -> None:
    primary, replica = servers
    settings = {
        "HUB_DATABASE_URL": primary.url(),
        "HUB_DATABASE_REPLICA_URL": replica.url(),
        "HUB_DATABASE_REPLICA_LAG": str(LAG),
        "HUB_METRICS_TOKEN": TOKEN,
        "HUB_PUBLIC_URL": "http://localhost:8000",
    }
    one, two = programs(**settings), programs(**settings)
    await asyncio.to_thread(one.start, "--no-seed", "--migrate")
    await asyncio.to_thread(two.start, "--no-seed")
    [author] = await people(one, 1)
    async with http(one) as first, http(two) as second, connected(replica) as copy:

        async def seen(path: str, **headers: str) -> list[int]:
            return [(await hub.get(path, headers=headers)).status_code for hub in (first, second)]

        async def visitors_see(path: str) -> bool:
            return await seen(path) == [200, 200]

        path = await ask(first, "Before the pause?", author)
        page = path.removeprefix("/api/v1")
        await until(lambda: visitors_see(path))
        await until(lambda: visitors_see(page))
        doctor = await asyncio.to_thread(one.run, "doctor")
        assert "behind at most" in doctor.stdout, doctor.stdout
        assert await lag(one) < LAG
        known = (await first.get(path)).headers["ETag"]

        # A replica that stands still shows visitors what was; whoever signed in sees what is.
        await copy.execute("SELECT pg_wal_replay_pause()")
        new = await ask(first, "During the pause?", author)
        stale = [await seen(new), await seen(new.removeprefix("/api/v1"))]
        assert stale == [[404, 404], [404, 404]], "a visitor's read went to the primary"
        assert await seen(new, **author) == [200, 200]
        assert await seen(new, Cookie="__Host-hub_session=whatever") == [200, 200]
        titles = [
            {item["title"] for item in (await hub.get("/api/v1/questions")).json()["items"]}
            for hub in (first, second)
        ]
        assert titles == [{"Before the pause?"}] * 2
        events = (await second.get("/api/v1/events", params={"limit": 100})).json()["items"]
        assert sum(event["type"] == "question.created" for event in events) == 2

        # Too far behind it is not used, and the tag that a client has stays right or is refused.
        await until(lambda: visitors_see(new))
        assert await lag(two) > LAG
        same = await first.get(path, headers={"If-None-Match": known})
        assert same.status_code == 304

        # It comes back by itself: a pause shows again what was.
        await copy.execute("SELECT pg_wal_replay_resume()")

        async def near() -> bool:
            return await lag(one) < LAG and await lag(two) < LAG

        await until(near)
        await copy.execute("SELECT pg_wal_replay_pause()")
        newest = await ask(second, "After it came back?", author)
        assert await seen(newest) == [404, 404]
        assert await seen(newest, **author) == [200, 200]
        await copy.execute("SELECT pg_wal_replay_resume()")

    async with http(one) as first, http(two) as second:
        await asyncio.to_thread(replica.stop, "immediate")
        paths = [path, path.removeprefix("/api/v1"), "/api/v1/questions", "/api/v1/topics", "/"]
        answers = [await hub.get(path) for hub in (first, second) for path in paths * 3]
        assert {answer.status_code for answer in answers} == {200}
        assert (await first.get("/health/ready")).status_code == 200
        await asyncio.to_thread(replica.start)
        await until(near)


async def test_a_server_that_is_no_replica_of_the_primary_is_never_read(
    programs: Programs, servers: tuple[Cluster, Cluster]
) -> None:
    """A replica that was promoted goes its own way."""
    primary, replica = servers
    program = programs(HUB_DATABASE_URL=primary.url(), HUB_DATABASE_REPLICA_URL=replica.url())
    assert (await asyncio.to_thread(program.run, "migrate")).returncode == 0
    await asyncio.to_thread(replica.promote)
    await asyncio.to_thread(program.start, "--no-seed")
    [author] = await people(program, 1)
    async with http(program) as client:
        path = await ask(client, "After the promotion?", author)
        assert (await client.get(path)).status_code == 200
    doctor = await asyncio.to_thread(program.run, "doctor")
    assert "is no replica of the primary" in doctor.stdout
