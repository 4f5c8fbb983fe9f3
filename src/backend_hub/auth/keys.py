"""The RSA keys that sign tokens, kept in the database under the hub's secret key."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jose import jwk
from jose.backends.base import Key
from jose.utils import base64url_encode
from sqlalchemy import text
from sqlmodel import col, select

from backend_hub.auth.models import SigningKey
from backend_hub.db import AsyncSession, new_id, utcnow
from backend_hub.errors import ConfigurationError, Conflict, NotFound

ALGORITHM = "RS256"
KEY_LOCK = 7_205_431_120_232
"""Advisory lock: of several processes that start at once, one makes the first key."""


@dataclass
class KeyRing:
    """The keys of this process: one signs, all that are not retired verify."""

    signing_kid: str
    signing_key: Key
    verifying: dict[str, Key] = field(default_factory=dict)

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public halves (RFC 7517)."""
        return {
            "keys": [
                {"use": "sig", "kid": kid, **_public_members(key)}
                for kid, key in self.verifying.items()
            ]
        }


def _public_members(key: Key) -> dict[str, Any]:
    members = {k: v for k, v in key.to_dict().items() if k in {"alg", "kty", "n", "e"}}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in members.items()}


async def load_key_ring(session: AsyncSession, secret: str) -> KeyRing:
    """Read the keys, making the first one; raises ConfigurationError when the secret changed."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": KEY_LOCK})
    found = select(SigningKey).where(col(SigningKey.retired_at).is_(None))
    rows = (await session.exec(found.order_by(col(SigningKey.created_at).desc()))).all()
    if not rows:
        rows = [generate_key(secret)]
        session.add(rows[0])
        await session.flush()
    return _ring(rows, secret)


async def read_key_ring(
    session: AsyncSession, secret: str, known: frozenset[str]
) -> KeyRing | None:
    """The keys as they are now; None when they are the known ones."""
    found = select(SigningKey).where(col(SigningKey.retired_at).is_(None))
    rows = (await session.exec(found.order_by(col(SigningKey.created_at).desc()))).all()
    return _ring(rows, secret) if rows and {row.kid for row in rows} != known else None


def _ring(rows: Sequence[SigningKey], secret: str) -> KeyRing:
    newest = rows[0]
    return KeyRing(
        signing_kid=newest.kid,
        signing_key=jwk.construct(_decrypt(newest, secret), ALGORITHM),
        verifying={row.kid: jwk.construct(row.public_pem, ALGORITHM) for row in rows},
    )


async def rotate_key(session: AsyncSession, secret: str) -> SigningKey:
    """A new key, which signs from now on; those before it verify until they are retired."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": KEY_LOCK})
    key = generate_key(secret)
    session.add(key)
    await session.flush()
    return key


async def list_keys(session: AsyncSession) -> Sequence[SigningKey]:
    found = select(SigningKey).order_by(col(SigningKey.created_at).desc())
    return (await session.exec(found)).all()


async def retire_key(session: AsyncSession, kid: str) -> None:
    """Its tokens stop working; raises NotFound, and Conflict for the key that signs."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": KEY_LOCK})
    alive = [key for key in await list_keys(session) if key.retired_at is None]
    found = next((key for key in alive if key.kid == kid), None)
    if found is None:
        raise NotFound("There is no such key, or it was retired before")
    if found is alive[0]:
        raise Conflict("This key signs: rotate first, and retire it when its tokens have expired")
    found.retired_at = utcnow()
    await session.flush()


def generate_key(secret: str) -> SigningKey:
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    encryption = serialization.BestAvailableEncryption(secret.encode())
    return SigningKey(
        kid=base64url_encode(new_id().bytes).decode(),
        private_pem=private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        ),
        public_pem=private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


def _decrypt(row: SigningKey, secret: str) -> str:
    try:
        private = serialization.load_pem_private_key(row.private_pem, secret.encode())
    except ValueError:
        raise ConfigurationError(
            "HUB_SECRET_KEY is not the one that this database's signing keys were made with: "
            "set the old one, or delete the rows of signing_keys (which signs everybody out)"
        ) from None
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
