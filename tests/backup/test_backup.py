"""The database written to a file and brought back, with the real programs."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url

from backend_hub import embedded
from backend_hub.backup import connection_environment, find_programs
from backend_hub.errors import ConfigurationError
from tests.faults.conftest import Programs, programs, scratch
from tests.faults.machine import Headers, Ledger, direct, http, new_question, people
from tests.program.conftest import Program

__all__ = ["programs", "scratch"]


ROW = "(to_jsonb(t) - 'transaction_id')::text"
"""The ids of transactions are another cluster's after a restore, and are made anew."""


async def checksums(program: Program) -> dict[str, str]:
    """Every table and sequence of a hub, each as one checksum over all its rows in order."""
    async with direct(program) as connection:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        sums = {
            name: await connection.fetchval(
                f'SELECT count(*) || md5(string_agg({ROW}, chr(10) ORDER BY {ROW})) FROM "{name}" t'
            )
            for (name,) in tables
        }
        for name, value in await connection.fetch(
            "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'"
        ):
            sums[f"sequence {name}"] = str(value)
    return sums


async def retry(program: Program, person: Headers, key: str) -> httpx.Response:
    async with http(program) as client:
        headers = {**person, "Idempotency-Key": key}
        return await client.post(
            "/api/v1/questions", json=new_question(key, "Who?"), headers=headers
        )


def assert_private(file: Path) -> None:
    """For its owner only, and even so without a usable signing key."""
    assert file.stat().st_mode & 0o077 == 0
    assert b"PRIVATE KEY" not in file.read_bytes()


async def test_a_backup_under_load_is_one_moment_and_a_quiet_one_is_row_for_row(
    programs: Programs, scratch: Path
) -> None:
    source, busy, quiet = (programs(HUB_PUBLIC_URL="http://127.0.0.1:8000") for _ in range(3))
    await asyncio.to_thread(source.start, "--no-seed")
    writers, ledger = await people(source, 8), Ledger()
    busy_file, quiet_file = scratch / "busy.dump", scratch / "quiet.dump"

    async def write_backup(file: Path) -> None:
        done = await asyncio.to_thread(source.run, "backup", str(file))
        assert done.returncode == 0, done.stderr
        assert_private(file)

    async with http(source) as client, ledger.load(client, writers):
        while not ledger.acknowledged:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        before = dict(ledger.acknowledged)
        await write_backup(busy_file)
        after = dict(ledger.acknowledged)
    await ledger.check(source)
    assert len(before) < len(after), "nothing was written during the backup"
    await write_backup(quiet_file)

    for target, file in ((busy, busy_file), (quiet, quiet_file)):
        done = await asyncio.to_thread(target.run, "restore", str(file))
        assert done.returncode == 0, done.stderr
    await asyncio.to_thread(embedded.start, busy.folder / ".hub")
    await asyncio.to_thread(quiet.start, "--no-seed")
    saved = await checksums(source)
    assert await checksums(quiet) == saved
    print(f"{len(saved)} tables and sequences row for row the same")

    held = await questions_and_what_came_with_them(busy)
    assert before.keys() <= held.keys() <= ledger.acknowledged.keys()
    assert all(parts == (1, 1) for parts in held.values()), "half a transaction was saved"

    key, asked = next(iter(before.items()))
    owner = ledger.authors[key]  # with the token of the source: its signing key came along
    replayed = await retry(quiet, owner, key)
    assert (replayed.status_code, replayed.json()["id"]) == (201, asked), replayed.text
    assert replayed.headers["Idempotency-Replayed"] == "true"
    fresh = await retry(quiet, owner, "a-new-key")
    assert fresh.status_code == 201, "sequences go on where they were"


async def questions_and_what_came_with_them(program: Program) -> dict[str, tuple[int, int]]:
    """For each question its numbers of events and of stored answers."""
    async with direct(program) as connection:
        rows: list[Any] = await connection.fetch(
            "SELECT substr(p.title, 10) AS key, "
            "(SELECT count(*) FROM events e WHERE e.post_id = p.id) AS events, "
            "(SELECT count(*) FROM idempotency_records i "
            " WHERE i.key = substr(p.title, 10)) AS answers FROM posts p"
        )
    return {row["key"]: (row["events"], row["answers"]) for row in rows}


def half(file: Path) -> Path:
    """A copy that was cut off."""
    copy = file.with_name("half.dump")
    content = file.read_bytes()
    copy.write_bytes(content[: len(content) // 2])
    return copy


async def test_a_restore_replaces_nothing_unless_it_is_told_to(
    programs: Programs, scratch: Path
) -> None:
    source, target = programs(), programs()
    file = scratch / "hub.dump"
    for command in ("migrate", f"backup {file}"):
        done = await asyncio.to_thread(source.run, *command.split())
        assert done.returncode == 0, done.stderr
    again = await asyncio.to_thread(source.run, "backup", str(file))
    assert (again.returncode, "exists" in again.stderr) == (1, True), "a backup is not overwritten"
    await asyncio.to_thread(target.run, "migrate")
    refused = await asyncio.to_thread(target.run, "restore", str(file))
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    broken = await asyncio.to_thread(target.run, "restore", str(half(file)), "--force")
    assert broken.returncode == 1
    assert len(broken.stderr.strip().splitlines()) == 1, broken.stderr
    assert "at " in (await asyncio.to_thread(target.run, "doctor")).stdout, "it is as before"
    done = await asyncio.to_thread(target.run, "restore", str(file), "--force")
    assert done.returncode == 0, done.stderr
    doctor = await asyncio.to_thread(target.run, "doctor")
    assert doctor.returncode == 0, doctor.stdout
    target.environment["HUB_SECRET_KEY"] = "another" * 10
    doctor = await asyncio.to_thread(target.run, "doctor")
    assert (doctor.returncode, "cannot be decrypted" in doctor.stdout) == (1, True)


def test_the_programs_are_the_servers_version_or_the_refusal_names_what_to_install() -> None:
    assert (find_programs(18) / "pg_dump").exists()
    with pytest.raises(ConfigurationError, match="postgresql-client-9"):
        find_programs(9)


def test_the_url_reaches_libpq_without_the_command_line() -> None:
    url = make_url("postgresql+asyncpg://ann:p%40ss@db.example:6432/hub?ssl=verify-full")
    wanted = {"PGHOST": "db.example", "PGPORT": "6432", "PGUSER": "ann", "PGPASSWORD": "p@ss"}
    wanted |= {"PGDATABASE": "hub", "PGSSLMODE": "verify-full"}
    assert connection_environment(url).items() >= wanted.items()
    several = make_url(
        "postgresql+asyncpg://ann@/hub?host=a:5432&host=b:5433&target_session_attrs=read-write"
    )
    wanted = {"PGHOST": "a,b", "PGPORT": "5432,5433", "PGTARGETSESSIONATTRS": "read-write"}
    assert connection_environment(several).items() >= wanted.items()
    folder = make_url("postgresql+asyncpg://postgres@/postgres?host=/srv/hub/postgres")
    assert connection_environment(folder)["PGHOST"] == "/srv/hub/postgres"
