"""An authenticator in software, which also signs what a real one would not.

It stands for a phone or a key, which no test can hold; browsers are in tests/site/test_passkeys.py.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor

ORIGIN = "http://localhost"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One passkey, with P-256."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    user_handle: bytes = b""
    count: int = 0

    def create(self, options: dict[str, Any], **lies: Any) -> str:
        """What `navigator.credentials.create` gives, as JSON."""
        self.user_handle = base64url_to_bytes(options["user"]["id"])
        point = self.key.public_key().public_numbers()
        public_key = encode_cbor(
            {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        )
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id
        lies.setdefault("rp_id", options["rp"]["id"])
        data = self._data(lies, ATTESTED) + attested + public_key
        return self._answer(
            {
                "clientDataJSON": self._said("webauthn.create", options, lies),
                "attestationObject": encode_cbor({"fmt": "none", "attStmt": {}, "authData": data}),
            }
        )

    def get(self, options: dict[str, Any], **lies: Any) -> str:
        """What `navigator.credentials.get` gives, as JSON."""
        self.count += 1
        lies.setdefault("rp_id", options["rpId"])
        data, said = self._data(lies, 0), self._said("webauthn.get", options, lies)
        signed = data + hashlib.sha256(said).digest()
        signature = (lies.get("key") or self.key).sign(signed, ec.ECDSA(SHA256()))
        handle = lies.get("user_handle", self.user_handle)
        return self._answer(
            {
                "clientDataJSON": said,
                "authenticatorData": data,
                "signature": signature,
                **({"userHandle": handle} if handle is not None else {}),
            }
        )

    def _data(self, lies: dict[str, Any], flags: int) -> bytes:
        flags |= lies.get("flags", PRESENT | VERIFIED)
        count: int = lies.get("count", self.count)
        return hashlib.sha256(lies["rp_id"].encode()).digest() + bytes([flags]) + count.to_bytes(4)

    def _said(self, kind: str, options: dict[str, Any], lies: dict[str, Any]) -> bytes:
        said = {
            "type": lies.get("type", kind),
            "challenge": lies.get("challenge", options["challenge"]),
            "origin": lies.get("origin", ORIGIN),
            "crossOrigin": False,
        }
        return json.dumps(said).encode()

    def _answer(self, response: dict[str, bytes]) -> str:
        name = bytes_to_base64url(self.credential_id)
        fields = {key: bytes_to_base64url(value) for key, value in response.items()}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": fields})
