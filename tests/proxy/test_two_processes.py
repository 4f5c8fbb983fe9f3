"""Two API processes behind nginx and behind Caddy, with the configurations of deploy/."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import make_database
from tests.faults.machine import Headers, people
from tests.faults.test_streams import until
from tests.hub import question
from tests.program.conftest import Program
from tests.proxy.sites import PROXIES, Front, Site, behind

SLOW = 6
"""Clients that stop in the middle, of each kind: three times the processes that they could harm."""
STREAM_SECONDS = 7
"""More than a tenth of every limit in deploy/."""


@pytest.fixture(params=PROXIES)
async def site(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> AsyncIterator[Site]:
    url = await make_database(database_url, f"hub_behind_{request.param}_{os.getpid()}")
    async with behind(
        request.param,
        tmp_path,
        HUB_DATABASE_URL=url,
        HUB_REQUEST_HEADER_TIMEOUT="1",
        HUB_REQUEST_BODY_TIMEOUT="3",
        HUB_DATABASE_POOL_SIZE="3",
    ) as site:
        yield site


def served(hub: Program) -> int:
    return hub.log.count('"event":"request"')


async def statuses(client: httpx.AsyncClient, count: int = 20) -> Counter[int]:
    return Counter([(await client.get("/api/v1/questions")).status_code for _ in range(count)])


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A body that does not say how long it is."""
    for _ in range(size // 10_000):
        yield b"x" * 10_000


async def stalled(front: Front, sent: bytes) -> bytes:
    """What a client gets that sends this and then no more."""
    reader, writer = await asyncio.open_connection("localhost", front.secure, ssl=front.trust)
    writer.write(sent)
    got = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return got


async def slow_senders_harm_nobody(front: Front, client: httpx.AsyncClient) -> None:
    header = b"POST /api/v1/questions HTTP/1.1\r\nHost: localhost\r\n"
    small, large = (
        header + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n{" % size
        for size in (100, 100_000)
    )
    slow = [
        asyncio.create_task(stalled(front, sent))
        for sent in (header, small, large + b" " * 50_000)
        for _ in range(SLOW)
    ]
    seen: Counter[int] = Counter()
    while not all(one.done() for one in slow):
        seen += await statuses(client, 5)
    assert seen.keys() == {200}
    answers = [one.result() for one in slow]
    print(Counter(answer.partition(b"\r\n")[0] for answer in answers), f"{seen[200]} x 200 beside")
    assert not any(answer.startswith(b"HTTP/1.1 2") for answer in answers)


@asynccontextmanager
async def a_long_stream(site: Site, person: Headers) -> AsyncIterator[None]:
    """A stream that is opened before the block and brings what happens after it."""
    async with (
        site.front.client() as client,
        client.stream("GET", "/api/v1/events/stream") as stream,
    ):
        began = time.monotonic()
        lines = stream.aiter_lines()
        await until(lines, "retry: ")
        yield
        await asyncio.sleep(began + STREAM_SECONDS - time.monotonic())
        asked = await client.post("/api/v1/questions", json=question("At last"), headers=person)
        assert asked.status_code == 201
        await until(lines, "event: question.created")


async def lists_show_what_was_written(site: Site, person: Headers) -> None:
    """At both processes, at once, while more visitors ask for the same list than connections are
    there: such reads are asked once."""
    over = asyncio.Event()

    async def newest(client: httpx.AsyncClient, hub: Program) -> str:
        answer = await client.get(f"{hub.url}/api/v1/questions")
        assert answer.status_code == 200, answer.text
        newest_id: str = answer.json()["items"][0]["id"]
        return newest_id

    async def keep_asking(client: httpx.AsyncClient, hub: Program) -> int:
        asked = 0
        while not over.is_set():
            await newest(client, hub)
            asked += 1
        return asked

    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=100)) as client:
        asking = [
            asyncio.create_task(keep_asking(client, hub)) for hub in site.hubs for _ in range(12)
        ]
        for number in range(20):
            writes, other = site.hubs[number % 2], site.hubs[(number + 1) % 2]
            form = question(f"Written {number} under load")
            asked = await client.post(f"{writes.url}/api/v1/questions", json=form, headers=person)
            assert asked.status_code == 201, asked.text
            found = await asyncio.gather(*(newest(client, hub) for hub in (other, writes, other)))
            assert set(found) == {asked.json()["id"]}
        over.set()
        assert min(await asyncio.gather(*asking)) > 1


async def test_two_processes_behind_a_proxy_are_one_hub(site: Site) -> None:
    [person] = await people(site.hubs[0], 1)
    async with site.front.client() as client:
        for number in range(10):  # what one process acknowledged, the other one shows
            form = question(f"Number {number}")
            asked = await client.post("/api/v1/questions", json=form, headers=person)
            assert asked.status_code == 201, asked.text
            for _ in range(2):
                assert (await client.get(asked.headers["Location"])).status_code == 200
        await lists_show_what_was_written(site, person)
        assert all(served(hub) > 5 for hub in site.hubs)

        for number in range(20):
            body = chunks(1_500_000) if number % 2 else b"x" * 1_500_000
            large = await client.post("/api/v1/questions", content=body, headers=person)
            assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
        assert (await client.get("/metrics")).status_code == 404
        plain = await client.get(f"http://localhost:{site.front.plain}/docs")
        assert (plain.status_code, plain.headers["Location"][:5]) == (308, "https")

        async with a_long_stream(site, person):
            await slow_senders_harm_nobody(site.front, client)

        await asyncio.to_thread(site.hubs[0].stop, signal.SIGTERM)
        assert await statuses(client) == {200: 20}
        await asyncio.to_thread(site.hubs[0].start)
        assert await statuses(client) == {200: 20}
        for hub in site.hubs:
            await asyncio.to_thread(hub.stop, signal.SIGTERM)
        away = await client.get("/api/v1/questions")
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        assert away.headers["Retry-After"] == "2"
