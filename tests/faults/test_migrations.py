"""Migrations that meet each other, and one that meets a long read."""

import asyncio
import shutil
import time
from pathlib import Path

import asyncpg
import pytest

from backend_hub import migrate
from tests.conftest import make_database
from tests.faults.conftest import Programs
from tests.program.conftest import Program

REPOSITORY = Path(__file__).parents[2]
ADDS_A_COLUMN = '''"""A column more."""

import sqlalchemy as sa

from alembic import op

revision, down_revision = "9999", "{head}"


def upgrade() -> None:
    op.add_column("users", sa.Column("motto", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("users", "motto")
'''


async def test_four_migrations_at_once_do_the_work_once(
    programs: Programs, database_url: str
) -> None:
    url = await make_database(database_url, "hub_migrated_in_parallel")
    hubs: list[Program] = [programs(HUB_DATABASE_URL=url) for _ in range(4)]
    done = await asyncio.gather(*(asyncio.to_thread(hub.run, "migrate") for hub in hubs))
    assert [each.returncode for each in done] == [0] * 4, [each.stderr for each in done]
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    await connection.close()
    print(f"{len(done)} migrations at once, each exits with 0, one version")


async def test_a_migration_waits_out_a_long_read_and_stops_nobody(
    database_url: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await make_database(database_url, "hub_migrated_while_read")
    await asyncio.to_thread(migrate.upgrade, url)
    shutil.copytree(REPOSITORY / "alembic", scratch / "alembic")
    newer = scratch / "alembic/versions/9999_motto.py"
    newer.write_text(ADDS_A_COLUMN.format(head=migrate.head()))
    monkeypatch.setattr(migrate, "CHECKOUT", scratch / "alembic")
    reader, visitor = [await asyncpg.connect(url.replace("+asyncpg", "")) for _ in range(2)]
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT * FROM users")
    migration = asyncio.create_task(asyncio.to_thread(migrate.upgrade, url))
    slowest, until = 0.0, time.monotonic() + 6
    while time.monotonic() < until:
        began = time.monotonic()
        await visitor.fetch("SELECT * FROM users")
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.02)
    assert not migration.done(), "the read is still going on"
    assert 0.5 < slowest < 3, "a visitor waits behind the migration, but less than a lock timeout"
    await transaction.rollback()
    await asyncio.wait_for(migration, 30)
    assert await visitor.fetch("SELECT motto FROM users") == []
    await reader.close()
    await visitor.close()
    print(f"the slowest read behind the migration took {slowest:.2f} s")


async def test_the_old_version_starts_on_a_newer_schema_and_not_on_an_older_one(
    programs: Programs, database_url: str
) -> None:
    url = await make_database(database_url, "hub_of_a_newer_version")
    program = programs(HUB_DATABASE_URL=url)
    refused = await asyncio.to_thread(program.run, "serve", "--port", str(program.port))
    assert refused.returncode == 1
    assert "backend-hub migrate" in refused.stderr, refused.stderr
    await asyncio.to_thread(migrate.upgrade, url)
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    await asyncio.to_thread(program.start, "--no-seed")
    down = await asyncio.to_thread(program.run, "migrate")
    assert (down.returncode, len(down.stderr.strip().splitlines())) == (1, 1), down.stderr
