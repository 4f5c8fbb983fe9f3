"""What is wrong with an installation, and how to mend it."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend_hub import migrate
from backend_hub.auth.keys import load_key_ring
from backend_hub.db import AsyncSession, Database
from backend_hub.errors import ConfigurationError
from backend_hub.mail.delivery import mails_folder
from backend_hub.replica import Replica
from backend_hub.setting_types import without_password
from backend_hub.settings import Settings
from backend_hub.signals import Finding, examine_running

OLDEST, NEWEST = 15, 18
"""Major versions of PostgreSQL that the hub is tested on."""


async def examine(settings: Settings, url: str, running: str) -> list[Finding]:
    """Every part in the order in which one depends on the other; `running` is a hub's address."""
    findings = [_settings(settings), await _redis(settings), _mail(settings)]
    database = Database(settings, url)
    try:
        async with database.transaction() as session:
            findings.append(await _version(session, url))
            if settings.database_replica_url:
                findings.append(await _replica(settings, database))
            migrated = await _migrations(session)
            findings.append(migrated)
            if migrated.fine:
                findings += [await _keys(session, settings), await _content(session)]
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        remedy = "Check DATABASE_URL, and that PostgreSQL runs and lets this machine in"
        findings.append(Finding(False, "database", f"{without_password(url)}: {reason}", remedy))
    finally:
        await database.dispose()
    return findings + (await examine_running(settings, running) if running else [])


def _settings(settings: Settings) -> Finding:
    """Settings that are unsafe never load: what is left to say is the mode."""
    where = f"{settings.environment}, {settings.issuer}"
    if settings.development:
        where += " (known demo passwords, loopback only)"
    return Finding(True, "settings", where)


async def _redis(settings: Settings) -> Finding:
    if not settings.redis_url:
        return Finding(True, "rate limits", "in memory, for each process by itself")
    try:
        async with Redis.from_url(settings.redis_url, socket_connect_timeout=2) as redis:
            await redis.ping()
    except (RedisError, OSError) as error:
        remedy = "Check HUB_REDIS_URL; until then rate limits are off"
        return Finding(False, "rate limits", f"Redis does not answer: {error}", remedy)
    return Finding(True, "rate limits", "in Redis, shared by all processes")


def _mail(settings: Settings) -> Finding:
    if settings.smtp_url.get_secret_value():
        return Finding(True, "mail", f"from {settings.sender}")
    if settings.development:
        return Finding(True, "mail", f"to files in {mails_folder(settings)}, shown at /dev/mail")
    remedy = "Set HUB_SMTP_URL; until then nobody can verify an address or reset a password"
    return Finding(False, "mail", "cannot be sent", remedy)


async def _version(session: AsyncSession, url: str) -> Finding:
    number = int(await session.scalar(text("SHOW server_version_num")) or 0) // 10_000
    fine = number >= OLDEST
    remedy = "" if fine else f"Use PostgreSQL {OLDEST} to {NEWEST}"
    return Finding(fine, "database", f"PostgreSQL {number}, {without_password(url)}", remedy)


async def _replica(settings: Settings, primary: Database) -> Finding:
    """Whether it gets to where the primary is now, as long as visitors may wait for that."""
    replica = Replica(settings, primary)
    where = without_password(settings.database_replica_url)
    try:
        async with asyncio.timeout(settings.database_replica_lag):
            while not replica.near:
                await replica.look()
                await asyncio.sleep(0.1)
    except TimeoutError:
        remedy = "Until it is mended visitors read from the primary (docs/operations.md)"
        return Finding(False, "replica", f"{where}: {replica.trouble}", remedy)
    finally:
        await replica.dispose()
    return Finding(True, "replica", f"{where}, {replica.lag:.1f} s behind at most")


async def _migrations(session: AsyncSession) -> Finding:
    here, newest = await migrate.current(session), migrate.head()
    if here == newest:
        return Finding(True, "migrations", f"at {here}")
    text = f"at {here or 'nothing'}, this version needs {newest}"
    return Finding(False, "migrations", text, "Run `backend-hub migrate`")


async def _keys(session: AsyncSession, settings: Settings) -> Finding:
    try:
        keys = await load_key_ring(session, settings.secret_key.get_secret_value())
    except ConfigurationError as error:
        return Finding(False, "signing keys", "cannot be decrypted", str(error))
    return Finding(True, "signing keys", f"{len(keys.verifying)} in use")


async def _content(session: AsyncSession) -> Finding:
    count = await session.scalar(text("SELECT count(*) FROM resources"))
    if not count:
        return Finding(True, "content", "none yet", "`backend-hub seed` brings the catalogue")
    return Finding(True, "content", f"{count} resources")
