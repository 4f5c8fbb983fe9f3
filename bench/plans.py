"""The plans of the hot statements, as the hub sends them, kept in `bench/plans/`.

    python -m bench.plans

Each request is sent to the hub; what it asks of PostgreSQL is explained with the values that it
came with. Costs are left out, so that the files change when a plan does.
"""

import argparse
import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from sqlalchemy import event

from backend_hub.app import create_app, lifespan
from backend_hub.auth.browser_sessions import cookie_name
from backend_hub.db import PLANNING, Database
from backend_hub.logs import configure_logging
from backend_hub.settings import load_settings
from bench.database import NEW, PASSWORD, WRITER, fill, server, url_of

FOLDER = Path(__file__).with_name("plans")
LIFE = Path(__file__).with_name("life.sql")
QUESTIONS = 5_000
"""With their answers and resources 21,000 posts, enough for PostgreSQL to prefer an index."""
UNBOUNDED = frozenset(
    {"Sort", "Aggregate", "Hash", "Materialize", "WindowAgg", "Gather Merge", "Merge Join"}
)
"""What may take many rows to give one: a merge passes by all that meet nothing."""
LARGE = 3_000
"""Rows from which on a table is not read as a whole."""
GOOD_PART = 0.05
SECRET = "of-a-bench-that-keeps-no-secrets-0123456789"
API = "/api/v1"

LISTS = {
    "questions newest": "/questions",
    "questions active": "/questions?sort=active",
    "questions top": "/questions?sort=top",
    "questions relevance": "/questions?sort=relevance&q=needle",
    "questions of a topic and below": "/questions?topic=topic-1",
    "questions of a topic, top": "/questions?topic=topic-1&sort=top",
    "questions of a tag": "/questions?tag=index",
    "questions of an author": "/questions?author=member7",
    "questions unanswered": "/questions?state=unaccepted",
    "resources newest": "/resources",
    "resources active": "/resources?sort=active",
    "resources top": "/resources?sort=top",
    "resources relevance": "/resources?sort=relevance&q=needle",
    "resources of a topic and below": "/resources?topic=topic-1",
    "resources of a tag": "/resources?tag=index",
    "answers top": "/questions/{question}/answers",
    "answers newest": "/questions/{question}/answers?sort=newest",
    "answers oldest": "/questions/{question}/answers?sort=oldest&limit=1",
    "search words": "/search?q=needle",
    "search words, newest": "/search?q=needle&sort=newest",
    "search a topic": "/search?q=topic:topic-1",
    "search a kind, top": "/search?q=kind:question&sort=top",
    "events": "/events",
    "events of a type": "/events?type=question",
    "bookmarks": "/bookmarks",
    "comments": "/posts/{question}/comments",
    "revisions": "/posts/{question}/revisions",
    "contributors": "/posts/{question}/contributors",
    "posts of a member": "/users/member7/posts",
    "contributions": "/contributions",
    "contributions to review": "/contributions?state=submitted",
    "topics": "/topics",
    "tags": "/tags",
    "accounts": "/accounts",
}
"""Each is followed to its second page."""
DETAILS = {
    "question": "/questions/{question}",
    "answer": "/answers/{answer}",
    "resource": "/resources/{resource}",
    "post": "/posts/{question}",
    "similar questions": "/questions/similar?title=Which needle is sharp",
    "related resources": "/questions/{question}/related-resources",
    "topic": "/topics/topic-1",
    "tag": "/tags/index",
    "profile": "/users/member7",
    "own account": "/users/me",
}


@dataclass
class Recorder:
    """The statements with their values that a hub sends, in order and each once."""

    sent: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def note(self, sql: str, values: Any) -> None:
        if re.match(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", sql):
            self.sent.setdefault(sql, tuple(values or ()))

    def watch(self, engine: Any) -> None:
        """Sessions go through SQLAlchemy, prepared reads straight to the driver."""

        def connected(dbapi_connection: Any, _record: Any) -> None:
            driver = dbapi_connection.driver_connection
            driver.add_query_logger(lambda query: self.note(query.query, query.args))

        def executing(_c: Any, _cursor: Any, sql: str, values: Any, *_rest: Any) -> None:
            self.note(sql, values)

        event.listen(engine, "connect", connected)
        event.listen(engine, "before_cursor_execute", executing)

    def take(self) -> dict[str, tuple[Any, ...]]:
        taken, self.sent = self.sent, {}
        return taken


Statement = tuple[str, tuple[Any, ...]]


async def make_world(url: str, questions: int = QUESTIONS) -> None:
    """Fill an empty database with everything that a hub holds."""
    await fill(url, questions)
    connection = await asyncpg.connect(url, command_timeout=600)
    if await connection.fetchval("SELECT usesuper FROM pg_user WHERE usename = user"):
        await connection.execute("SET session_replication_role = replica")
    await connection.execute(LIFE.read_text(encoding="utf-8"))
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


@asynccontextmanager
async def served(url: str) -> AsyncIterator[tuple[httpx.AsyncClient, Recorder]]:
    """The hub on that database; its requests are of an admin who is signed in."""
    limit = "1000000/minute"
    settings = load_settings(
        environment="development",
        secret_key=SECRET,
        public_url="http://testserver",
        database_url=url,
        allowed_hosts=["*"],
        rate_limit=limit,
        sign_in_rate_limit=limit,
    )
    database, recorder = Database(settings, settings.database_url), Recorder()
    recorder.watch(database.engine.sync_engine)
    app = create_app(settings, database)
    try:
        async with lifespan(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://testserver"
            ) as client:
                client.cookies.set(cookie_name(settings), "session-1")
                recorder.take()
                yield client, recorder
    finally:
        await database.dispose()


async def hot_statements(url: str) -> dict[str, list[Statement]]:
    """By the name of a request, what it asks of PostgreSQL."""
    found: dict[str, list[Statement]] = {}
    seen: set[str] = set()
    async with served(url) as (client, recorder):

        async def keep(name: str) -> None:
            """What is known by another name already is left out."""
            for _ in range(3):  # the driver tells of a statement a turn of the loop later
                await asyncio.sleep(0)
            fresh = {sql: values for sql, values in recorder.take().items() if sql not in seen}
            if fresh:
                found[name] = list(fresh.items())
                seen.update(fresh)

        form = {"username": WRITER, "password": PASSWORD}
        tokens = _read(await client.post(f"{API}/auth/token", data=form))
        await keep("sign in")
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        _read(await client.post(f"{API}/auth/token", data=form))
        await keep("refresh")
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        _read(await client.get(f"{API}/users/me"))
        await keep("actor and own account")
        names = await _names(url)
        for name, path in {**LISTS, **DETAILS}.items():
            page = _read(await client.get(f"{API}{path.format_map(names)}"))
            await keep(name)
            if name in LISTS and (cursor := page["next_cursor"]):
                mark = "&" if "?" in path else "?"
                goes_on = "after" if path.startswith("/events") else "cursor"
                later = f"{API}{path.format_map(names)}{mark}{goes_on}={cursor}"
                _read(await client.get(later))
                await keep(f"{name}, page 2")
        await _write(client, names, keep)
        del client.headers["Authorization"]
        for name, path in {
            "visitor's questions": "/questions",
            "visitor's events": "/events",
        }.items():
            _read(await client.get(f"{API}{path}"))
            await keep(name)
        (await client.get("/account")).raise_for_status()
        await keep("browser session")
    return found


async def _write(client: httpx.AsyncClient, names: dict[str, str], keep: Any) -> None:
    form = {"title": "Which needle is sharp?", "body": "This one?", "topic": "topic-1"}
    key = {"Idempotency-Key": "plans"}
    tagged = {**form, "tags": ["index", "query"]}
    _read(await client.post(f"{API}/questions", json=tagged, headers=key))
    await keep("ask")
    path = f"{API}/questions/{names['question']}/answers"
    _read(await client.post(path, json={"body": "The long one."}))
    await keep("answer a question")
    _read(await client.put(f"{API}/posts/{names['question']}/vote", json={"value": 1}))
    await keep("vote")
    (await client.put(f"{API}/posts/{names['question']}/bookmark")).raise_for_status()
    await keep("bookmark")
    path = f"{API}/posts/{names['question']}/comments"
    _read(await client.post(path, json={"body": "Why?"}))
    await keep("comment")


def _read(response: httpx.Response) -> Any:
    response.raise_for_status()
    return response.json()


async def _names(url: str) -> dict[str, str]:
    """Ids for the paths."""
    connection = await asyncpg.connect(url)
    newest = "SELECT id FROM posts WHERE kind = $1 AND id < $2 ORDER BY id DESC LIMIT 1"
    kinds = ("question", "resource", "answer")
    names = {kind: str(await connection.fetchval(newest, kind, NEW)) for kind in kinds}
    await connection.close()
    return names


async def explain(connection: Any, statement: Statement, options: str) -> Any:
    """EXPLAIN without running the statement."""
    sql, values = statement
    return [row[0] for row in await connection.fetch(f"EXPLAIN ({options}) {sql}", *values)]


@asynccontextmanager
async def planner(url: str) -> AsyncIterator[Any]:
    """A connection for EXPLAIN. To read a page in its turn costs what it costs by an index.

    PostgreSQL prefers to read a small table as a whole; at this price it does so only where no
    index helps, as it would with a large one.
    """
    prices = {"seq_page_cost": "8", "random_page_cost": "4"}
    connection = await asyncpg.connect(
        url, server_settings={"timezone": "UTC", **PLANNING, **prices}
    )
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


async def whole_scans(connection: Any, statement: Statement, large: dict[str, float]) -> list[str]:
    """The large tables of which a statement reads all, or an index, or a good part."""
    (plan,) = await explain(connection, statement, "FORMAT JSON")
    return sorted(set(_scans(json.loads(plan)[0]["Plan"], large, limited=False)))


def _scans(node: dict[str, Any], large: dict[str, float], *, limited: bool) -> list[str]:
    """A walk along an index may stop early under a LIMIT, unless all is sorted, summed up or
    merged in between."""
    kind, table = node["Node Type"], node.get("Relation Name")
    found = []
    if table in large:
        condition = node.get("Index Cond", "")
        if kind == "Seq Scan":
            found.append(f"{table}: sequential scan")
        elif limited or "Index" not in kind:
            pass
        elif not condition or re.fullmatch(r"\(\w+ IS NOT NULL\)", condition):
            found.append(f"{table}: all of {node['Index Name']}")
        elif node["Plan Rows"] > large[table] * GOOD_PART:
            found.append(f"{table}: much of {node['Index Name']}")
    if kind == "Limit":
        limited = True
    elif kind in UNBOUNDED:
        limited = False
    for child in node.get("Plans", ()):
        found += _scans(child, large, limited=limited)
    return found


async def large_tables(connection: Any) -> dict[str, float]:
    """Their names and numbers of rows."""
    rows = await connection.fetch(
        "SELECT relname, reltuples FROM pg_class WHERE relkind = 'r' AND reltuples >= $1"
        " AND relnamespace = 'public'::regnamespace",
        LARGE,
    )
    return {row[0]: row[1] for row in rows}


async def write_plans(url: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.txt"):
        file.unlink()
    statements = await hot_statements(url)
    async with planner(url) as connection:
        large = await large_tables(connection)
        for name, asked in statements.items():
            parts = []
            for statement in asked:
                lines = await explain(connection, statement, "COSTS OFF")
                parts.append(f"{statement[0].strip()}\n\n" + "\n".join(_stable(lines)))
                for scan in await whole_scans(connection, statement, large):
                    print(f"{name}: {scan}")
            slug = re.sub(r"[^a-z0-9]+", "-", name)
            (FOLDER / f"{slug}.txt").write_text("\n\n\n".join(parts) + "\n", encoding="utf-8")


def _stable(lines: list[str]) -> list[str]:
    """Without what differs from run to run: ids, moments, hashes."""
    ids = re.compile(r"'[0-9a-f]{8}-[0-9a-f-]{27}'")
    moments = re.compile(r"'20\d\d-[^']*'")
    hashes = re.compile(r"'[0-9a-f]{64}'")
    numbers = re.compile(r"'?\b\d{3,}\b'?")
    shown = []
    for line in lines:
        for pattern, name in ((ids, "<id>"), (moments, "<moment>"), (hashes, "<hash>")):
            line = pattern.sub(name, line)
        shown.append(
            numbers.sub("<n>", line) if "snapshot" in line or "transaction" in line else line
        )
    return shown


async def _run(any_url: str) -> None:
    configure_logging(load_settings(secret_key=SECRET, log_level="error"))
    connection = await asyncpg.connect(any_url)
    await connection.execute("DROP DATABASE IF EXISTS hub_plans WITH (FORCE)")
    await connection.execute("CREATE DATABASE hub_plans TEMPLATE template0")
    url = url_of(any_url, "hub_plans")
    await make_world(url)
    await write_plans(url)
    await connection.execute("DROP DATABASE hub_plans WITH (FORCE)")
    await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.plans", description=__doc__)
    parser.add_argument("--database-url", default=os.environ.get("DATABASE_URL", ""))
    parser.add_argument("--data-dir", type=Path, default=Path(".cache/bench-postgres"))
    options = parser.parse_args()
    with server(options.database_url, options.data_dir) as any_url:
        asyncio.run(_run(any_url))


if __name__ == "__main__":
    main()
