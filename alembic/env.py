"""Runs migrations: online only, on the connection or the URL that the caller hands over."""

import asyncio
from typing import Any

from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import context
from backend_hub.settings import get_settings
from backend_hub.tables import metadata

attributes: dict[str, Any] = context.config.attributes
MIGRATION_LOCK = 7_205_431_120_231
"""Advisory lock: of several hubs that start at once, one migrates and the others wait."""


REBASE_EVENTS = """
UPDATE events SET transaction_id = 0
WHERE transaction_id <> 0 AND (SELECT max(transaction_id) FROM events)
    >= (pg_snapshot_xmax(pg_current_snapshot())::text)::bigint
"""
"""Events restored from another cluster name transactions that this one has yet to reach: readers
would wait for them. They become the past (docs/decisions/0005-events.md)."""


def migrate(connection: Connection) -> None:
    # A migration that waits behind a long read would queue every query behind itself.
    milliseconds = str(attributes.get("lock_timeout", 2_000))
    connection.execute(
        text("SELECT set_config('lock_timeout', :milliseconds, false)"),
        {"milliseconds": milliseconds},
    )
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.rollback()
    if connection.scalar(text("SELECT to_regclass('events')")) is not None:
        connection.execute(text(REBASE_EVENTS))
    connection.commit()


def locked(connection: Connection) -> None:
    # Whoever waits for the lock waits as long as the one who has it works.
    connection.execute(text("SET statement_timeout = 0"))
    connection.execute(text("SET lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.commit()
    try:
        migrate(connection)
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()


async def run(url: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(locked)
    finally:
        await engine.dispose()


asyncio.run(run(attributes.get("url") or get_settings().database_url))
