"""Bringing a database to the schema of this version; Alembic does the work."""

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from backend_hub.db import AsyncSession, sqlstate
from backend_hub.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported where it is used: 8 MiB and 80 ms, and most starts find nothing to migrate.
log = structlog.get_logger(__name__)

PACKAGED = Path(__file__).with_name("migrations")
CHECKOUT = Path(__file__).parents[2] / "alembic"

LOCK_TIMEOUT = 2_000
"""Milliseconds that a migration waits for a lock, with every query queued behind it.

Shorter than the hub's own lock timeout: who queues behind it gets an answer, not a 503."""
LOCK_NOT_AVAILABLE = "55P03"
ATTEMPTS = 15

_alembic = threading.Lock()  # Alembic's context is one for the whole process


def _folder() -> Path:
    """Where the migrations are: in the wheel or in the checkout."""
    return PACKAGED if PACKAGED.is_dir() else CHECKOUT


def alembic_config(url: str) -> "Config":
    """Alembic's settings for a database."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_folder()))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head", *, lock_timeout: int = LOCK_TIMEOUT) -> None:
    """Run every migration that is missing; of several callers one works and the others wait.

    Also puts events that were restored from another cluster behind those of this one. Raises
    DBAPIError when somebody holds a lock through all attempts; `lock_timeout` is in milliseconds.
    """
    _run("upgrade", url, revision, lock_timeout)


def downgrade(url: str, revision: str, *, lock_timeout: int = LOCK_TIMEOUT) -> None:
    """Undo migrations down to a revision, or to `base`; raises as `upgrade` does."""
    _run("downgrade", url, revision, lock_timeout)


def _run(verb: Literal["upgrade", "downgrade"], url: str, revision: str, lock_timeout: int) -> None:
    """Try again when a lock was not to be had: a long read ends some time."""
    from alembic.util import CommandError  # noqa: PLC0415

    from alembic import command  # noqa: PLC0415

    config = alembic_config(url)
    config.attributes["lock_timeout"] = lock_timeout
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _alembic:
                getattr(command, verb)(config, revision)
            return
        except CommandError as error:
            raise ConfigurationError(f"The migrations do not fit the database: {error}") from None
        except DBAPIError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE or attempt == ATTEMPTS:
                raise
            log.warning("a migration waits for a lock; will try again", attempt=attempt)
            time.sleep(lock_timeout / 1_000)  # those who queued behind it go first


def revisions() -> list[str]:
    """The migrations that this version ships, oldest first: their files begin with their names."""
    return sorted(path.name.partition("_")[0] for path in _folder().glob("versions/*_*.py"))


def head() -> str:
    """The newest migration that this version ships."""
    return revisions()[-1]


def is_behind(revision: str | None) -> bool:
    """Whether this version has migrations that a database at `revision` lacks.

    A revision that it does not know is a newer version's: migrations only add, so the processes
    of this one may start and serve until they are replaced.
    """
    return revision is None or revision in revisions()[:-1]


async def current(session: AsyncSession) -> str | None:
    """The migration that the database is at; None for an empty one."""
    exists = await session.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    if not exists:
        return None
    found: str | None = await session.scalar(text("SELECT version_num FROM alembic_version"))
    return found
