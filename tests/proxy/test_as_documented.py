"""The whole of docs/operations.md at once: nginx, two processes, a primary, a replica, Redis."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import redis.asyncio

from tests.faults.conftest import scratch
from tests.faults.machine import Ledger
from tests.faults.servers import Cluster, connected, replicated
from tests.faults.test_streams import until
from tests.hub import PASSWORD, question
from tests.proxy.sites import Site, behind

__all__ = ["scratch"]

REDIS = "redis://127.0.0.1:6379/6"
ACCOUNT = {"username": "ann", "password": PASSWORD}


@pytest.fixture
async def shared_limits() -> AsyncIterator[str]:
    """A real Redis, emptied of what other runs counted."""
    client = redis.asyncio.Redis.from_url(REDIS)
    await client.flushdb()
    yield REDIS
    await client.flushdb()
    await client.aclose()


@pytest.fixture
async def installed(
    scratch: Path, tmp_path: Path, shared_limits: str
) -> AsyncIterator[tuple[Site, Cluster]]:
    """The site, and the replica that its visitors read from."""
    with replicated(scratch) as (primary, replica):
        async with behind(
            "nginx",
            tmp_path,
            HUB_DATABASE_URL=primary.url(),
            HUB_DATABASE_REPLICA_URL=replica.url(),
            HUB_DATABASE_REPLICA_LAG="60",
            HUB_REDIS_URL=shared_limits,
            HUB_RATE_LIMIT="100000/day",
            HUB_SIGN_IN_RATE_LIMIT="5/day",
            HUB_ALLOWED_HOSTS="localhost,127.0.0.1",
        ) as site:
            yield site, replica


def left(answer: httpx.Response) -> int:
    return int(answer.headers["X-RateLimit-Remaining"])


async def sign_in(site: Site) -> dict[str, str]:
    """Register at one process and sign in at the other."""
    one, two = site.hubs
    async with httpx.AsyncClient(timeout=30) as client:
        form = ACCOUNT | {"email": "ann@example.org"}
        made = await client.post(f"{one.url}/api/v1/auth/register", json=form)
        assert made.status_code == 201, made.text
        signed_in = await client.post(f"{two.url}/api/v1/auth/token", data=ACCOUNT)
        assert signed_in.status_code == 200, signed_in.text
        person = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
        for counted, hub in enumerate((one, two, one)):
            me = await client.get(f"{hub.url}/api/v1/users/me", headers=person)
            assert (me.status_code, left(me)) == (200, 100_000 - 1 - counted)
    return person


async def test_an_installation_as_documented_is_one_hub(installed: tuple[Site, Cluster]) -> None:
    site, replica = installed
    person = await sign_in(site)
    async with site.front.client() as client, connected(replica) as copy:
        # A sign-in and a registration were counted; whichever process takes them, three are left.
        wrong = ACCOUNT | {"password": "not this one"}
        tried = [await client.post("/api/v1/auth/token", data=wrong) for _ in range(5)]
        assert [answer.status_code for answer in tried] == [401, 401, 401, 429, 429]

        async with client.stream("GET", "/api/v1/events/stream") as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            await until(lines, "retry: ")
            asked = await client.post("/api/v1/questions", json=question(), headers=person)
            assert asked.status_code == 201
            await until(lines, "event: question.created")  # the stream goes on for minutes

        visited = asked.headers["Location"]
        async with asyncio.timeout(30):  # each process has looked at the replica
            while (await client.get(visited)).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await copy.execute("SELECT pg_wal_replay_pause()")
        for number in range(5):
            form = question(f"Number {number}")
            asked = await client.post("/api/v1/questions", json=form, headers=person)
            own = [await client.get(asked.headers["Location"], headers=person) for _ in range(4)]
            assert Counter(answer.status_code for answer in own) == {200: 4}
            strange = await client.get(asked.headers["Location"])
            assert strange.status_code == 404, "visitors read from the replica, which stands still"
        await copy.execute("SELECT pg_wal_replay_resume()")

        await lose_one(site, client, person, visited)


async def lose_one(
    site: Site, client: httpx.AsyncClient, person: dict[str, str], path: str
) -> None:
    """Kill a process under load: no read fails, and no write is lost or done twice.

    No proxy can mend an answer whose header has left when its process dies.
    """
    over = asyncio.Event()
    seen: Counter[int] = Counter()
    cut_off: list[httpx.RemoteProtocolError] = []

    async def read(headers: dict[str, str]) -> None:
        while not over.is_set():
            try:
                seen[(await client.get(path, headers=headers)).status_code] += 1
            except httpx.RemoteProtocolError as error:
                cut_off.append(error)

    ledger = Ledger()
    readers = [asyncio.create_task(read(headers)) for headers in (person, {}, person, {})]
    async with ledger.load(client, [person, person]):
        for lost in (False, True):
            if lost:
                await asyncio.to_thread(site.hubs[0].stop, signal.SIGKILL)
            before = seen.total(), len(ledger.acknowledged)
            async with asyncio.timeout(60):
                while seen.total() < before[0] + 50 or len(ledger.acknowledged) < before[1] + 5:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
    over.set()
    await asyncio.gather(*readers)
    assert seen.keys() == {200}
    assert len(cut_off) <= len(readers)
    await ledger.check(site.hubs[1])
