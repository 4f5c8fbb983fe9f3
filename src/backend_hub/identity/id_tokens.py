"""Whether an ID token is to be believed (OpenID Connect Core 3.1.3.7, RFC 8725)."""

from typing import Any

import orjson
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from backend_hub.identity.fetching import ProviderRefused
from backend_hub.identity.metadata import Directory

KEY_TYPES: dict[str, tuple[str, Any]] = {
    "RS256": ("RSA", RSAKey),
    "PS256": ("RSA", RSAKey),
    "ES256": ("EC", ECKey),
    "EdDSA": ("OKP", OKPKey),
}
"""Never `none`, and nothing that shares a secret."""
MAX_TOKEN = 32_000
LEEWAY = 60
"""Seconds between two clocks."""


class BadIdToken(ProviderRefused):
    code = "bad_id_token"


async def verified_id_token(
    directory: Directory,
    metadata: dict[str, Any],
    token: object,
    *,
    client_id: str,
    nonce: str,
    access_token: str,
) -> dict[str, Any]:
    """Its claims; raises BadIdToken without saying what exactly is wrong."""
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN or token.count(".") != 2:
        raise BadIdToken("The other site sent no readable ID token")
    issuer: str = metadata["issuer"]
    try:
        header = orjson.loads(urlsafe_b64decode(token.partition(".")[0].encode()))
        algorithm, kid = header["alg"], header.get("kid")
        if algorithm not in _algorithms(metadata) or "crit" in header:
            raise BadIdToken("The ID token is signed in a way that the hub does not take")
        keys = _fitting(await directory.keys(issuer), algorithm, kid)
        if not keys:
            keys = _fitting(await directory.keys(issuer, anew=True), algorithm, kid)
        if len(keys) != 1:
            raise BadIdToken("The ID token names no key of the other site")
        key = KEY_TYPES[algorithm][1].import_key(keys[0])
        claims = jwt.decode(token, key, algorithms=[algorithm]).claims
        checked = CodeIDToken(
            claims,
            header,
            options={
                "iss": {"essential": True, "value": issuer},
                "aud": {"essential": True, "value": client_id},
                "sub": {"essential": True},
                "nonce": {"essential": True, "value": nonce},
            },
            params={"nonce": nonce, "client_id": client_id, "access_token": access_token},
        )
        checked.validate(leeway=LEEWAY)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadIdToken("The ID token of the other site is not valid") from error
    return dict(checked)


def _algorithms(metadata: dict[str, Any]) -> set[str]:
    """What the provider says it signs with, of what the hub takes; RS256 when it says nothing."""
    named = metadata.get("id_token_signing_alg_values_supported", ["RS256"])
    return set(KEY_TYPES) & {name for name in named if isinstance(name, str)}


def _fitting(keys: list[dict[str, Any]], algorithm: str, kid: object) -> list[dict[str, Any]]:
    """The keys that may have signed it; without a `kid` only the one there is."""
    return [
        key
        for key in keys
        if key.get("kty") == KEY_TYPES[algorithm][0]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
