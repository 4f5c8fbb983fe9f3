"""Migrations on real databases: up, down, in parallel, behind locks, after a restore."""

import asyncio
import os
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import run

import pytest
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from alembic import command
from backend_hub.app import create_app, lifespan
from backend_hub.db import sqlstate
from backend_hub.migrate import alembic_config, downgrade, head, revisions, upgrade
from backend_hub.settings import Settings
from tests.conftest import http_client, make_database
from tests.hub import Hub, link

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def url(settings: Settings, worker_name: str) -> str:
    """An empty database."""
    return await make_database(settings.database_url, f"hub_migrations_{worker_name}")


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url, poolclass=NullPool)
    yield engine
    await engine.dispose()


def test_the_names_of_the_files_are_the_revisions() -> None:
    scripts = ScriptDirectory.from_config(alembic_config(""))
    known = [script.revision for script in scripts.walk_revisions()]
    assert revisions() == known[::-1]
    assert head() == scripts.get_current_head()


async def scalars(engine: AsyncEngine, statement: str) -> list[object]:
    async with engine.connect() as connection:
        return list((await connection.scalars(text(statement))).all())


async def seed(settings: Settings, url: str) -> None:
    """What a hub in use holds."""
    app = create_app(settings.model_copy(update={"database_url": url}))
    async with lifespan(app), http_client(app) as client:
        hub = Hub(client, app.state.database, commits=True)
        ann, bob = await hub.person("ann"), await hub.person("bob")
        await hub.topic("databases")
        post = await ann.create("/resources", link(topic="databases", tags=["sql"]))
        await bob.create(f"/posts/{post['id']}/comments", {"body": "Good."})
        await bob.put(f"/posts/{post['id']}/vote", {"value": 1})
        await bob.put(f"/posts/{post['id']}/bookmark")


TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


async def test_up_down_and_up_again_on_a_hub_in_use(
    settings: Settings, url: str, engine: AsyncEngine
) -> None:
    await asyncio.to_thread(upgrade, url)
    tables = await scalars(engine, TABLES)
    assert await scalars(engine, "SELECT version_num FROM alembic_version") == [head()]
    await seed(settings, url)
    await asyncio.to_thread(upgrade, url)
    assert await scalars(engine, "SELECT count(*) FROM votes") == [1]
    await asyncio.to_thread(downgrade, url, "base")
    assert await scalars(engine, TABLES) == ["alembic_version"]
    await asyncio.to_thread(upgrade, url)
    assert await scalars(engine, TABLES) == tables
    await seed(settings, url)


async def test_the_models_and_the_migrations_do_not_drift(url: str, engine: AsyncEngine) -> None:
    with pytest.raises(CommandError, match="not up to date"):
        await asyncio.to_thread(command.check, alembic_config(url))
    await asyncio.to_thread(upgrade, url)
    await asyncio.to_thread(command.check, alembic_config(url))


async def test_every_constraint_and_index_is_named_by_the_convention(
    url: str, engine: AsyncEngine
) -> None:
    await asyncio.to_thread(upgrade, url)
    wrong = """
        SELECT conname FROM pg_constraint
        JOIN pg_class ON pg_class.oid = conrelid AND relname <> 'alembic_version'
        WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f', 'u', 'c')
          AND conname NOT LIKE CASE contype WHEN 'p' THEN 'pk' WHEN 'f' THEN 'fk'
            WHEN 'u' THEN 'uq' ELSE 'ck' END || '\\_' || relname || '%'
        UNION ALL
        SELECT indexname FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
          AND indexname NOT SIMILAR TO '(pk|uq|ix)\\_' || tablename || '%'
    """
    assert await scalars(engine, wrong) == []


async def test_several_hubs_migrate_at_once(url: str, engine: AsyncEngine) -> None:
    script = f"from backend_hub.migrate import upgrade; upgrade({url!r})"
    processes = [
        await asyncio.create_subprocess_exec("python", "-c", script, env=environment())
        for _ in range(2)
    ]
    threads = [asyncio.to_thread(upgrade, url) for _ in range(2)]
    await asyncio.gather(*threads)
    assert [await process.wait() for process in processes] == [0, 0]
    assert await scalars(engine, "SELECT version_num FROM alembic_version") == [head()]
    left = f"SELECT state FROM pg_stat_activity WHERE datname = current_database() AND {OTHERS}"
    assert await scalars(engine, left) == []
    # Of this database: those of other workers' tests are in the view too.
    locks = (
        "SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database "
        "WHERE locktype = 'advisory' AND datname = current_database()"
    )
    assert await scalars(engine, locks) == []


OTHERS = "pid <> pg_backend_pid() AND backend_type = 'client backend'"


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


async def hold(connection: AsyncConnection, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await connection.rollback()


async def test_a_migration_behind_a_lock_tries_again(url: str, engine: AsyncEngine) -> None:
    await asyncio.to_thread(upgrade, url)
    await asyncio.to_thread(downgrade, url, "base")
    async with engine.connect() as busy:
        await busy.execute(text("LOCK TABLE alembic_version"))
        with pytest.raises(DBAPIError) as refused:
            await asyncio.to_thread(upgrade, url, lock_timeout=10)
        assert sqlstate(refused.value) == "55P03"
        work = asyncio.to_thread(upgrade, url, lock_timeout=300)
        await asyncio.gather(hold(busy, 0.8), work)
    assert await scalars(engine, "SELECT version_num FROM alembic_version") == [head()]


async def test_events_restored_from_another_cluster_become_the_past(
    settings: Settings, url: str, engine: AsyncEngine
) -> None:
    await asyncio.to_thread(upgrade, url)
    await seed(settings, url)
    own = "SELECT transaction_id FROM events ORDER BY id"
    before = await scalars(engine, own)
    await asyncio.to_thread(upgrade, url)
    assert await scalars(engine, own) == before  # of this cluster: nothing to mend
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE events SET transaction_id = transaction_id + 2 ^ 40"))
    await asyncio.to_thread(upgrade, url)
    assert set(await scalars(engine, own)) == {0}
    app = create_app(settings.model_copy(update={"database_url": url}))
    async with lifespan(app), http_client(app) as client:
        hub = Hub(client, app.state.database, commits=True)
        await hub.person("eve")
        page = await hub.visitor.read("/events", limit=100)
        types = [event["type"] for event in page["items"]]
        assert types.count("user.registered") == 4
        assert types[-1] == "user.registered"


def test_the_wheel_ships_the_migrations(tmp_path: Path) -> None:
    run(
        [sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "-o", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env=environment(),
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"backend_hub/migrations/{name}" for name in ("env.py", "script.py.mako")}
    shipped |= {
        f"backend_hub/migrations/versions/{path.name}"
        for path in (ROOT / "alembic" / "versions").glob("*.py")
    }
    assert shipped <= names
    assert not [name for name in names if "__pycache__" in name]
