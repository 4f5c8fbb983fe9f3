"""Access tokens: forgeries are refused, nothing usable is stored, anyone can verify them."""

import asyncio
import base64
import json
import time
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from jose import jwk, jwt
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from sqlalchemy import LargeBinary, String, cast, select
from sqlmodel import col

from backend_hub.auth.keys import KeyRing, load_key_ring
from backend_hub.auth.models import SigningKey
from backend_hub.auth.tokens import TokenService
from backend_hub.db import Database
from backend_hub.errors import ConfigurationError
from backend_hub.settings import Settings
from backend_hub.tables import metadata
from tests.conftest import SECRET, make_database
from tests.hub import PASSWORD, Hub, Person


def b64(data: bytes | str | dict[str, Any]) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    raw = raw.encode() if isinstance(raw, str) else raw
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    head, payload, signature = token.split(".")
    return jwt.get_unverified_header(token), jwt.get_unverified_claims(token), signature


class Forger:
    """Makes tokens with the hub's own key: as only the hub could, but not as it would."""

    def __init__(self, app: FastAPI, ann: Person) -> None:
        tokens: TokenService = app.state.tokens
        self.keys: KeyRing = tokens.keys
        self.header, self.claims, _ = parts_of(ann.access_token)

    def sign(
        self,
        claims: dict[str, Any] | None = None,
        header: dict[str, Any] | None = None,
        without: str = "",
    ) -> str:
        claims = {**self.claims, **(claims or {})}
        claims.pop(without, None)
        head = {**self.header, **(header or {})}
        key = self.keys.signing_key
        return jwt.encode(claims, key, algorithm="RS256", headers=head)


async def status(hub: Hub, token: str) -> httpx.Response:
    return await hub.visitor.get("/users/me", headers={"Authorization": f"Bearer {token}"})


async def refused(hub: Hub, token: str) -> None:
    for path in ("/users/me", "/resources"):
        headers = {"Authorization": f"Bearer {token}"}
        answer = await hub.visitor.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token"), token[:80]
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.fixture
async def forger(hub: Hub, app: FastAPI) -> Forger:
    forger = Forger(app, await hub.person("ann"))
    assert (await status(hub, forger.sign())).status_code == 200
    return forger


async def test_33_a_token_signed_by_nobody_is_refused(hub: Hub, forger: Forger) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        for signature in ("", "x"):
            head = b64({**forger.header, "alg": algorithm})
            await refused(hub, f"{head}.{b64(forger.claims)}.{signature}")


async def test_33_the_public_key_is_no_hmac_secret(hub: Hub, forger: Forger) -> None:
    public = forger.keys.verifying[forger.keys.signing_kid].public_key()
    pem = public.to_pem()
    der = serialization.load_pem_public_key(pem).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for secret in (pem, pem.strip(), der):
        key = jwk.HMACKey({"kty": "oct", "k": b64(secret)}, "HS256")
        for algorithm in ("HS256", "RS256"):
            head = b64({**forger.header, "alg": algorithm})
            signed = f"{head}.{b64(forger.claims)}"
            await refused(hub, f"{signed}.{b64(key.sign(signed.encode()))}")


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert"},
        {"jwk": {"kty": "RSA"}},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"kid": "unknown"},
        {"kid": ["list"]},
        {"kid": "../../etc/passwd"},
        {"kid": None},
        {"typ": "JWT"},
        {"typ": "at+JWT "},
        {"typ": "id+jwt"},
        {"cty": "JWT"},
    ],
)
async def test_33_a_header_of_another_form_is_refused(
    hub: Hub, forger: Forger, header: dict[str, Any]
) -> None:
    await refused(hub, forger.sign(header=header))


async def test_another_key_under_our_kid_is_refused(hub: Hub, forger: Forger) -> None:
    foreign = rsa.generate_private_key(public_exponent=65_537, key_size=2_048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    token = jwt.encode(forger.claims, foreign.decode(), algorithm="RS256", headers=forger.header)
    await refused(hub, token)


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat", "sub", "jti", "sid", "scope"])
async def test_35_a_missing_claim_is_refused(hub: Hub, forger: Forger, claim: str) -> None:
    await refused(hub, forger.sign(without=claim))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": "http://testserver/"},
        {"aud": "https://evil.example"},
        {"aud": []},
        {"exp": int(time.time()) - 31},
        {"exp": "soon"},
        {"exp": None},
        {"nbf": int(time.time()) + 3_600},
        {"sub": "not a uuid"},
        {"sub": "01900000-0000-7000-8000-000000000000"},
        {"sid": "01900000-0000-7000-8000-000000000000"},
        {"sub": 5},
    ],
)
async def test_35_a_wrong_claim_is_refused(
    hub: Hub, forger: Forger, claims: dict[str, Any]
) -> None:
    await refused(hub, forger.sign(claims))


async def test_a_token_whose_sign_in_is_somebody_else_s_is_refused(
    hub: Hub, forger: Forger
) -> None:
    bob = await hub.person("bob")
    await refused(hub, forger.sign({"sub": bob.id}))


async def test_a_token_cannot_hold_more_than_the_role(hub: Hub, forger: Forger) -> None:
    token = forger.sign({"scope": "users:admin posts:write"})
    headers = {"Authorization": f"Bearer {token}"}
    assert (await hub.visitor.get("/accounts", headers=headers)).status_code == 403


async def test_36_changed_or_odd_tokens_are_refused_and_never_fail(
    hub: Hub, forger: Forger
) -> None:
    token = forger.sign()
    head, payload, signature = token.split(".")
    nested = b64('{"alg":' + "[" * 200 + "]" * 200 + "}")
    deep = b64("[" * 100_000)
    binary = b64(b"\xff\xfe")
    odd = [
        "x",
        ".",
        "..",
        "...",
        f"{head}.{payload}",
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature}.{signature}",
        f"{head}.{b64({**forger.claims, 'scope': 'users:admin'})}.{signature}",
        f"{head}.{payload}.{signature[:-4]}AAAA",
        f"{head}.{payload}.{signature}==",
        f"{head}.{payload}.{signature[:20]}!{signature[20:]}",
        f"{head}\t.{payload}.{signature}",
        f"{nested}.{payload}.{signature}",
        f"{deep}.{payload}.{signature}",
        f"{b64('7')}.{payload}.{signature}",
        f"{binary}.{payload}.{signature}",
        f"{head}.{'A' * 5_000_000}.{signature}",
        "\xe9.\xe9.\xe9",
    ]
    for text in odd:
        headers = {b"Authorization": f"Bearer {text}".encode("latin-1")}
        answer = await hub.client.get("/api/v1/users/me", headers=headers)
        assert answer.status_code == 401, text[:60]
    assert (await status(hub, token)).status_code == 200


async def test_a_token_expires_though_it_was_seen_before(
    hub: Hub, forger: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = forger.sign({"exp": int(time.time()) + 60})
    assert (await status(hub, token)).status_code == 200
    now = time.time()
    monkeypatch.setattr("backend_hub.auth.tokens.time.time", lambda: now + 91)
    assert (await status(hub, token)).status_code == 401


async def test_a_database_dump_holds_no_usable_secret(hub: Hub) -> None:
    ann = await hub.person("ann")
    await ann.post("/resources", None, headers={"Idempotency-Key": "k"})
    dump = ""
    async with hub.database.reading() as session:
        for table in metadata.sorted_tables:
            for column in table.columns:
                kind = LargeBinary if isinstance(column.type, LargeBinary) else String
                for value in (await session.execute(select(cast(column, kind)))).scalars():
                    dump += value.decode("latin-1") if isinstance(value, bytes) else str(value)
    assert ann.id in dump
    for secret in (PASSWORD, ann.access_token, ann.refresh_token, ann.access_token.split(".")[2]):
        assert secret not in dump
    assert "BEGIN ENCRYPTED PRIVATE KEY" in dump
    assert "BEGIN PRIVATE KEY" not in dump
    assert "BEGIN RSA PRIVATE KEY" not in dump


async def test_another_library_verifies_a_token_with_the_published_keys(hub: Hub) -> None:
    ann = await hub.person("ann")
    published = await hub.visitor.get("/.well-known/jwks.json")
    assert "public" in published.headers["Cache-Control"]
    for key in published.json()["keys"]:
        assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
    keys = KeySet.import_key_set(published.json())
    token = joserfc_jwt.decode(ann.access_token, keys, algorithms=["RS256"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["sub"] == ann.id
    assert token.claims["iss"] == token.claims["aud"] == "http://testserver"
    joserfc_jwt.JWTClaimsRegistry(exp={"essential": True}).validate(token.claims)


async def test_two_processes_that_start_at_once_make_one_key(
    settings: Settings, database_url: str, worker_name: str
) -> None:
    async def ring() -> KeyRing:
        async with database.transaction() as session:
            return await load_key_ring(session, SECRET)

    url = await make_database(settings.database_url, f"hub_keys_{worker_name}")
    database = Database(settings, url)
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.tables["signing_keys"].create)
    rings = await asyncio.gather(*(ring() for _ in range(4)))
    assert len({found.signing_kid for found in rings}) == 1
    async with database.transaction() as session:
        assert len((await session.execute(select(col(SigningKey.kid)))).all()) == 1
        with pytest.raises(ConfigurationError, match="HUB_SECRET_KEY is not the one"):
            await load_key_ring(session, SECRET[::-1])
    await database.dispose()
