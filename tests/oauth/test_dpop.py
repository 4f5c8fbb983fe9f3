"""DPoP (RFC 9449): tokens that are worth nothing without a key. Promise 40."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from jose import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import func, select, update
from sqlmodel import col

from backend_hub.app import create_app, lifespan
from backend_hub.auth.models import UsedProof
from backend_hub.auth.proofs import ALGORITHMS, purge_used_proofs
from backend_hub.db import utcnow
from backend_hub.settings import Settings
from tests.conftest import http_client
from tests.hub import Hub
from tests.oauth.apps import App, bearer, register, scene
from tests.oauth.browsing import Surfer, parameters
from tests.oauth.proving import ISSUER, Prover, make_key, segment

ME, TOKEN, USERINFO = "/api/v1/users/me", "/oauth/token", "/oauth/userinfo"


async def post(app: App, form: dict[str, str], headers: dict[str, str]) -> httpx.Response:
    fields = {"client_id": app.id, **form}
    if app.secret is not None:
        fields["client_secret"] = app.secret
    return await app.hub.client.post(TOKEN, data=fields, headers=headers)


async def redeem(app: App, browser: Surfer, prover: Prover, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": await app.code(browser, scope="openid posts:write users:write", **changes),
        "redirect_uri": app.redirect_uri,
        "code_verifier": app.verifier,
    }
    return await post(app, form, prover.proof("POST", TOKEN))


async def refresh(app: App, token: str, headers: dict[str, str]) -> httpx.Response:
    return await post(app, {"grant_type": "refresh_token", "refresh_token": token}, headers)


async def bound(hub: Hub, prover: Prover | None = None) -> tuple[App, Prover, dict[str, Any]]:
    """An app in a browser, its key, and Ann's tokens that are bound to it."""
    app, browser, _ = await scene(hub, scopes=["openid", "posts:write", "users:write"])
    prover = prover or Prover()
    answer = await redeem(app, browser, prover)
    assert answer.status_code == 200, answer.text
    return app, prover, answer.json()


def refused(answer: httpx.Response, code: str, status: int = 401) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("DPoP algs=")
    assert "ES256" in challenge
    assert f'error="{code}"' in challenge


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_that_is_bound_to_a_key_works_with_proofs_of_it(
    hub: Hub, algorithm: str
) -> None:
    prover = Prover(algorithm, make_key(algorithm))
    _, _, tokens = await bound(hub, prover)
    assert tokens["token_type"] == "DPoP"
    assert jwt.get_unverified_claims(tokens["access_token"])["cnf"] == {"jkt": prover.jkt}
    token = tokens["access_token"]
    me = await prover.call(hub, token)
    assert (me.status_code, me.json()["username"]) == (200, "ann")
    assert (await prover.call(hub, token, USERINFO)).status_code == 200
    assert (await prover.call(hub, token, USERINFO, "POST")).status_code == 200
    assert (await prover.call(hub, token, ME, "HEAD")).status_code == 200
    metadata = (await hub.client.get("/.well-known/openid-configuration")).json()
    assert algorithm in metadata["dpop_signing_alg_values_supported"]


async def test_40_a_bound_token_is_nothing_without_its_key(hub: Hub) -> None:
    _, prover, tokens = await bound(hub)
    token = tokens["access_token"]
    refused(await hub.client.get(ME, headers=bearer(token)), "invalid_token")
    refused(await hub.client.post(USERINFO, data={"access_token": token}), "invalid_token")
    unproven = {"Authorization": f"DPoP {token}"}
    refused(await hub.client.get(ME, headers=unproven), "invalid_dpop_proof")
    refused(await Prover().call(hub, token), "invalid_token")
    both = [("Authorization", f"DPoP {token}")]
    both += [("DPoP", prover.proof("GET", ME, token)["DPoP"]) for _ in range(2)]
    refused(await hub.client.get(ME, headers=both), "invalid_dpop_proof")
    assert (await prover.call(hub, token)).status_code == 200


async def test_a_token_without_a_key_is_sent_as_bearer(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    token = (await app.tokens(browser))["access_token"]
    refused(await Prover().call(hub, token), "invalid_token")
    assert (await hub.client.get(ME, headers=bearer(token))).status_code == 200


async def test_40_a_replayed_dpop_proof_is_refused(hub: Hub) -> None:
    _, prover, tokens = await bound(hub)
    token = tokens["access_token"]
    headers = {"Authorization": f"DPoP {token}", **prover.proof("GET", ME, token)}
    assert (await hub.client.get(ME, headers=headers)).status_code == 200
    refused(await hub.client.get(ME, headers=headers), "invalid_dpop_proof")
    same_jti = prover.proof("GET", ME, token, jti="again")
    for proof, status in ((same_jti, 200), (prover.proof("GET", ME, token, jti="again"), 401)):
        headers = {"Authorization": f"DPoP {token}", **proof}
        assert (await hub.client.get(ME, headers=headers)).status_code == status


async def test_40_a_proof_replayed_side_by_side_or_at_another_worker_is_refused(
    live: Hub, settings: Settings, database_url: str
) -> None:
    _, prover, tokens = await bound(live)
    second = create_app(settings.model_copy(update={"database_url": database_url}))
    async with lifespan(second), http_client(second) as client:
        token = tokens["access_token"]
        for _round in range(3):
            headers = {"Authorization": f"DPoP {token}", **prover.proof("GET", ME, token)}
            workers = [live.client, client] * 3
            answers = await asyncio.gather(*(w.get(ME, headers=headers) for w in workers))
            assert sorted(answer.status_code for answer in answers) == [200] + [401] * 5


@pytest.mark.parametrize(
    "changes",
    [
        {"htm": "POST"},
        {"htm": "get"},
        {"htm": None},
        {"htu": f"{ISSUER}/api/v1/users/you"},
        {"htu": "https://testserver/api/v1/users/me"},
        {"htu": "http://evil.example/api/v1/users/me"},
        {"htu": "http://ann@testserver/api/v1/users/me"},
        {"htu": ME},
        {"htu": "http://testserver:99999/api/v1/users/me"},
        {"htu": None},
        {"ath": "x"},
        {"ath": None},
        {"ath": 1},
        {"iat": 1_000_000_000},
        {"iat": 4_000_000_000},
        {"iat": 10**400},
        {"iat": True},
        {"iat": "now"},
        {"iat": None},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 257},
        {"jti": 1},
    ],
)
async def test_40_a_proof_of_something_else_is_refused(hub: Hub, changes: dict[str, Any]) -> None:
    _, prover, tokens = await bound(hub)
    token = tokens["access_token"]
    proof = prover.proof("GET", ME, token, **changes)
    headers = {"Authorization": f"DPoP {token}", **proof}
    refused(await hub.client.get(ME, headers=headers), "invalid_dpop_proof")
    assert (await prover.call(hub, token)).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"htu": f"{ISSUER}{ME}?a=1#b"},
        {"htu": f"HTTP://TESTSERVER:80{ME}"},
        {"htu": f"{ISSUER}/api/v1/users/%6De"},
    ],
)
async def test_a_proof_may_be_spelled_in_other_ways(hub: Hub, changes: dict[str, Any]) -> None:
    _, prover, tokens = await bound(hub)
    token = tokens["access_token"]
    headers = {"Authorization": f"DPoP {token}", **prover.proof("GET", ME, token, **changes)}
    assert (await hub.client.get(ME, headers=headers)).status_code == 200


async def test_a_proof_counts_for_a_while_after_it_was_made(hub: Hub) -> None:
    _, prover, tokens = await bound(hub)
    token = tokens["access_token"]
    proof = prover.proof("GET", ME, token, iat=time.time() - 20.5)
    headers = {"Authorization": f"DPoP {token}", **proof}
    assert (await hub.client.get(ME, headers=headers)).status_code == 200


async def test_45_the_host_header_cannot_change_what_a_proof_is_for(hub: Hub) -> None:
    _, prover, tokens = await bound(hub)
    token = tokens["access_token"]
    evil = prover.proof("GET", ME, token, htu=f"http://evil.example{ME}")
    for proof, status in ((evil, 401), (prover.proof("GET", ME, token), 200)):
        headers = {"Authorization": f"DPoP {token}", "Host": "evil.example", **proof}
        assert (await hub.client.get(ME, headers=headers)).status_code == status


@pytest.mark.filterwarnings("ignore:Key size should be")
async def test_40_a_proof_whose_header_is_not_one_is_refused(hub: Hub) -> None:
    _, prover, tokens = await bound(hub)
    token = tokens["access_token"]
    secret = prover.key.as_dict(private=True)
    public = prover.public()
    small, slow = RSAKey.generate_key(1024), make_key("RS256").as_dict(private=False)
    slow["e"] = slow["n"]
    shared = Prover("HS256", make_key("HS256"))
    claims = prover.claims("GET", ME, token)
    none = {"typ": "dpop+jwt", "alg": "none", "jwk": public}
    unsigned = ".".join(segment(json.dumps(part).encode()) for part in (none, claims))
    bad = [
        prover.sign(claims, typ="JWT"),
        prover.sign(claims, typ=None),
        prover.sign(claims, jwk=secret),
        prover.sign(claims, jwk=None),
        prover.sign(claims, jwk={"kty": "EC", "crv": "P-256"}),
        prover.sign(claims, jwk=public | {"x": public["y"]}),
        prover.sign(claims, jwk=public | {"x": 1}),
        prover.sign(claims, jwk=public | {"crv": "P-384"}),
        prover.sign(claims, jwk=Prover().public()),
        prover.sign(claims, b64=True),
        prover.sign(claims, crit=["b64"]),
        Prover("RS256", small).sign(claims),
        prover.sign(claims, jwk=slow),
        prover.sign(claims)[:-4] + "AAAA",
        shared.sign(claims, jwk=shared.key.as_dict(private=True)),
        shared.sign(claims, jwk=public),
        *(f"{unsigned}.", f"{unsigned}.x", "", "x", "a.b.c", "." * 5, "é", "x" * 10_000),
        prover.sign("[]"),
        prover.sign("[" * 1_000),
        prover.sign("{"),
    ]
    for proof in bad:
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        raw = {name: value.encode("latin-1") for name, value in headers.items()}
        refused(await hub.client.get(ME, headers=raw), "invalid_dpop_proof")  # type: ignore[arg-type]
    assert (await prover.call(hub, token)).status_code == 200


async def test_40_the_token_endpoint_refuses_bad_and_used_proofs(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    prover = Prover()
    form = {
        "grant_type": "authorization_code",
        "code": await app.code(browser),
        "redirect_uri": app.redirect_uri,
        "code_verifier": app.verifier,
    }
    used = prover.proof("POST", TOKEN)
    assert (await post(app, form | {"code": "x"}, used)).json()["error"] == "invalid_grant"
    for proof in (
        used,
        {"DPoP": "x"},
        prover.proof("GET", TOKEN),
        prover.proof("POST", "/oauth/revoke"),
        prover.proof("POST", TOKEN, htu=f"http://evil.example{TOKEN}"),
    ):
        answer = await post(app, form, proof)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")
        assert answer.headers["Cache-Control"] == "no-store"
    assert (await post(app, form, prover.proof("POST", TOKEN))).status_code == 200


async def test_the_refresh_token_of_an_app_without_a_secret_is_bound_too(hub: Hub) -> None:
    app, prover, tokens = await bound(hub)
    token = tokens["refresh_token"]
    for headers in ({}, Prover().proof("POST", TOKEN)):
        answer = await refresh(app, token, headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    again = (await refresh(app, token, prover.proof("POST", TOKEN))).json()
    assert again["token_type"] == "DPoP"
    assert (await prover.call(hub, again["access_token"])).status_code == 200
    stolen = await refresh(app, again["refresh_token"], {})
    assert stolen.json()["error"] == "invalid_grant"
    last = await refresh(app, again["refresh_token"], prover.proof("POST", TOKEN))
    assert last.status_code == 200  # the thief's attempt ended nothing


async def test_an_app_with_a_secret_may_change_its_key(hub: Hub) -> None:
    app, browser, _ = await scene(hub, type="web", scopes=["openid", "posts:write", "users:write"])
    first, second = Prover(), Prover()
    tokens = (await redeem(app, browser, first)).json()
    again = await refresh(app, tokens["refresh_token"], second.proof("POST", TOKEN))
    token = again.json()["access_token"]
    refused(await first.call(hub, token), "invalid_token")
    assert (await second.call(hub, token)).status_code == 200


async def test_a_machine_binds_its_token(hub: Hub) -> None:
    olga = await hub.person("olga")
    app = await register(hub, olga, type="machine", redirect_uris=[], scopes=["posts:write"])
    prover = Prover()
    form = {"grant_type": "client_credentials"}
    tokens = (await post(app, form, prover.proof("POST", TOKEN))).json()
    assert tokens["token_type"] == "DPoP"
    assert (await prover.call(hub, tokens["access_token"])).json()["username"] == "olga"
    refused(await hub.client.get(ME, headers=bearer(tokens["access_token"])), "invalid_token")


async def test_a_code_can_be_bound_to_a_key_when_it_is_asked_for(hub: Hub) -> None:
    app, browser, _ = await scene(hub, scopes=["openid", "posts:write", "users:write"])
    prover = Prover()
    code = await app.code(browser, dpop_jkt=prover.jkt)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": app.redirect_uri,
        "code_verifier": app.verifier,
    }
    for headers in ({}, Prover().proof("POST", TOKEN)):
        assert (await post(app, form, headers)).json()["error"] == "invalid_grant"
    assert (await post(app, form, prover.proof("POST", TOKEN))).status_code == 200
    for wrong in ("", "short", "x" * 44, "é" * 43):
        answer = await browser.visit(app.asks(dpop_jkt=wrong))
        assert parameters(answer)["error"] == "invalid_request"


async def test_introspection_tells_of_the_key(hub: Hub) -> None:
    app, browser, _ = await scene(hub, type="web", scopes=["openid", "posts:write", "users:write"])
    prover = Prover()
    tokens = (await redeem(app, browser, prover)).json()
    form = {"token": tokens["access_token"], "client_id": app.id, "client_secret": app.secret}
    told = (await hub.client.post("/oauth/introspect", data=form)).json()
    assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": prover.jkt})


async def test_a_missing_scope_is_named_in_a_dpop_challenge(hub: Hub) -> None:
    _, prover, tokens = await bound(hub)
    answer = await prover.call(hub, tokens["access_token"], "/api/v1/oauth/clients")
    refused_by = answer.headers["WWW-Authenticate"]
    assert (answer.status_code, refused_by.startswith("DPoP")) == (403, True)
    assert 'scope="clients:write"' in refused_by


async def test_used_proofs_are_forgotten_once_they_have_expired(hub: Hub) -> None:
    _, prover, tokens = await bound(hub)
    token = tokens["access_token"]
    headers = {"Authorization": f"DPoP {token}", **prover.proof("GET", ME, token)}
    assert (await hub.client.get(ME, headers=headers)).status_code == 200
    count = select(func.count()).select_from(UsedProof)
    async with hub.database.transaction() as session:
        await purge_used_proofs(session)
        assert await session.scalar(count) == 2
        await session.execute(update(UsedProof).values({col(UsedProof.expires_at): utcnow()}))
        await purge_used_proofs(session)
        assert await session.scalar(count) == 0
