import secrets
from datetime import UTC, datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

ALGORITHM = "EdDSA"  # decided by us, never by the token


class UnknownKey(jwt.InvalidTokenError):
    pass


class Revoked(jwt.InvalidTokenError):
    pass


class Issuer:
    """The login service: the only place that holds private keys."""

    def __init__(self, name: str, lifetime: timedelta = timedelta(minutes=10)):
        self.name = name
        self.lifetime = lifetime
        self.rotate()

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        self._kid = secrets.token_urlsafe(8)
        self._key = Ed25519PrivateKey.generate()

    def public_key(self) -> tuple[str, Ed25519PublicKey]:
        return self._kid, self._key.public_key()

    def issue(self, subject: str, audience: str, scope: str, now: datetime | None = None):
        now = now or datetime.now(UTC)
        claims = {
            "iss": self.name,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": now + self.lifetime,
            "jti": secrets.token_urlsafe(16),
            "scope": scope,
        }
        return jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self._kid})


class Verifier:
    """An API: it holds public keys only, so it cannot make tokens itself."""

    def __init__(self, issuer: str, audience: str):
        self.issuer = issuer
        self.audience = audience
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._revoked: set[str] = set()

    def trust(self, kid: str, key: Ed25519PublicKey) -> None:
        self._keys[kid] = key

    def revoke(self, jti: str) -> None:
        self._revoked.add(jti)  # keep an entry until its token has expired

    def verify(self, token: str) -> dict:
        """Return the claims of a good token; raise jwt.InvalidTokenError otherwise."""
        kid = jwt.get_unverified_header(token).get("kid")  # a hint, not yet a fact
        if kid not in self._keys:
            raise UnknownKey
        claims = jwt.decode(
            token,
            self._keys[kid],
            algorithms=[ALGORITHM],
            issuer=self.issuer,
            audience=self.audience,
            leeway=timedelta(seconds=5),  # clocks differ a little
            options={"require": ["iss", "sub", "aud", "iat", "exp", "jti"]},
        )
        if claims["jti"] in self._revoked:
            raise Revoked
        return claims
