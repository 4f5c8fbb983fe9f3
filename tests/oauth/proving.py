"""DPoP proofs (RFC 9449), as clients make them."""

import hashlib
import json
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from backend_hub.auth.proofs import ALGORITHMS
from tests.hub import Hub

ISSUER = "http://testserver"


def make_key(algorithm: str) -> Key:
    """A key that signs by it."""
    kind = ALGORITHMS.get(algorithm, {"kty": "oct"})
    if kind["kty"] == "RSA":
        return RSAKey.generate_key(2048, auto_kid=False)
    if kind["kty"] == "oct":
        return OctKey.generate_key(256, auto_kid=False)
    made: Key = (ECKey if kind["kty"] == "EC" else OKPKey).generate_key(kind["crv"])  # type: ignore[arg-type]
    return made


@dataclass
class Prover:
    """A client's key pair."""

    algorithm: str = "ES256"
    key: Key = field(default_factory=lambda: make_key("ES256"))

    @property
    def jkt(self) -> str:
        return self.key.thumbprint()

    def claims(self, method: str, path: str, token: str = "", **changes: Any) -> dict[str, Any]:
        """What a good proof says; None leaves a claim out."""
        said = {"jti": str(uuid4()), "htm": method, "htu": ISSUER + path, "iat": int(time.time())}
        if token:
            digest = hashlib.sha256(token.encode()).digest()
            said["ath"] = segment(digest)
        return {name: value for name, value in (said | changes).items() if value is not None}

    def sign(self, claims: Any, **changes: Any) -> str:
        """Signed whatever it says; text is taken as it is."""
        header = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": self.public(), **changes}
        payload = claims if isinstance(claims, str) else json.dumps(claims)
        signed = f"{segment(json.dumps(header).encode())}.{segment(payload.encode())}"
        name = "Ed25519" if self.algorithm == "EdDSA" else self.algorithm
        signature = JWSRegistry.algorithms[name].sign(signed.encode(), self.key)
        return f"{signed}.{segment(signature)}"

    def public(self) -> dict[str, Any]:
        return {k: v for k, v in self.key.as_dict(private=False).items() if k != "kid"}

    def proof(self, method: str, path: str, token: str = "", **changes: Any) -> dict[str, str]:
        """The header of a request."""
        return {"DPoP": self.sign(self.claims(method, path, token, **changes))}

    async def call(
        self, hub: Hub, token: str, path: str = "/api/v1/users/me", method: str = "GET"
    ) -> httpx.Response:
        headers = {"Authorization": f"DPoP {token}", **self.proof(method, path, token)}
        return await hub.client.request(method, path, headers=headers)


def segment(part: bytes) -> str:
    return urlsafe_b64encode(part).decode().rstrip("=")
