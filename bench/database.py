"""The database of the bench: migrated, filled once, kept for the next run, cleaned of writes."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from backend_hub import embedded
from backend_hub.auth.passwords import hash_password
from backend_hub.migrate import head, upgrade

DATA = Path(__file__).with_name("data.sql")
SOURCES = (DATA, Path(__file__))
"""What decides which rows there are."""
MEMBERS = 5_000
PASSWORD = "a bench asks for no secrets"
WRITER, VOTER = "bench-writer", "bench-voter"
NEW = "019e8000-0000-7000-8000-000000000000"
"""Ids of seeded rows are smaller, those of rows made now larger: they begin with their time."""
INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
WHERE indrelid = ANY ('{posts, questions, answers, resources, post_tags, comments}'::regclass[])
  AND NOT indisunique"""
"""Of the large tables, those that no constraint needs."""


@contextmanager
def server(url: str, folder: Path) -> Iterator[str]:
    """The URL of any database of the server: the one given, or an embedded PostgreSQL's."""
    if url:
        yield url.replace("+asyncpg", "")
        return
    started = embedded.start(folder.resolve())
    try:
        yield started.url.replace("+asyncpg", "")
    finally:
        if started.started:
            embedded.stop(started)


def url_of(server_url: str, name: str) -> str:
    base, mark, query = server_url.partition("?")
    return f"{base.rpartition('/')[0]}/{name}{mark}{query}"


async def prepare(server_url: str, questions: int) -> str:
    """The URL of a database with so many questions, as this version of the hub has it."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in SOURCES)).hexdigest()[:6]
    family = f"hub_bench_{questions}_"
    name = f"{family}{head()}_{digest}"
    connection = await asyncpg.connect(server_url)
    kept = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)"
    names = [row[0] for row in await connection.fetch(kept, family)]
    if name not in names:
        for other in names:
            await connection.execute(f"DROP DATABASE {other} WITH (FORCE)")
        print(f"Filling {name}; it is kept for the next run.", flush=True)
        unfinished = f"{family}unfinished"
        await connection.execute(f"CREATE DATABASE {unfinished} TEMPLATE template0")
        await fill(url_of(server_url, unfinished), questions)
        await connection.execute(f"ALTER DATABASE {unfinished} RENAME TO {name}")
    await connection.close()
    url = url_of(server_url, name)
    await clean(url)
    return url


async def fill(url: str, questions: int) -> None:
    """Migrate an empty database and put the rows in."""
    await asyncio.to_thread(upgrade, url.replace("postgresql://", "postgresql+asyncpg://"))
    members = min(MEMBERS, max(20, questions // 20))
    sizes = {"questions": questions, "resources": questions // 5, "members": members}
    script = DATA.read_text(encoding="utf-8")
    for name, size in sizes.items():
        script = script.replace(f"${name}", str(size))
    connection = await asyncpg.connect(url, command_timeout=3_600)
    async with connection.transaction():
        await connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
        if await connection.fetchval("SELECT usesuper FROM pg_user WHERE usename = user"):
            await connection.execute("SET LOCAL session_replication_role = replica")
        indexes = await connection.fetch(INDEXES)
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['name']}")
        await connection.execute(script)
        await _add_people(connection)
        for index in indexes:  # ten times faster than row by row
            await connection.execute(index["definition"])
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _add_people(connection: asyncpg.Connection) -> None:
    """Who writes, and who votes; neither has a post yet. Everybody has the same password."""
    password_hash = await hash_password(PASSWORD)
    await connection.execute("UPDATE users SET password_hash = $1", password_hash)
    await connection.executemany(
        "INSERT INTO users (id, username, display_name, bio, role, version, email,"
        " email_verified_at, password_hash, created_at) VALUES ((lpad('', 31, '0') || $1::text)"
        "::uuid, $2::text, $2::text, '', 'member', 1, $2::text || '@example.org', now(), $3, now())",
        [("1", WRITER, password_hash), ("2", VOTER, password_hash)],
    )


async def clean(url: str) -> None:
    """Take back what was written, and leave tables and indexes as they were."""
    connection = await asyncpg.connect(url, command_timeout=600)
    async with connection.transaction():
        await connection.execute(
            "UPDATE posts SET score = score - given.value"
            " FROM (SELECT post_id, sum(value) AS value FROM votes GROUP BY post_id) AS given"
            " WHERE posts.id = given.post_id"
        )
        await connection.execute(
            "TRUNCATE votes, events, idempotency_records, token_families CASCADE"
        )
        await connection.execute("DELETE FROM posts WHERE id > $1", NEW)
        await connection.execute("DELETE FROM signing_keys")  # of another hub's secret
        await connection.execute("DELETE FROM security_events")
    await connection.execute(
        "VACUUM (ANALYZE, INDEX_CLEANUP ON) posts, questions, post_tags, revisions, users"
    )
    await connection.close()
