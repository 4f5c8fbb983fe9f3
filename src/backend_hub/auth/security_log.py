"""What a person is told about their own account: sign-ins, factors, addresses, apps."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete
from sqlmodel import col, select

from backend_hub.auth.models import SecurityEvent
from backend_hub.db import AsyncSession, UTCDateTime, utcnow
from backend_hub.http.callers import Caller, program_of
from backend_hub.http.rate_limits import network_of
from backend_hub.mail.service import queue_mail
from backend_hub.statements import Prepared, prepare
from backend_hub.users.models import User

KEPT = timedelta(days=180)
"""Addresses are personal data: a line is not kept for longer."""

WORDS = {
    "signed_in": "Signed in",
    "signed_in_from_new_device": "Signed in from a new device",
    "sign_in_refused": "Sign-in refused",
    "signed_out": "Signed out",
    "session_ended": "Session ended",
    "sessions_ended": "All other sessions ended",
    "password_changed": "Password changed",
    "password_reset_asked": "Password reset asked for",
    "password_reset": "Password reset by mail",
    "email_change_asked": "Change of address asked for",
    "email_changed": "Email address changed",
    "email_verified": "Email address verified",
    "totp_enabled": "Authenticator app added",
    "totp_disabled": "Authenticator app removed",
    "recovery_code_used": "Recovery code used",
    "recovery_codes_made": "Recovery codes made",
    "passkey_added": "Passkey added",
    "passkey_removed": "Passkey removed",
    "passkey_copied": "Passkey refused: its counter ran backwards, as that of a copy does",
    "second_step_on": "A passkey is asked for after the password",
    "second_step_off": "No passkey is asked for after the password",
    "account_linked": "Sign-in with another account added",
    "account_unlinked": "Sign-in with another account removed",
    "app_allowed": "App allowed",
    "app_withdrawn": "App withdrawn",
    "token_made": "Personal access token made",
    "token_revoked": "Personal access token revoked",
    "token_reused": "A refresh token came twice: that sign-in was ended",
    "data_exported": "Data exported",
}
"""Every kind of event, in words for its reader."""

MAILED = frozenset(
    {
        *("signed_in_from_new_device", "password_changed", "password_reset"),
        *("email_change_asked", "totp_enabled", "totp_disabled", "recovery_code_used"),
        *("recovery_codes_made", "passkey_added", "passkey_removed", "account_linked"),
        *("account_unlinked", "token_made", "token_reused"),
    }
)
"""What a person is told of by mail too: everything that changes who can sign in."""
SIGN_INS = ("signed_in", "signed_in_from_new_device")
REMEMBERED = timedelta(days=60)
"""How long a place from which somebody signed in is one that their account knows."""


def note(session: AsyncSession, user_id: UUID, kind: str, caller: Caller, detail: str = "") -> None:
    """Write a line in the transaction of what it tells of; KeyError for a kind without words.

    The kinds in MAILED go to the person's address too, if it was verified.
    """
    words = WORDS[kind]
    session.add(
        SecurityEvent(
            user_id=user_id,
            kind=kind,
            detail=detail[:200],
            address=caller.address,
            user_agent=caller.user_agent,
        )
    )
    if kind in MAILED:
        verified = col(User.email_verified_at).is_not(None) & (col(User.id) == user_id)
        queue_mail(
            session,
            select(User.email).where(verified).scalar_subquery(),
            "security",
            user_id=user_id,
            what=words,
            detail=detail[:200],
            when=f"{utcnow():%Y-%m-%d %H:%M} UTC",
            address=caller.address,
            program=program_of(caller.user_agent),
        )


async def note_sign_in(
    session: AsyncSession, user_id: UUID, caller: Caller, *, known_device: bool = False
) -> None:
    """A line for a sign-in; from a device that the account does not know, a mail too.

    It knows a browser by its cookie, and a program by its network and its name. The first sign-in
    of an account is no surprise.
    """
    seen = await recent_sign_ins(session, user_id)
    here = (network_of(caller.address), caller.user_agent)
    new = bool(seen) and not known_device and here not in seen
    note(session, user_id, "signed_in_from_new_device" if new else "signed_in", caller)


async def recent_sign_ins(session: AsyncSession, user_id: UUID) -> set[tuple[str, str]]:
    """From which networks, and with what, the account was signed in to lately."""
    rows = await session.fetch(_places(), {"user_id": user_id, "since": utcnow() - REMEMBERED})
    return {(network_of(row["address"]), row["user_agent"]) for row in rows}


@cache
def _places() -> Prepared:
    places: Any = (
        select(SecurityEvent.address, SecurityEvent.user_agent)
        .where(
            SecurityEvent.user_id == bindparam("user_id", type_=Uuid()),
            col(SecurityEvent.kind).in_(SIGN_INS),
            SecurityEvent.created_at > bindparam("since", type_=UTCDateTime),
        )
        .order_by(col(SecurityEvent.id).desc())
        .limit(100)
    )
    return prepare(places)


async def list_security_events(
    session: AsyncSession, user_id: UUID, limit: int = 100
) -> Sequence[SecurityEvent]:
    """The newest lines of a person's log."""
    mine = select(SecurityEvent).where(SecurityEvent.user_id == user_id)
    return (await session.exec(mine.order_by(col(SecurityEvent.id).desc()).limit(limit))).all()


async def purge_old_events(session: AsyncSession) -> None:
    old = col(SecurityEvent.created_at) < utcnow() - KEPT
    await session.execute(delete(SecurityEvent).where(old))
