"""Queueing mails: a mail is a row of the transaction whose change it tells of."""

import base64
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from backend_hub.db import AsyncSession, utcnow
from backend_hub.mail.models import Mail
from backend_hub.settings import Settings

KEPT = timedelta(days=3)
"""How long a mail without a date of its own is tried for."""


def queue_mail(
    session: AsyncSession,
    recipient: Any,
    template: str,
    *,
    sealed: str | None = None,
    expires_at: datetime | None = None,
    **details: Any,
) -> None:
    """A mail to that address, once the transaction has committed; to nobody for None.

    The address may be a subquery. `details` are the template's values, and no secrets: what is
    secret is sealed, and reaches the template as `secret`.
    """
    session.add(
        Mail(
            recipient=recipient,
            template=template,
            details=details,
            sealed=sealed,
            expires_at=expires_at or utcnow() + KEPT,
        )
    )


def _box(settings: Settings) -> Fernet:
    key = HKDF(hashes.SHA256(), length=32, salt=None, info=b"backend-hub mail").derive(
        settings.secret_key.get_secret_value().encode()
    )
    return Fernet(base64.urlsafe_b64encode(key))


def seal(settings: Settings, secret: str) -> str:
    """A secret as a row may hold it."""
    return _box(settings).encrypt(secret.encode()).decode()


def unseal(settings: Settings, sealed: str) -> str | None:
    """None when the hub's secret key has changed since."""
    try:
        return _box(settings).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None
