"""Devices that wait to be allowed: their codes, and who typed how many that do not exist."""

import hmac
import re
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import case, delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.models import TokenFamily
from backend_hub.auth.security_log import note
from backend_hub.auth.service import hash_token
from backend_hub.db import AsyncSession, utcnow
from backend_hub.http.callers import Caller
from backend_hub.oauth.clients import KnownClient
from backend_hub.oauth.grants import begin_family, remember_consent
from backend_hub.oauth.models import DeviceCode, OAuthClient, UserCodeGuesses
from backend_hub.settings import Settings

SLOWER_BY = 5
"""Seconds that each poll before its time adds to the interval (RFC 8628 section 3.5)."""
JITTER = timedelta(seconds=0.5)
"""How much the network may bring two polls together."""
GUESSES_OF = {"account": 5, "address": 30}
"""Wrong codes in a window. Of 20**8, in ten minutes, that finds none."""
WINDOW = timedelta(minutes=10)
_USER_CODE = re.compile(r"[BCDFGHJKLMNPQRSTVWXZ]{8}")


@dataclass(frozen=True, slots=True)
class TooManyGuesses:
    """No code is looked up for this account or address for so many seconds."""

    seconds: int


def read_user_code(typed: str) -> str | None:
    """What somebody typed as the device shows it, `BCDF-GHJK`; None when no code looks so."""
    letters = re.sub(r"[\s.-]", "", typed[:40]).upper()
    return f"{letters[:4]}-{letters[4:]}" if _USER_CODE.fullmatch(letters) else None


async def save_device_code(
    session: AsyncSession,
    settings: Settings,
    *,
    client_id: str,
    scope: str,
    device_code: str,
    user_code: str,
    interval: int,
    seconds: int,
) -> None:
    session.add(
        DeviceCode(
            code_hash=hash_token(device_code),
            user_code_hash=_digest(settings, user_code),
            client_id=client_id,
            scope=scope,
            interval=interval,
            expires_at=utcnow() + timedelta(seconds=seconds),
        )
    )
    await session.flush()


async def take_device_code(session: AsyncSession, device_code: str) -> DeviceCode | None:
    """The code, locked: of several polls at once, one collects the tokens."""
    found = select(DeviceCode).where(DeviceCode.code_hash == hash_token(device_code))
    return (await session.exec(found.with_for_update())).first()


def polled_too_soon(row: DeviceCode) -> bool:
    """Note a poll; whoever does not wait must wait longer from now on."""
    now, before = utcnow(), row.polled_at
    row.polled_at = now
    if before is None or now - before >= timedelta(seconds=row.interval) - JITTER:
        return False
    row.interval += SLOWER_BY
    return True


async def find_waiting(
    session: AsyncSession,
    settings: Settings,
    browser: SignedInBrowser,
    network: str,
    user_code: str,
) -> tuple[DeviceCode, KnownClient] | TooManyGuesses | None:
    """The device that shows this code, locked, with its app.

    The guess counts before anything is looked up, and no longer when it is right: parallel guesses
    wait for each other.
    """
    guessers = {"account": str(browser.user.id), "address": network}
    hashes = [hash_token(f"{kind}:{name}") for kind, name in guessers.items()]
    for guesser, most in zip(hashes, GUESSES_OF.values(), strict=True):
        if wait := await _count_guess(session, guesser, most):
            return wait
    found = (
        select(DeviceCode, OAuthClient)
        .join(OAuthClient, col(OAuthClient.id) == DeviceCode.client_id)
        .where(
            DeviceCode.user_code_hash == _digest(settings, user_code),
            DeviceCode.expires_at > utcnow(),
            col(DeviceCode.family_id).is_(None),
            col(DeviceCode.denied_at).is_(None),
        )
        .with_for_update(of=DeviceCode)
    )
    row = (await session.exec(found)).first()
    if row is None:
        return None
    right = update(UserCodeGuesses).where(col(UserCodeGuesses.guesser_hash).in_(hashes))
    await session.execute(right.values(failures=UserCodeGuesses.failures - 1))
    return row[0], KnownClient(row[1])


async def _count_guess(session: AsyncSession, guesser: str, most: int) -> TooManyGuesses | None:
    now = utcnow()
    running = col(UserCodeGuesses.began_at) > now - WINDOW
    counted = (
        insert(UserCodeGuesses)
        .values(guesser_hash=guesser, failures=1, began_at=now)
        .on_conflict_do_update(
            index_elements=["guesser_hash"],
            set_={
                "failures": case((running, UserCodeGuesses.failures + 1), else_=1),
                "began_at": case((running, UserCodeGuesses.began_at), else_=now),
            },
        )
        .returning(col(UserCodeGuesses.failures), col(UserCodeGuesses.began_at))
    )
    failures, began_at = (await session.execute(counted)).one()
    if failures <= most:
        return None
    return TooManyGuesses(max(1, int((began_at + WINDOW - now).total_seconds())))


async def allow_device(
    session: AsyncSession,
    settings: Settings,
    browser: SignedInBrowser,
    device: DeviceCode,
    client: KnownClient,
    scope: str,
    caller: Caller,
) -> None:
    """Begin the sign-in that the device collects; it can be ended before that."""
    await remember_consent(session, browser.user.id, client, scope)
    seconds = settings.refresh_token_ttl
    family = await begin_family(session, browser.user, client, scope, seconds)
    device.family_id, device.authenticated_at = family.id, browser.authenticated_at
    note(session, browser.user.id, "app_allowed", caller, f"{client.row.name}, on a device")


def deny_device(device: DeviceCode) -> None:
    device.denied_at = utcnow()


async def purge_expired_devices(session: AsyncSession) -> None:
    """With the sign-ins that no device collected."""
    over = col(DeviceCode.expires_at) < utcnow()
    uncollected = select(DeviceCode.family_id).where(over, col(DeviceCode.used_at).is_(None))
    await session.execute(delete(TokenFamily).where(col(TokenFamily.id).in_(uncollected)))
    await session.execute(delete(DeviceCode).where(over))
    old = col(UserCodeGuesses.began_at) < utcnow() - WINDOW
    await session.execute(delete(UserCodeGuesses).where(old))


def _digest(settings: Settings, user_code: str) -> str:
    """Keyed: 35 bits could be found from a plain digest."""
    key = settings.secret_key.get_secret_value().encode()
    return hmac.digest(key, f"user_code:{user_code}".encode(), "sha256").hex()
