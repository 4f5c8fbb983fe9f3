"""Transactions, what PostgreSQL's errors mean to a client, and whether the hub is ready."""

import ast
import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response
from sqlalchemy import text
from sqlmodel import col, select

import backend_hub
from backend_hub.app import create_app, lifespan
from backend_hub.db import Database
from backend_hub.http.routing import HubRoute
from backend_hub.http.sessions import Session
from backend_hub.settings import Settings
from backend_hub.users.models import User
from tests.conftest import http_client
from tests.hub import Hub, link

SOURCE = Path(backend_hub.__file__).parent
COMMITTERS = {"db.py", "cli.py"}


def test_only_the_database_module_and_the_command_line_commit() -> None:
    guilty = []
    for file in SOURCE.rglob("*.py"):
        if file.name in COMMITTERS or "catalogue" in file.relative_to(SOURCE).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"commit", "begin", "rollback"}
                and ast.unparse(node.func.value) not in {"context"}
            ):
                guilty.append(f"{file.relative_to(SOURCE)}:{node.lineno}")
    assert guilty == []


async def test_the_row_is_there_when_the_201_arrives(live: Hub) -> None:
    ann = await live.person("ann")
    for number in range(10):
        created = await ann.post("/resources", link(f"Guide {number}"))
        async with live.database.reading() as session:
            found = text("SELECT count(*) FROM posts WHERE id = :id")
            assert await session.scalar(found, {"id": UUID(created.json()["id"])}) == 1


class Probe:
    """Routes that get PostgreSQL into trouble, in a hub of their own with small limits."""

    def __init__(self, client: httpx.AsyncClient, database: Database) -> None:
        self.client, self.database = client, database
        self.attempts: list[str] = []
        self.meeting = asyncio.Barrier(2)


@pytest.fixture
async def probe(settings: Settings, database_url: str) -> AsyncIterator[Probe]:
    limits = {
        "database_url": database_url,
        "database_pool_size": 4,
        "database_statement_timeout": 400,
        "database_lock_timeout": 200,
        "database_pool_timeout": 0.5,
    }
    app = create_app(settings.model_copy(update=limits))
    async with lifespan(app), http_client(app) as client:
        found = Probe(client, app.state.database)
        _add_routes(app, found)
        async with found.database.transaction() as session:
            await session.execute(text("CREATE TABLE probe (id int PRIMARY KEY, n int)"))
            await session.execute(text("INSERT INTO probe VALUES (1, 0), (2, 0)"))
        yield found
        async with found.database.transaction() as session:
            await session.execute(text("DROP TABLE probe"))


async def met(probe: Probe) -> None:
    """Both are here; when one was refused before, the other does not wait for ever."""
    async with asyncio.timeout(10):
        await probe.meeting.wait()


def _add_routes(app: FastAPI, probe: Probe) -> None:
    router = APIRouter(route_class=HubRoute)
    bump = text("UPDATE probe SET n = n + 1 WHERE id = :id")

    @router.post("/deadlock/{first}/{second}")
    async def deadlock(first: int, second: int, session: Session) -> None:
        probe.attempts.append("deadlock")
        await session.execute(text("SET LOCAL lock_timeout = '5s'"))
        await session.execute(text("SET LOCAL statement_timeout = '5s'"))
        await session.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
        await session.execute(bump, {"id": first})
        if len(probe.attempts) <= 2:
            await met(probe)
        await session.execute(bump, {"id": second})

    @router.post("/serialize")
    async def serialize(session: Session) -> None:
        probe.attempts.append("serialize")
        await session.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        read = await session.scalar(text("SELECT n FROM probe WHERE id = 1"))
        if len(probe.attempts) <= 2:
            await met(probe)
        await session.execute(text("UPDATE probe SET n = :n WHERE id = 1"), {"n": (read or 0) + 1})

    @router.post("/always/{state}")
    async def always(state: str, session: Session) -> None:
        probe.attempts.append(state)
        await session.execute(bump, {"id": 1})
        raising = f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$"
        await session.execute(text(raising))

    @router.post("/lock")
    async def lock(session: Session) -> None:
        await session.execute(bump, {"id": 1})

    @router.post("/sleep")
    async def sleep(session: Session) -> None:
        await session.execute(text("SELECT pg_sleep(0.3)"))

    @router.post("/slow")
    async def slow(session: Session) -> None:
        await session.execute(text("SELECT pg_sleep(3)"))

    @router.post("/cut")
    async def cut(session: Session) -> None:
        await session.execute(bump, {"id": 1})
        await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    app.include_router(router)


async def counts(probe: Probe) -> list[int]:
    async with probe.database.reading() as session:
        rows = await session.execute(text("SELECT n FROM probe ORDER BY id"))
        return [int(n) for (n,) in rows]


def check_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["code"] == "unavailable"
    assert "RateLimit" in answer.headers


async def test_a_deadlock_is_retried_and_each_request_writes_once(probe: Probe) -> None:
    pair = (probe.client.post("/deadlock/1/2"), probe.client.post("/deadlock/2/1"))
    answers = await asyncio.gather(*pair)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(probe.attempts) == 3
    assert await counts(probe) == [2, 2]


async def test_a_serialization_failure_is_retried(probe: Probe) -> None:
    answers = await asyncio.gather(*(probe.client.post("/serialize") for _ in range(2)))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(probe.attempts) == 3
    assert await counts(probe) == [2, 0]


@pytest.mark.parametrize(
    ("state", "status", "attempts"),
    [
        ("40P01", 503, 4),
        ("40001", 503, 4),
        ("55P03", 503, 1),
        ("57014", 503, 1),
        ("25006", 503, 1),
        ("53300", 503, 1),
        ("57P01", 503, 1),
        ("08006", 503, 1),
        ("22021", 422, 1),
        ("22001", 422, 1),
        ("22003", 422, 1),
        ("22008", 422, 1),
        ("22P02", 422, 1),
        ("23502", 422, 1),
        ("23514", 422, 1),
        ("54000", 422, 1),
        ("23505", 409, 1),
        ("23503", 409, 1),
        ("42P01", 500, 1),
        ("22012", 500, 1),
    ],
)
async def test_each_error_of_postgresql_has_its_answer_and_writes_nothing(
    probe: Probe, state: str, status: int, attempts: int
) -> None:
    answer = await probe.client.post(f"/always/{state}")
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    if status == 503:
        check_unavailable(answer)
    assert len(probe.attempts) == attempts
    assert await counts(probe) == [0, 0]


async def test_a_lock_held_too_long_is_503(probe: Probe) -> None:
    async with probe.database.transaction() as session:
        await session.execute(text("UPDATE probe SET n = 5 WHERE id = 1"))
        check_unavailable(await probe.client.post("/lock"))
    assert (await probe.client.post("/lock")).status_code == 200
    assert await counts(probe) == [6, 0]


async def test_a_slow_statement_is_503_and_its_connection_comes_back(probe: Probe) -> None:
    assert (await probe.client.post("/sleep")).status_code == 200
    for _ in range(5):
        check_unavailable(await probe.client.post("/slow"))
    assert (await probe.client.post("/lock")).status_code == 200


async def test_an_exhausted_pool_is_503_soon(probe: Probe) -> None:
    sessions = [probe.database.transaction() for _ in range(4)]
    for opened in sessions:
        await (await opened.__aenter__()).execute(text("SELECT 1"))
    started = time.monotonic()
    check_unavailable(await probe.client.post("/lock"))
    assert time.monotonic() - started < 3
    for opened in sessions:
        await opened.__aexit__(None, None, None)
    assert (await probe.client.post("/lock")).status_code == 200


async def test_a_connection_lost_in_a_request_is_503_and_nothing_is_written(probe: Probe) -> None:
    check_unavailable(await probe.client.post("/cut"))
    assert (await probe.client.post("/lock")).status_code == 200
    assert await counts(probe) == [1, 0]


async def test_connections_lost_while_idle_harm_nobody(probe: Probe) -> None:
    await asyncio.gather(*(probe.client.post("/sleep") for _ in range(4)))
    pids = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle'"
    )
    async with probe.database.reading() as session:
        assert len((await session.execute(pids)).all()) >= 3
    answers = await asyncio.gather(*(probe.client.post("/lock") for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert [answer.status_code for answer in answers].count(200) >= 7


async def test_nothing_in_the_log_of_an_error_shows_its_values(
    probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    async with probe.database.reading() as session:
        with pytest.raises(Exception, match="parameters hidden") as caught:
            await session.execute(text("SELECT CAST(:secret AS int)"), {"secret": 2**40})
    assert str(2**40) not in str(caught.value).split("[SQL")[1]


async def test_live_needs_nothing_and_ready_the_database(
    hub: Hub, settings: Settings, test_database: Any
) -> None:
    for path in ("/health/live", "/health/ready"):
        answer = await hub.visitor.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "place",
    [
        "postgresql+asyncpg://postgres@127.0.0.1:1/x",
        "postgresql+asyncpg://postgres@/x?host=/nowhere",
        "{server}",
    ],
)
async def test_ready_is_503_without_a_database_and_live_stays(
    settings: Settings, app: FastAPI, place: str
) -> None:
    head, _, tail = settings.database_url.partition("?")
    gone = f"{head.rpartition('/')[0]}/no_such_database?{tail}".rstrip("?")
    url = place.format(server=gone)
    database = Database(settings, url)
    lost = create_app(settings, database)
    lost.state.tokens = app.state.tokens
    async with http_client(lost) as client:
        started = time.monotonic()
        ready = await client.get("/health/ready")
        assert time.monotonic() - started < 2
        check_ready(ready)
        assert (await client.get("/health/live")).status_code == 200
        check_unavailable(await client.get("/api/v1/resources"))
    await database.dispose()


def check_ready(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "unavailable"
    assert answer.headers["Retry-After"]


async def test_a_failover_without_a_writable_server_is_503(
    settings: Settings, database_url: str, app: FastAPI
) -> None:
    """No server that is a standby: as none is primary in the middle of a failover."""
    mark = "&" if "?" in database_url else "?"
    database = Database(settings, f"{database_url}{mark}target_session_attrs=standby")
    lost = create_app(settings, database)
    lost.state.tokens = app.state.tokens
    async with http_client(lost) as client:
        check_unavailable(await client.get("/api/v1/resources"))
    await database.dispose()


async def test_a_name_taken_by_a_parallel_registration_is_one_account(live: Hub) -> None:
    form = {"username": "ann", "email": "ann@example.org", "password": "seven calm otters swim"}
    names = ["ann", "Ann", "ANN", "aNN"]
    posts = [live.visitor.post("/auth/register", {**form, "username": name}) for name in names]
    answers: list[Response | httpx.Response] = list(await asyncio.gather(*posts))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    async with live.database.reading() as session:
        assert len((await session.exec(select(col(User.id)))).all()) == 1
