"""A disk that is full: writes are refused, reads go on, nothing is lost."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.conftest import Programs
from tests.faults.machine import Ledger, direct, http, people
from tests.faults.servers import Cluster, clusters

SIZE = "24m"


@pytest.fixture
def small_disk(scratch: Path) -> Iterator[tuple[Cluster, Path]]:
    """A server whose tables lie on a disk of 24 MB; its log of changes lies on another."""
    disk = scratch / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "tmpfs", disk],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"only root may mount a small disk: {mounted.stderr.strip()}")
    try:
        with clusters(scratch, "server") as [server]:
            server.create().start()
            tables = server.own(disk / "tables")
            for statement in (
                f"CREATE TABLESPACE small LOCATION '{tables}'",
                "CREATE DATABASE hub TABLESPACE small",
            ):
                server.call(
                    "psql", "-h", "127.0.0.1", "-p", server.port, "-U", "postgres", "-c", statement
                )
            yield server, disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> Path:
    """Write until there is no space left; the file that gives it back."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4_096))
    assert os.statvfs(disk).f_bavail == 0
    return ballast


async def test_a_full_disk_refuses_writes_and_loses_nothing(
    programs: Programs, small_disk: tuple[Cluster, Path]
) -> None:
    server, disk = small_disk
    program = programs(HUB_DATABASE_URL=server.url("hub"))
    await asyncio.to_thread(program.start, "--no-seed", "--migrate")
    writers = await people(program, 4)
    ledger = Ledger()
    async with http(program) as client, ledger.load(client, writers):
        await asyncio.sleep(1)
        ballast = fill(disk)
        for _ in range(100):
            if ledger.outcomes["503"] > 20:
                break
            await asyncio.sleep(0.1)
        assert ledger.outcomes["503"] > 20, ledger.outcomes
        reads = [
            await client.get(path)
            for path in ("/api/v1/questions", "/api/v1/resources", "/api/v1/search?q=question")
            for _ in range(5)
        ]
        assert [read.status_code for read in reads] == [200] * len(reads)
        before = len(ledger.acknowledged)
        assert before > 0
        ballast.unlink()
        await asyncio.sleep(1)
    await ledger.check(program)
    assert len(ledger.acknowledged) > before, "with space again, writes go on by themselves"
    async with direct(program) as connection:
        assert await connection.fetchval("SELECT pg_is_in_recovery()") is False
