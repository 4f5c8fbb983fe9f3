"""The one module that signs and verifies tokens: python-jose with its gaps closed.

python-jose alone would accept a missing `aud` or `exp`, any `typ`, ignores `crit`, and fails on
a deeply nested header with RecursionError. Access tokens follow RFC 9068.
"""

import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from jose import jwt
from jose.backends.base import Key
from jose.exceptions import JOSEError
from jose.utils import base64url_decode, base64url_encode

from backend_hub.auth.keys import ALGORITHM, KeyRing
from backend_hub.db import new_id
from backend_hub.errors import Unauthorized

MAX_TOKEN_LENGTH = 4_096
MAX_HEADER_LENGTH = 512
LEEWAY = 30
"""Seconds by which clocks may differ."""
CACHE_SIZE = 10_000
FIRST_PARTY_CLIENT = "backend-hub"
SWAGGER_CLIENT = "swagger-ui"
FIRST_PARTY_CLIENTS = frozenset({FIRST_PARTY_CLIENT, SWAGGER_CLIENT})
"""The hub's own: its password form, and its Swagger UI."""
# Exactly: Python's base64 skips foreign characters, so that one token had countless spellings,
# each with a place in the cache.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class InvalidToken(Unauthorized):
    code, title = "invalid_token", "The access token is not valid"

    def __init__(self, detail: str | None = None, scheme: str = "Bearer") -> None:
        challenge = f'{scheme} error="invalid_token"'
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class UnknownKey(InvalidToken):
    """The key may be younger than this process's ring."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified access token says."""

    subject: UUID
    scopes: frozenset[str]
    family_id: UUID
    client_id: str
    issued_at: int
    expires_at: int
    jkt: str | None = None
    """The key that whoever presents the token must prove to have (RFC 9449 section 6.1)."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What an ID token says to the hub that issued it: who, in which app, by which sign-in."""

    subject: UUID
    client_id: str
    family_id: UUID


class TokenService:
    """Signs and verifies with one key ring; verified tokens are remembered by their SHA-256."""

    def __init__(self, keys: KeyRing, issuer: str) -> None:
        self.keys = keys
        self.issuer = issuer
        self.keys_read = time.monotonic()
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()

    def replace_keys(self, keys: KeyRing | None) -> None:
        """Take another ring (None: it is the same one), forgetting what the old keys verified."""
        self.keys_read = time.monotonic()
        if keys is not None:
            self.keys = keys
            self._verified.clear()

    def issue(
        self,
        user_id: UUID,
        family_id: UUID,
        scopes: Iterable[str],
        seconds: int,
        client_id: str = FIRST_PARTY_CLIENT,
        jkt: str | None = None,
    ) -> str:
        """An access token (RFC 9068), bound to a key if there is one."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": str(user_id),
            "client_id": client_id,
            "scope": " ".join(sorted(scopes)),
            "sid": str(family_id),
            "jti": str(new_id()),
            "iat": now,
            "exp": now + seconds,
        }
        if jkt is not None:
            claims["cnf"] = {"jkt": jkt}
        return self._sign(claims, "at+jwt")

    def issue_id_token(
        self,
        user_id: UUID,
        client_id: str,
        access_token: str,
        claims: Mapping[str, Any],
        seconds: int,
    ) -> str:
        """Who signed in, for the app they signed in to (OpenID Connect Core section 2)."""
        now = int(time.time())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        required = {
            "iss": self.issuer,
            "aud": client_id,
            "sub": str(user_id),
            "iat": now,
            "exp": now + seconds,
            "at_hash": base64url_encode(half).decode(),
        }
        return self._sign({**claims, **required}, "JWT")

    def _sign(self, claims: dict[str, Any], kind: str) -> str:
        headers = {"kid": self.keys.signing_kid, "typ": kind}
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

    def verify_hint(self, token: str) -> Hint:
        """An `id_token_hint`: an ID token of this hub, which may have expired.

        Raises InvalidToken.
        """
        if len(token) > MAX_TOKEN_LENGTH or not _COMPACT.fullmatch(token):
            raise InvalidToken
        options = {"verify_exp": False, "verify_aud": False, "require_sub": True}
        try:
            payload = jwt.decode(
                token,
                self._key_of(token, "JWT"),
                algorithms=[ALGORITHM],
                issuer=self.issuer,
                options=options | {"require_iss": True, "verify_at_hash": False},
            )
            return Hint(UUID(payload["sub"]), str(payload["aud"]), UUID(payload["sid"]))
        except (JOSEError, RecursionError, ValueError, TypeError, KeyError):
            raise InvalidToken from None

    def _key_of(self, token: str, kind: str) -> Key:
        key = self.keys.verifying.get(_checked_header(token, kind))
        if key is None:
            raise UnknownKey("The token was signed with an unknown key")
        return key

    def _verify(self, token: str) -> Claims:
        key = self._key_of(token, "at+jwt")
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


def _checked_header(token: str, kind: str) -> str:
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
    if header["alg"] != ALGORITHM or header["typ"] != kind:
        raise InvalidToken
    return str(header["kid"])


def _claims(payload: dict[str, Any]) -> Claims:
    return Claims(
        subject=UUID(payload["sub"]),
        scopes=frozenset(str(payload["scope"]).split()),
        family_id=UUID(payload["sid"]),
        client_id=str(payload["client_id"]),
        issued_at=int(payload["iat"]),
        expires_at=int(payload["exp"]),
        jkt=str(payload["cnf"]["jkt"]) if "cnf" in payload else None,
    )
