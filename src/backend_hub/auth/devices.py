"""Browsers from which an account signed in before, by a cookie of their own (OWASP's device
cookies): it signs nobody in, and is what guesses from such a browser count against."""

import hashlib
import hmac
import secrets
import time
from uuid import UUID

from backend_hub.settings import Settings

DEVICE_KNOWN = 180 * 24 * 3600
"""Seconds since the last sign-in."""


def device_token(settings: Settings, user_id: UUID) -> str:
    """The value of the cookie: whose, which, since when, and our mark on it."""
    named = f"{user_id.hex}.{secrets.token_urlsafe(12)}.{int(time.time())}"
    return f"{named}.{_mark(settings, named)}"


def device_of(settings: Settings, user_id: UUID, cookie: str) -> str | None:
    """The name of this browser if the account signed in from it, else None."""
    named, _, mark = cookie.rpartition(".")
    if not named or not hmac.compare_digest(mark.encode(), _mark(settings, named).encode()):
        return None
    owner, device, since = named.split(".")
    if owner != user_id.hex or time.time() - int(since) > DEVICE_KNOWN:
        return None
    return device


def _mark(settings: Settings, named: str) -> str:
    key = settings.secret_key.get_secret_value().encode()
    return hmac.new(key, b"device " + named.encode(), hashlib.sha256).hexdigest()
