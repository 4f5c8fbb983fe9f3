"""A database that runs, for the time of a command."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from backend_hub import migrate as migrations
from backend_hub import tables  # noqa: F401 - rows of one model refer to those of others
from backend_hub.db import Database
from backend_hub.embedded import embedded_postgres
from backend_hub.errors import ConfigurationError
from backend_hub.settings import Settings, prepare_data_dir

T = TypeVar("T")


@contextmanager
def running_database(settings: Settings) -> Iterator[str]:
    """The URL of the database; the embedded PostgreSQL runs for the time of the block."""
    if not settings.embedded:
        yield settings.database_url
        return
    with embedded_postgres(prepare_data_dir(settings)) as server:
        yield server.url


@contextmanager
def migrated_database(settings: Settings, *, migrate: bool | None = None) -> Iterator[str]:
    """`running_database` at this version's schema.

    The embedded one is migrated without asking; another one is only when `migrate` says so, and
    else refused with ConfigurationError while it is behind.
    """
    with running_database(settings) as url:
        if migrate:
            migrations.upgrade(url)
        elif (here := with_session(settings, url, migrations.current)) != migrations.head():
            if settings.embedded and migrate is None:
                migrations.upgrade(url)
            elif migrations.is_behind(here):
                raise ConfigurationError(
                    f"The database is at {here or 'nothing'}, this version needs "
                    f"{migrations.head()}: run `backend-hub migrate`"
                )
        yield url


def with_session(settings: Settings, url: str, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Run `work(session)` in one transaction."""

    async def run() -> T:
        async with opened(settings, url) as database, database.transaction() as session:
            return await work(session)

    return asyncio.run(run())


@asynccontextmanager
async def opened(settings: Settings, url: str) -> AsyncIterator[Database]:
    database = Database(settings, url)
    try:
        yield database
    finally:
        await database.dispose()
