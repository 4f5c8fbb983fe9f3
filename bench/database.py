"""The database of the bench: migrated, filled once, and kept for the next run."""

import asyncio
from pathlib import Path

import asyncpg

from backend_hub.migrate import upgrade

DATA = Path(__file__).with_name("data.sql")


async def prepare(server: str, questions: int) -> str:
    """The URL of a database with so many questions; `server` names any database of the server."""
    name = f"hub_bench_{questions}"
    base, mark, query = server.partition("?")
    url = f"{base.rpartition('/')[0]}/{name}{mark}{query}"
    connection = await asyncpg.connect(server)
    exists = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name)
    if not exists:
        print(f"Filling {name}; it is kept for the next run.", flush=True)
        unfinished = f"{name}_unfinished"
        await connection.execute(f"DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {unfinished} TEMPLATE template0")
        await _fill(f"{base.rpartition('/')[0]}/{unfinished}{mark}{query}", questions)
        await connection.execute(f"ALTER DATABASE {unfinished} RENAME TO {name}")
    await connection.close()
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM signing_keys")  # another hub's secret cannot open them
    await connection.close()
    return url


async def _fill(url: str, questions: int) -> None:
    await asyncio.to_thread(upgrade, url.replace("postgresql://", "postgresql+asyncpg://"))
    sizes = {"questions": questions, "resources": questions // 5, "members": questions // 20}
    script = DATA.read_text(encoding="utf-8")
    for name, size in sizes.items():
        script = script.replace(f"${name}", str(size))
    connection = await asyncpg.connect(url, command_timeout=3_600)
    async with connection.transaction():
        await connection.execute(script)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
