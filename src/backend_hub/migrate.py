"""Bringing a database to the schema of this version; Alembic does the work."""

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from alembic import command
from backend_hub.db import AsyncSession

PACKAGED = Path(__file__).with_name("migrations")
CHECKOUT = Path(__file__).parents[2] / "alembic"


def alembic_config(url: str) -> Config:
    """Alembic's settings for a database; the migrations come from the wheel or the checkout."""
    config = Config()
    config.set_main_option("script_location", str(PACKAGED if PACKAGED.is_dir() else CHECKOUT))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Run every migration that is missing; of several callers one works and the others wait."""
    command.upgrade(alembic_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    command.downgrade(alembic_config(url), revision)


def head() -> str | None:
    """The newest migration that this version ships."""
    return ScriptDirectory.from_config(alembic_config("")).get_current_head()


async def current(session: AsyncSession) -> str | None:
    """The migration that the database is at; None for an empty one."""
    exists = await session.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    if not exists:
        return None
    found: str | None = await session.scalar(text("SELECT version_num FROM alembic_version"))
    return found
