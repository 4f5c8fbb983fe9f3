"""The one module that signs and verifies tokens: python-jose with its gaps closed.

python-jose alone would accept a missing `aud` or `exp`, any `typ`, ignores `crit`, and fails on
a deeply nested header with RecursionError. Access tokens follow RFC 9068.
"""

import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from jose import jwt
from jose.exceptions import JOSEError
from jose.utils import base64url_decode

from backend_hub.auth.keys import ALGORITHM, KeyRing
from backend_hub.db import new_id
from backend_hub.errors import Unauthorized

MAX_TOKEN_LENGTH = 4_096
MAX_HEADER_LENGTH = 512
LEEWAY = 30
"""Seconds by which clocks may differ."""
CACHE_SIZE = 10_000
FIRST_PARTY_CLIENT = "backend-hub"
# Exactly: Python's base64 skips foreign characters, so that one token had countless spellings,
# each with a place in the cache.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class InvalidToken(Unauthorized):
    code, title = "invalid_token", "The access token is not valid"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified access token says."""

    subject: UUID
    scopes: frozenset[str]
    family_id: UUID
    expires_at: int


class TokenService:
    """Signs and verifies with one key ring; verified tokens are remembered by their SHA-256."""

    def __init__(self, keys: KeyRing, issuer: str) -> None:
        self.keys = keys
        self.issuer = issuer
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()

    def issue(self, user_id: UUID, family_id: UUID, scopes: Iterable[str], seconds: int) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": str(user_id),
            "client_id": FIRST_PARTY_CLIENT,
            "scope": " ".join(sorted(scopes)),
            "sid": str(family_id),
            "jti": str(new_id()),
            "iat": now,
            "exp": now + seconds,
        }
        headers = {"kid": self.keys.signing_kid, "typ": "at+jwt"}
        return jwt.encode(claims, self.keys.signing_key, algorithm=ALGORITHM, headers=headers)

    def verify(self, token: str) -> Claims:
        """The claims of a valid access token; raises InvalidToken for every other text."""
        if len(token) > MAX_TOKEN_LENGTH or not _COMPACT.fullmatch(token):
            raise InvalidToken
        digest = hashlib.sha256(token.encode()).digest()
        claims = self._verified.get(digest)
        if claims is None:
            claims = self._verify(token)
            self._verified[digest] = claims
            if len(self._verified) > CACHE_SIZE:
                self._verified.popitem(last=False)
        if claims.expires_at + LEEWAY < time.time():
            self._verified.pop(digest, None)
            raise InvalidToken("The access token has expired")
        return claims

    def _verify(self, token: str) -> Claims:
        kid = _checked_header(token)
        key = self.keys.verifying.get(kid)
        if key is None:
            raise InvalidToken("The access token was signed with an unknown key")
        try:
            payload = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self.issuer,
                issuer=self.issuer,
                options={
                    "require_aud": True,
                    "require_exp": True,
                    "require_iat": True,
                    "require_iss": True,
                    "require_sub": True,
                    "require_jti": True,
                    "leeway": LEEWAY,
                },
            )
            return _claims(payload)
        except (JOSEError, RecursionError, ValueError, TypeError, KeyError):
            raise InvalidToken from None


def _checked_header(token: str) -> str:
    """The `kid`, once the header has exactly the form that we issue."""
    head = token.partition(".")[0]
    if len(head) > MAX_HEADER_LENGTH:
        raise InvalidToken
    try:
        header: Any = json.loads(base64url_decode(head.encode("ascii")))
    except (ValueError, RecursionError):
        raise InvalidToken from None
    if not isinstance(header, dict) or set(header) != {"alg", "kid", "typ"}:
        raise InvalidToken
    if header["alg"] != ALGORITHM or header["typ"] != "at+jwt":
        raise InvalidToken
    return str(header["kid"])


def _claims(payload: dict[str, Any]) -> Claims:
    return Claims(
        subject=UUID(payload["sub"]),
        scopes=frozenset(str(payload["scope"]).split()),
        family_id=UUID(payload["sid"]),
        expires_at=int(payload["exp"]),
    )
