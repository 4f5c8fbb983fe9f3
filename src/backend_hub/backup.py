"""The whole database in one file and back, by PostgreSQL's own programs.

The file is pg_dump's custom format: one snapshot, consistent while writes go on. The signing keys
travel along as they lie in the database, encrypted with HUB_SECRET_KEY.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import URL, make_url, text

from backend_hub.db import AsyncSession
from backend_hub.embedded import wheel_programs
from backend_hub.errors import ConfigurationError

DEBIAN = "/usr/lib/postgresql/{major}/bin"
"""Where Debian and Ubuntu keep the programs of several versions side by side."""
LOCK_TIMEOUT = "10s"
EMPTY_SCHEMA = """
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
"""What was there goes in the transaction that brings the backup: all of it or none."""


async def major_version(session: AsyncSession) -> int:
    """The server's, such as 18."""
    return int(await session.scalar(text("SHOW server_version_num")) or 0) // 10_000


async def count_tables(session: AsyncSession) -> int:
    """How many tables, views and sequences lie in the hub's schema."""
    count = await session.scalar(
        text("SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('public')")
    )
    return int(count or 0)


def write_backup(url: str, major: int, file: Path) -> None:
    """Write the database to a new file, which appears when it is complete.

    It holds password hashes and addresses: only its owner may read it. Raises ConfigurationError.
    """
    if file.exists():
        raise ConfigurationError(f"{file} exists: choose another name")
    programs = find_programs(major)
    unfinished = file.with_name(f".{file.name}.part")
    try:
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        arguments = ("--format=custom", "--no-owner", "--no-privileges")
        _run(url, programs / "pg_dump", *arguments, f"--file={unfinished}")
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.rename(file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def read_backup(url: str, major: int, file: Path, *, replace: bool = False) -> None:
    """Bring a backup into an empty database, or with `replace` instead of what is there.

    One transaction: when it fails, the database is as before. Raises ConfigurationError.
    """
    if not file.is_file():
        raise ConfigurationError(f"{file} is not there")
    programs = find_programs(major)
    script = file.with_name(f".{file.name}.sql")
    try:
        script.touch(mode=0o600)
        arguments = ("--no-owner", "--no-privileges", f"--file={script}")
        _run(url, programs / "pg_restore", *arguments, str(file))
        first = ("-c", EMPTY_SCHEMA) if replace else ("-c", "SELECT 1")
        quiet = ("-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction")
        _run(url, programs / "psql", *quiet, *first, "-f", str(script))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be restored: {error.strerror}") from None
    finally:
        script.unlink(missing_ok=True)


def find_programs(major: int) -> Path:
    """The folder with pg_dump, pg_restore and psql of the server's version.

    An older pg_dump refuses a newer server, and what a newer one writes an older server may not
    read. Raises ConfigurationError.
    """
    on_path = shutil.which("pg_dump")
    embedded = wheel_programs()
    places = [Path(on_path).parent] if on_path else []
    places += [Path(DEBIAN.format(major=major)), *([embedded] if embedded else [])]
    found = {place: version for place in places if (version := _version(place))}
    for place, version in found.items():
        if version == major:
            return place
    versions = ", ".join(f"{place}/pg_dump is {version}" for place, version in found.items())
    raise ConfigurationError(
        f"The server is PostgreSQL {major} and needs pg_dump, pg_restore and psql of the same "
        f"version on the PATH ({versions or 'there is none'}): on Debian install "
        f"postgresql-client-{major}"
    )


def _version(place: Path) -> int | None:
    try:
        told = subprocess.run(  # noqa: S603
            [place / "pg_dump", "--version"], capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.search(r"\(PostgreSQL\) (\d+)", told)
    return int(number[1]) if number else None


def _run(url: str, program: Path, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=connection_environment(make_url(url)),
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if re.search(r"error:|ERROR:", line)]
        reason = (lines or done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise ConfigurationError(f"{program.name}: {reason}")


def connection_environment(url: URL) -> dict[str, str]:
    """libpq's variables for a URL in SQLAlchemy's form: a password never shows in a process list.

    Variables that name certificates are passed on.
    """
    query = {
        name: [value] if isinstance(value, str) else value for name, value in url.query.items()
    }
    places = [
        place.rpartition(":") if ":" in place else (place, "", "")
        for place in query.get("host", ())
    ]
    hosts, ports = [place[0] for place in places], [place[2] for place in places]
    named = {
        "PGHOST": url.host or ",".join(hosts),
        "PGPORT": str(url.port or ",".join(query.get("port", ports))),
        "PGUSER": url.username or "".join(query.get("user", ())),
        "PGPASSWORD": str(url.password or "".join(query.get("password", ()))),
        "PGPASSFILE": "".join(query.get("passfile", ())),
        "PGDATABASE": url.database or "",
        "PGSSLMODE": "".join(query.get("ssl", ())),
        "PGTARGETSESSIONATTRS": "".join(query.get("target_session_attrs", ())),
        "PGOPTIONS": f"-c lock_timeout={LOCK_TIMEOUT}",
        "PGAPPNAME": "backend-hub backup",
        "PGCONNECT_TIMEOUT": "5",
    }
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME", "LANG"} or name.startswith("PG")
    }
    return kept | {name: value for name, value in named.items() if value.strip(",")}
