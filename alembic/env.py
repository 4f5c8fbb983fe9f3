"""Runs migrations: online only, on the connection or the URL that the caller hands over."""

import asyncio
import time
from typing import Any

from sqlalchemy import Connection, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import context
from backend_hub.db import sqlstate
from backend_hub.settings import get_settings
from backend_hub.tables import metadata

MIGRATION_LOCK = 7_205_431_120_231
"""Advisory lock: of several hubs that start at once, one migrates and the others wait."""
LOCK_TIMEOUT = "2s"
"""Shorter than the hub's own: who queues behind a waiting migration still gets an answer."""
ATTEMPTS = 30
PAUSE = 1.0
"""Seconds between two attempts, in which those who queued get their turn."""


def migrate_patiently(connection: Connection) -> None:
    """Migrate; a migration that meets a long read lets it end, and those behind it pass."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            migrate(connection)
            return
        except DBAPIError as error:
            connection.rollback()
            if sqlstate(error) != "55P03" or attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE)


def migrate(connection: Connection) -> None:
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text("SET statement_timeout = 0"))
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


def locked(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.commit()
    try:
        migrate_patiently(connection)
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


attributes: dict[str, Any] = context.config.attributes
asyncio.run(run(attributes.get("url") or get_settings().database_url))
