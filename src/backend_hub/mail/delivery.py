"""Delivering what was queued: any number of workers may run this at once."""

import asyncio
import ssl
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import aiosmtplib
import anyio.to_thread
import structlog
from sqlalchemy import delete, func, literal, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select

from backend_hub.db import AsyncSession, Database, UTCDateTime, seconds_after, utcnow
from backend_hub.mail.composing import Undeliverable, compose
from backend_hub.mail.models import Mail
from backend_hub.settings import Settings, prepare_data_dir

log = structlog.get_logger(__name__)

POLL = 2.0
"""Seconds between two looks at an empty queue."""
SEND_WITHIN = 60
"""Seconds for one mail."""
FIRST_WAIT, LONGEST_WAIT = 120.0, 3_600.0
"""Seconds until a mail is tried again; the first is longer than one try may take."""
FAILURES = (aiosmtplib.SMTPException, OSError, TimeoutError, ssl.SSLError)


async def keep_delivering(database: Database, settings: Settings) -> None:
    """The background task of each worker."""
    while True:
        try:
            await deliver_due(database, settings)
        except (SQLAlchemyError, OSError):
            log.warning("mails were not delivered: the database does not answer; will try again")
        except Exception:
            log.exception("a mail was not delivered; will try again")
        await asyncio.sleep(POLL)


async def deliver_due(database: Database, settings: Settings) -> int:
    """Deliver what is due, until nothing is or the server fails; how many left."""
    delivered = 0
    while (mail := await _claim(database)) is not None:
        told = {"mail": str(mail.id), "template": mail.template, "attempt": mail.attempts}
        try:
            if mail.recipient is not None and mail.expires_at > utcnow():
                await _send(settings, mail.id, compose(settings, mail))
                delivered += 1
            elif mail.recipient is not None:
                log.warning("a mail was given up", **told)
        except Undeliverable as error:
            log.warning("a mail cannot be delivered", reason=str(error), **told)
        except FAILURES as error:
            log.warning("a mail was not taken; will try again", reason=_reason(error), **told)
            if not isinstance(error, aiosmtplib.SMTPRecipientsRefused):
                break
            continue
        async with database.transaction() as session:
            await session.execute(delete(Mail).where(col(Mail.id) == mail.id))
    return delivered


async def _claim(database: Database) -> Mail | None:
    """A mail that is due, which no other worker gets before its next try is due.

    Sending happens outside of any transaction: a mail server that hangs holds no connection.
    """
    now = literal(utcnow(), UTCDateTime)
    due = select(Mail.id).where(Mail.next_try_at <= now).order_by(col(Mail.next_try_at))
    first = due.limit(1).with_for_update(skip_locked=True).scalar_subquery()
    doublings = func.least(Mail.attempts, 10)
    wait = func.least(FIRST_WAIT * func.power(2, doublings), LONGEST_WAIT)
    claimed = update(Mail).where(col(Mail.id) == first).returning(Mail)
    async with database.transaction() as session:
        found = await session.execute(
            claimed.values(attempts=col(Mail.attempts) + 1, next_try_at=seconds_after(now, wait))
        )
        return found.scalar_one_or_none()


async def _send(settings: Settings, mail_id: UUID, message: EmailMessage) -> None:
    """To the mail server; in development without one, to a file and a line in the log."""
    url = settings.smtp_url.get_secret_value()
    if not url:
        path = await anyio.to_thread.run_sync(_write, mails_folder(settings), mail_id, message)
        log.info("mail", to=str(message["To"]), subject=str(message["Subject"]), file=str(path))
        return
    parts = urlsplit(url)
    implicit = parts.scheme == "smtps"
    async with asyncio.timeout(SEND_WITHIN):
        await aiosmtplib.send(
            message,
            hostname=parts.hostname,
            port=parts.port or (465 if implicit else 587),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            use_tls=implicit,
            start_tls=False if implicit else parse_qs(parts.query).get("tls") != ["none"],
            timeout=SEND_WITHIN / 3,
        )


def _reason(error: BaseException) -> str:
    """The server's code, or the kind of failure; its words may repeat an address."""
    code = getattr(error, "code", None)
    return f"{type(error).__name__}{f' {code}' if code else ''}"


async def purge_expired_mails(session: AsyncSession) -> None:
    await session.execute(delete(Mail).where(col(Mail.expires_at) < utcnow()))


def delivers(settings: Settings) -> bool:
    """Whether mails can leave; what is queued meanwhile waits until it expires."""
    return settings.development or bool(settings.smtp_url.get_secret_value())


def mails_folder(settings: Settings) -> Path:
    return prepare_data_dir(settings) / "mails"


def _write(folder: Path, mail_id: UUID, message: EmailMessage) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{mail_id}.eml"
    path.touch(mode=0o600)
    path.write_bytes(bytes(message))
    return path
