"""Disks that are full: writes are refused, nothing is lost, and it passes by itself."""

import asyncio
import os
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.conftest import Programs
from tests.faults.machine import Ledger, direct, http, people
from tests.faults.servers import Cluster, clusters

READS = ("/api/v1/questions", "/api/v1/resources", "/api/v1/search?q=question")


@pytest.fixture
def small_disk(scratch: Path) -> Iterator[Path]:
    """A disk of 48 MB."""
    disk = scratch / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m,mode=0755", "tmpfs", disk],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture
def server(scratch: Path) -> Iterator[Cluster]:
    with clusters(scratch, "server") as [server]:
        yield server


def fill(disk: Path) -> Path:
    """Write until there is no space left; the file that gives it back."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4_096))
    assert os.statvfs(disk).f_bavail == 0
    return ballast


async def refused(ledger: Ledger, count: int = 20) -> None:
    """Until so many writes were refused."""
    async with asyncio.timeout(60):
        while ledger.outcomes["503"] < count and not ledger.wrong:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def acknowledged(ledger: Ledger, count: int) -> None:
    """Until so many more writes were acknowledged."""
    wanted = len(ledger.acknowledged) + count
    async with asyncio.timeout(60):
        while len(ledger.acknowledged) < wanted and not ledger.wrong:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_a_full_disk_refuses_writes_and_loses_nothing(
    programs: Programs, small_disk: Path, server: Cluster
) -> None:
    """The tables are on it; the log of changes lies on another."""
    server.create().start()
    tables = server.own(small_disk / "tables")
    for statement in (
        f"CREATE TABLESPACE small LOCATION '{tables}'",
        "CREATE DATABASE hub TABLESPACE small",
    ):
        server.call("psql", "-d", server.url().replace("+asyncpg", ""), "-c", statement)
    program = programs(HUB_DATABASE_URL=server.url("hub"))
    await asyncio.to_thread(program.start, "--no-seed", "--migrate")
    ledger = Ledger()
    async with http(program) as client, ledger.load(client, await people(program, 4)):
        await acknowledged(ledger, 50)
        ballast = fill(small_disk)
        await refused(ledger)
        reads = [(await client.get(path)).status_code for path in READS * 5]
        assert reads == [200] * len(reads)
        ballast.unlink()
        await acknowledged(ledger, 20)
    await ledger.check(program)
    async with direct(program) as connection:
        assert await connection.fetchval("SELECT pg_is_in_recovery()") is False


@asynccontextmanager
async def kept_running(server: Cluster) -> AsyncIterator[Counter[bool]]:
    """What a process manager does: start the server again when it has ended."""
    over = asyncio.Event()
    starts: Counter[bool] = Counter()

    async def keep() -> None:
        while not over.is_set():
            if not await asyncio.to_thread(server.runs):
                try:
                    await asyncio.to_thread(server.start)
                    starts[True] += 1
                except AssertionError:
                    starts[False] += 1
            await asyncio.sleep(0.2)

    task = asyncio.create_task(keep())
    try:
        yield starts
    finally:
        over.set()
        await task


async def test_a_full_disk_of_the_log_of_changes_loses_nothing(
    programs: Programs, small_disk: Path, server: Cluster
) -> None:
    """PostgreSQL crashes without space in `pg_wal`, and does not come up before there is some."""
    server.own(small_disk)
    server.create("--waldir", small_disk / "wal", "--wal-segsize=1").start()
    program = programs(HUB_DATABASE_URL=server.url())
    await asyncio.to_thread(program.start, "--no-seed", "--migrate")
    ledger = Ledger()
    reads: Counter[int] = Counter()
    async with (
        kept_running(server) as starts,
        http(program) as client,
        ledger.load(client, await people(program, 4)),
    ):
        await acknowledged(ledger, 50)
        ballast = fill(small_disk)
        await refused(ledger)
        async with asyncio.timeout(60):
            while not starts[False]:
                for path in READS:
                    read = await client.get(path)
                    reads[read.status_code] += 1
                    assert read.status_code == 200 or "Retry-After" in read.headers
                assert (await client.get("/health/live")).status_code == 200
                await asyncio.sleep(0.1)
        ballast.unlink()
        await acknowledged(ledger, 20)
        after = [(await client.get(path)).status_code for path in READS * 5]
        assert after == [200] * len(after)
    print(f"PostgreSQL was started {dict(starts)}; reads meanwhile {dict(reads)}")
    assert reads.keys() <= {200, 503}
    assert "PANIC" in (server.folder / "log").read_text()
    await ledger.check(program)
    assert ledger.outcomes["no answer"] == 0, "the hub itself never went away"
