"""A real PostgreSQL with a migrated database for each worker, and a transaction for each test.

`client` speaks HTTP to the real app; its sessions are savepoints in a transaction that is rolled
back. Tests where requests meet each other use `live`, whose requests commit and run side by side;
it empties the database afterwards.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import hypothesis
import pytest
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from backend_hub import embedded
from backend_hub.app import create_app, lifespan
from backend_hub.auth import passwords
from backend_hub.db import AsyncSession, Database
from backend_hub.logs import configure_logging
from backend_hub.migrate import upgrade
from backend_hub.settings import Settings, load_settings
from backend_hub.statements import Prepared, Row
from backend_hub.tables import metadata
from tests.hub import Hub

SECRET = "Zk3v9QpX7mT2wLr8JfB5nHc1YsDg6uAe0iOt4RxV"
T = TypeVar("T")
STARTED: list[tuple[embedded.Server, Path]] = []


hypothesis.settings.register_profile("hub", deadline=None)  # no test is held to a time
hypothesis.settings.load_profile("hub")

# Every person in a test is hashed twice, a third of the time of all tests. The hubs that run in
# processes of their own take the time that it takes in life.
REAL_HASHER = passwords._hasher
passwords._hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
passwords._DUMMY = passwords._hasher.hash("nobody")


def pytest_configure(config: pytest.Config) -> None:
    """Start one embedded PostgreSQL for all workers, unless TEST_DATABASE_URL names a server."""
    if hasattr(config, "workerinput") or os.environ.get("TEST_DATABASE_URL"):
        return
    folder = Path(tempfile.mkdtemp(prefix="hub-tests-"))
    server = embedded.start(folder, durable=False)
    STARTED.append((server, folder))
    os.environ["TEST_DATABASE_URL"] = server.url


def pytest_unconfigure() -> None:
    for server, folder in STARTED:
        embedded.stop(server, "immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def worker_name(request: pytest.FixtureRequest) -> str:
    """Of the xdist worker, or `main`."""
    return str(getattr(request.config, "workerinput", {}).get("workerid", "main"))


@pytest.fixture(scope="session")
def settings(worker_name: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = load_settings(
        environment="development",
        secret_key=SECRET,
        data_dir=tmp_path_factory.mktemp("data"),
        public_url="http://testserver",
        database_url=os.environ["TEST_DATABASE_URL"],
        allowed_hosts=["*"],
        log_level="warning",
        rate_limit="1000000/minute",
        sign_in_rate_limit="1000000/minute",
        cors_origins=["https://app.example"],
    )
    configure_logging(settings)
    return settings


async def make_database(server_url: str, name: str) -> str:
    """An empty database of that name on the server, and its URL."""
    base, mark, query = server_url.partition("?")
    engine = create_async_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    await engine.dispose()
    return f"{base.rpartition('/')[0]}/{name}{mark}{query}"


@pytest.fixture(scope="session")
async def empty_url(settings: Settings, worker_name: str) -> str:
    """A database for this worker, without a table."""
    return await make_database(settings.database_url, f"hub_{os.getpid()}_{worker_name}")


@pytest.fixture(scope="session")
async def database_url(empty_url: str) -> str:
    """The worker's database with the schema of the migrations."""
    await asyncio.to_thread(upgrade, empty_url)
    return empty_url


class TestDatabase(Database):
    """All sessions are savepoints of one connection, whose transaction the test rolls back.

    It stands for the real one only in how sessions begin and end: a rollback here undoes one
    request, as there.
    """

    __test__ = False
    connection: AsyncConnection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with self._session() as session, session.begin():
            yield session
        session.expunge_all()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        async with self._session() as session:
            yield session

    async def fetch(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Row]:
        async with self._session() as session:
            return await session.fetch(statement, values)

    async def write(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Row]:
        async with self.transaction() as session:
            return await session.write(statement, values)

    def _session(self) -> AsyncSession:
        return AsyncSession(
            self.connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )


@pytest.fixture(scope="session")
async def test_database(settings: Settings, database_url: str) -> AsyncIterator[TestDatabase]:
    database = TestDatabase(settings, database_url)
    yield database
    await database.dispose()


@pytest.fixture(scope="session")
async def app(settings: Settings, test_database: TestDatabase) -> AsyncIterator[FastAPI]:
    """The app; its signing key is committed once, as it is in life."""
    app = create_app(settings, test_database)
    async with test_database.engine.begin() as test_database.connection:
        context = lifespan(app)
        await context.__aenter__()
    yield app
    await context.__aexit__(None, None, None)


@asynccontextmanager
async def filled_hub(
    settings: Settings, name: str, fill: Callable[[Hub], Awaitable[T]]
) -> AsyncIterator[tuple[TestDatabase, Hub, T]]:
    """A hub of its own, filled once for all tests of a module, each of which is rolled back.

    What fills it is committed: a transaction that stayed open as long as the module would hold
    back the event log of every other test on the server (docs/decisions/0005-events.md).
    """
    url = await make_database(settings.database_url, f"{name}_{os.getpid()}")
    await asyncio.to_thread(upgrade, url)
    database = TestDatabase(settings, url)
    app = create_app(settings, database)
    context = lifespan(app)
    async with http_client(app) as client:
        hub = Hub(client, database)
        async with database.engine.begin() as database.connection:
            await context.__aenter__()
            filled = await fill(hub)
        yield database, hub, filled
    await context.__aexit__(None, None, None)
    await database.dispose()


@asynccontextmanager
async def rolled_back(database: TestDatabase) -> AsyncIterator[None]:
    """A test's transaction."""
    async with database.engine.connect() as database.connection:
        transaction = await database.connection.begin()
        yield
        await transaction.rollback()


@pytest.fixture
async def hub(app: FastAPI, test_database: TestDatabase) -> AsyncIterator[Hub]:
    """The hub over HTTP, empty; whatever the test does is rolled back."""
    async with test_database.engine.connect() as connection:
        transaction = await connection.begin()
        test_database.connection = connection
        app.state.tokens.replace_keys(None)  # so that no test reads the keys anew, or counts it
        async with http_client(app) as client:
            yield Hub(client, test_database)
        await transaction.rollback()


@pytest.fixture(scope="session")
async def live_app(settings: Settings, database_url: str) -> AsyncIterator[FastAPI]:
    app = create_app(settings.model_copy(update={"database_url": database_url}))
    async with lifespan(app):
        yield app


@pytest.fixture
async def live(live_app: FastAPI) -> AsyncIterator[Hub]:
    """The hub over HTTP with real commits, for requests that run side by side."""
    database: Database = live_app.state.database
    async with http_client(live_app) as client:
        yield Hub(client, database, commits=True)
    kept = {"signing_keys"}
    names = ", ".join(table.name for table in metadata.sorted_tables if table.name not in kept)
    async with database.engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {names} CASCADE"))


def http_client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://testserver")
