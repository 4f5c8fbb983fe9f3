"""DPoP (RFC 9449): whoever presents a token proves to hold the key that it was issued to.

joserfc, which Authlib brings, checks the signatures: python-jose knows neither PS256 nor Ed25519.
What it would be lenient about is refused before: the header has exactly the members of a proof, and
the key in it those of a public key of one known kind.
"""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from jose.utils import base64url_decode, base64url_encode
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from backend_hub.auth.models import UsedProof
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import Unauthorized
from backend_hub.http.cors import origin_of

ALGORITHMS: dict[str, dict[str, str]] = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "RS256": {"kty": "RSA"},
    "PS256": {"kty": "RSA"},
    "Ed25519": {"kty": "OKP", "crv": "Ed25519"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}
"""What the key of each algorithm says of itself."""
MEMBERS = {"EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e"), "OKP": ("kty", "crv", "x")}
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
MAX_PROOF_LENGTH = 4_096
RSA_BITS = range(2_048, 4_097)
MAX_EXPONENT = 2**32
"""Verifying takes longer the larger it is."""
LIVES = 60
"""Seconds after `iat` in which a proof may arrive."""
LEEWAY = 30
"""Seconds by which clocks may differ."""
JKT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

CHALLENGE = f'DPoP algs="{" ".join(ALGORITHMS)}"'


class InvalidProof(Unauthorized):
    code, title = "invalid_dpop_proof", "The DPoP proof is not valid"

    def __init__(self, detail: str) -> None:
        challenge = f'{CHALLENGE}, error="invalid_dpop_proof"'
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that holds, and has yet to be taken."""

    jkt: str
    """The thumbprint of its key (RFC 7638)."""
    jti: str
    issued_at: float


def read_proof(text: str, method: str, url: str, access_token: str | None = None) -> Proof:
    """The proof for a request to that URL, with that token (RFC 9449 section 4.3).

    Raises InvalidProof.
    """
    header, payload, signed, signature = _parts(text)
    if header.get("typ") != "dpop+jwt" or set(header) - {"typ", "alg", "jwk", "kid"}:
        raise InvalidProof("The proof's header is typ, alg and jwk")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise InvalidProof(f"The proof's alg is one of {', '.join(ALGORITHMS)}")
    key = _public_key(header.get("jwk"), algorithm)
    # EdDSA with an Ed25519 key is Ed25519 (RFC 9864 section 2.2).
    verifier = JWSRegistry.algorithms["Ed25519" if algorithm == "EdDSA" else algorithm]
    try:
        fits = verifier.verify(signed, signature, key)
    except (JoseError, ValueError, TypeError):
        fits = False
    if not fits:
        raise InvalidProof("The proof's signature does not fit its key")
    jti, issued_at = payload.get("jti"), payload.get("iat")
    if not isinstance(jti, str) or not 0 < len(jti) <= 256:
        raise InvalidProof("The proof's jti is a text of up to 256 characters")
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        raise InvalidProof("The proof's iat is a number of seconds")
    now = time.time()
    if not now - LIVES - LEEWAY <= issued_at <= now + LEEWAY:
        raise InvalidProof("The proof's iat is not now")
    if payload.get("htm") != method:
        raise InvalidProof("The proof's htm is another method")
    if not _same_place(payload.get("htu"), url):
        raise InvalidProof("The proof's htu is another URL")
    if access_token is not None and not _same_hash(payload.get("ath"), access_token):
        raise InvalidProof("The proof's ath is another token's")
    return Proof(key.thumbprint(), jti, issued_at)


async def take_proof(session: AsyncSession, proof: Proof) -> None:
    """Accept the proof this once, in whatever process; raises InvalidProof the second time."""
    ends = datetime.fromtimestamp(proof.issued_at + LIVES + 2 * LEEWAY, UTC)
    digest = hashlib.sha256(f"{proof.jkt}.{proof.jti}".encode("utf-8", "replace")).digest()
    taken = insert(UsedProof).values(proof_hash=digest, expires_at=ends).on_conflict_do_nothing()
    if (await session.execute(taken.returning(col(UsedProof.expires_at)))).first() is None:
        raise InvalidProof("The proof was used before")


async def purge_used_proofs(session: AsyncSession) -> None:
    await session.execute(delete(UsedProof).where(col(UsedProof.expires_at) < utcnow()))


def _parts(text: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, payload, what was signed, and the signature."""
    if len(text) > MAX_PROOF_LENGTH or not _COMPACT.fullmatch(text):
        raise InvalidProof("The proof is not a JWT")
    head, body, signature = text.encode("ascii").split(b".")
    try:
        header, payload = json.loads(base64url_decode(head)), json.loads(base64url_decode(body))
        decoded = base64url_decode(signature)
    except (ValueError, RecursionError):
        raise InvalidProof("The proof is not a JWT") from None
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise InvalidProof("The proof is not a JWT")
    return header, payload, head + b"." + body, decoded


def _public_key(jwk: Any, algorithm: str) -> Key:
    if not isinstance(jwk, dict) or PRIVATE & set(jwk):
        raise InvalidProof("The proof's jwk is a public key")
    kind = ALGORITHMS[algorithm]
    if any(jwk.get(name) != value for name, value in kind.items()):
        raise InvalidProof("The proof's jwk is not of its alg")
    members = {name: jwk.get(name, "") for name in MEMBERS[kind["kty"]]}
    if not all(isinstance(value, str) and value.isascii() for value in members.values()):
        raise InvalidProof("The proof's jwk is a public key")
    if kind["kty"] == "RSA":
        _require_plain_rsa(members)
    try:
        return JWKRegistry.import_key(members)
    except (JoseError, ValueError, TypeError):
        raise InvalidProof("The proof's jwk is not a key") from None


def _require_plain_rsa(members: Mapping[str, Any]) -> None:
    try:
        modulus, exponent = (
            int.from_bytes(base64url_decode(members[name].encode())) for name in ("n", "e")
        )
    except ValueError:
        raise InvalidProof("The proof's jwk is not a key") from None
    if modulus.bit_length() not in RSA_BITS or not 2 < exponent < MAX_EXPONENT:
        raise InvalidProof("The proof's RSA key has 2048 to 4096 bits and a small exponent")


def _same_place(htu: Any, url: str) -> bool:
    """Compared after normalisation, without query and fragment (RFC 9449 section 4.3)."""
    if not isinstance(htu, str) or "@" in htu:
        return False
    origin = origin_of(htu)
    if origin is None or origin != origin_of(url):
        return False
    return unquote(urlsplit(htu).path) == unquote(urlsplit(url).path)


def _same_hash(ath: Any, access_token: str) -> bool:
    digest = hashlib.sha256(access_token.encode()).digest()
    given = ath if isinstance(ath, str) else ""
    return hmac.compare_digest(given.encode("utf-8", "replace"), base64url_encode(digest))
