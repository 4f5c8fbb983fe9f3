"""Secrets that the hub must read again (not only compare), encrypted at rest."""

import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from backend_hub.settings import Settings

NONCE = 12
"""Bytes. Random ones do not meet before 2^32 secrets of one purpose (NIST SP 800-38D 8.3)."""


class UnreadableSecret(Exception):
    """It was sealed under another HUB_SECRET_KEY, for another purpose or owner, or altered."""


@lru_cache(maxsize=16)
def _cipher(secret_key: str, purpose: str) -> AESGCM:
    """A key for each purpose, derived from the hub's (RFC 5869)."""
    info = b"backend-hub " + purpose.encode()
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=info).derive(secret_key.encode()))


def seal(settings: Settings, purpose: str, owner: str, secret: str) -> bytes:
    """AES-256-GCM. What is sealed for one owner (a row's id) cannot be read as another's."""
    nonce = secrets.token_bytes(NONCE)
    cipher = _cipher(settings.secret_key.get_secret_value(), purpose)
    return nonce + cipher.encrypt(nonce, secret.encode(), owner.encode())


def unseal(settings: Settings, purpose: str, owner: str, sealed: bytes) -> str:
    """The secret; raises UnreadableSecret."""
    cipher = _cipher(settings.secret_key.get_secret_value(), purpose)
    try:
        return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], owner.encode()).decode()
    except (InvalidTag, ValueError):
        raise UnreadableSecret from None
