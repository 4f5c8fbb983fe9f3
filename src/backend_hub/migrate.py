"""Bringing a database to the schema of this version; Alembic does the work."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from alembic import command
from backend_hub.db import AsyncSession, sqlstate
from backend_hub.errors import ConfigurationError

log = structlog.get_logger(__name__)

PACKAGED = Path(__file__).with_name("migrations")
CHECKOUT = Path(__file__).parents[2] / "alembic"

LOCK_TIMEOUT = 2_000
"""Milliseconds that a migration waits for a lock, with every query queued behind it.

Shorter than the hub's own lock timeout: who queues behind it gets an answer, not a 503."""
LOCK_NOT_AVAILABLE = "55P03"
ATTEMPTS = 15

_alembic = threading.Lock()  # Alembic's context is one for the whole process


def alembic_config(url: str) -> Config:
    """Alembic's settings for a database; the migrations come from the wheel or the checkout."""
    config = Config()
    config.set_main_option("script_location", str(PACKAGED if PACKAGED.is_dir() else CHECKOUT))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head", *, lock_timeout: int = LOCK_TIMEOUT) -> None:
    """Run every migration that is missing; of several callers one works and the others wait.

    Also puts events that were restored from another cluster behind those of this one. Raises
    DBAPIError when somebody holds a lock through all attempts; `lock_timeout` is in milliseconds.
    """
    _run(command.upgrade, url, revision, lock_timeout)


def downgrade(url: str, revision: str, *, lock_timeout: int = LOCK_TIMEOUT) -> None:
    """Undo migrations down to a revision, or to `base`; raises as `upgrade` does."""
    _run(command.downgrade, url, revision, lock_timeout)


def _run(verb: Callable[[Config, str], None], url: str, revision: str, lock_timeout: int) -> None:
    """Try again when a lock was not to be had: a long read ends some time."""
    config = alembic_config(url)
    config.attributes["lock_timeout"] = lock_timeout
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _alembic:
                verb(config, revision)
            return
        except CommandError as error:
            raise ConfigurationError(f"The migrations do not fit the database: {error}") from None
        except DBAPIError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE or attempt == ATTEMPTS:
                raise
            log.warning("a migration waits for a lock; will try again", attempt=attempt)
            time.sleep(lock_timeout / 1_000)  # those who queued behind it go first


def head() -> str | None:
    """The newest migration that this version ships."""
    return ScriptDirectory.from_config(alembic_config("")).get_current_head()


def is_behind(revision: str | None) -> bool:
    """Whether this version has migrations that a database at `revision` lacks.

    A revision that it does not know is a newer version's: migrations only add, so the processes
    of this one may start and serve until they are replaced.
    """
    scripts = ScriptDirectory.from_config(alembic_config(""))
    known = {script.revision for script in scripts.walk_revisions()}
    return revision is None or (revision in known and revision != scripts.get_current_head())


async def current(session: AsyncSession) -> str | None:
    """The migration that the database is at; None for an empty one."""
    exists = await session.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    if not exists:
        return None
    found: str | None = await session.scalar(text("SELECT version_num FROM alembic_version"))
    return found
