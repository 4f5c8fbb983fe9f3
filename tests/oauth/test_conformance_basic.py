"""The 38 modules of the OpenID Foundation's `oidcc-basic-certification-test-plan`, by name.

The list is that of `OIDCCBasicTestPlan.java` in openid-certification/conformance-suite. Each test
does what its module checks, over HTTP, with one difference: the suite sends no PKCE but in its last
module, and this hub wants it of every client (docs/decisions/0008-oauth-provider.md). Where a
module is skipped or warns when a server leaves out what is optional, the test says what is true of
this one.
"""

import json
from base64 import b64encode
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from jose import jwt
from sqlalchemy import update
from sqlmodel import col

from backend_hub.auth.models import BrowserSession
from backend_hub.db import utcnow
from backend_hub.oauth.models import AuthorizationCode
from tests.hub import Hub
from tests.oauth.apps import CALLBACK, App, allow, bearer, register, scene, verify, works
from tests.oauth.browsing import Surfer, parameters, surfer_at

PLAN = [
    *("server", "response-type-missing", "idtoken-signature", "idtoken-unsigned", "userinfo-get"),
    *("userinfo-post-header", "userinfo-post-body"),
    *("ensure-request-without-nonce-succeeds-for-code-flow", "scope-profile", "scope-email"),
    *("scope-address", "scope-phone", "scope-all", "ensure-other-scope-order-succeeds"),
    *("display-page", "display-popup", "prompt-login", "prompt-none-not-logged-in"),
    *("prompt-none-logged-in", "max-age-1", "max-age-10000"),
    *("ensure-request-with-unknown-parameter-succeeds", "id-token-hint", "login-hint"),
    *("ui-locales", "claims-locales", "ensure-request-with-acr-values-succeeds", "codereuse"),
    *("codereuse-30seconds", "ensure-registered-redirect-uri", "ensure-post-request-succeeds"),
    "server-client-secret-post",
    "request-uri-unsigned-supported-correctly-or-rejected-as-unsupported",
    "unsigned-request-object-supported-correctly-or-rejected-as-unsupported",
    *("claims-essential", "ensure-request-object-with-redirect-uri", "refresh-token"),
    "ensure-request-with-valid-pkce-succeeds",
]
STATE, NONCE = "sTaTe-1", "nOnCe-1"


def test_every_module_of_the_plan_has_its_test() -> None:
    mirrored = {name.removeprefix("test_oidcc_") for name in globals() if "test_oidcc_" in name}
    assert mirrored == {name.replace("-", "_") for name in PLAN}
    assert len(PLAN) == 38


class Suite:
    """The suite's confidential client at the hub, and a person at its browser."""

    def __init__(self, hub: Hub, app: App, browser: Surfer) -> None:
        self.hub, self.app, self.browser = hub, app, browser

    def asks(self, **changes: str | None) -> str:
        plain: dict[str, str | None] = {"scope": "openid", "state": STATE, "nonce": NONCE}
        return self.app.asks(**(plain | changes))

    async def succeeds(self, **changes: str | None) -> dict[str, Any]:
        """The authorization succeeds; the tokens that the code gives, checked."""
        answer = await allow(self.browser, self.asks(**changes))
        return await self.redeems(answer, nonce=changes.get("nonce", NONCE))

    async def redeems(self, answer: httpx.Response, nonce: str | None = NONCE) -> dict[str, Any]:
        found = parameters(answer)
        assert (found["state"], "error" in found) == (STATE, False)
        assert found["iss"] == (await self.metadata())["issuer"]
        redeemed = await self.redeem(found["code"])
        assert redeemed.status_code == 200, redeemed.text
        assert redeemed.headers["Cache-Control"] == "no-store"
        assert redeemed.headers["Content-Type"].startswith("application/json")
        tokens: dict[str, Any] = redeemed.json()
        assert tokens["token_type"] == "Bearer"
        assert tokens["expires_in"] > 0
        assert (await self.claims(tokens)).get("nonce") == nonce
        return tokens

    async def redeem(self, code: str) -> httpx.Response:
        """With `client_secret_basic`."""
        form = {"client_id": "-", "client_secret": "-"}
        data = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": self.app.verifier,
        }
        return await self.post(data | form)

    async def post(self, data: dict[str, str]) -> httpx.Response:
        pair = f"{quote(self.app.id)}:{quote(self.app.secret or '')}".encode()
        headers = {"Authorization": f"Basic {b64encode(pair).decode()}"}
        sent = {name: value for name, value in data.items() if value != "-"}
        return await self.hub.client.post("/oauth/token", data=sent, headers=headers)

    async def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = (
            await self.hub.client.get("/.well-known/openid-configuration")
        ).json()
        return found

    async def claims(self, tokens: dict[str, Any]) -> dict[str, Any]:
        """The claims of the ID token, after every check of OpenID Connect Core 3.1.3.7."""
        metadata = await self.metadata()
        keys = (await self.hub.client.get("/.well-known/jwks.json")).json()
        header = jwt.get_unverified_header(tokens["id_token"])
        assert header["alg"] in metadata["id_token_signing_alg_values_supported"]
        assert header["kid"] in {key["kid"] for key in keys["keys"]}
        required = ("at_hash", "aud", "exp", "iat", "iss", "sub")
        claims: dict[str, Any] = jwt.decode(
            tokens["id_token"],
            keys,
            algorithms=["RS256"],
            audience=self.app.id,
            issuer=metadata["issuer"],
            access_token=tokens["access_token"],
            options={f"require_{name}": True for name in required},
        )
        assert abs(claims["iat"] - utcnow().timestamp()) < 60
        assert 0 < len(claims["sub"]) < 256
        return claims

    async def userinfo(self, tokens: dict[str, Any]) -> dict[str, Any]:
        headers = bearer(tokens["access_token"])
        answer = await self.hub.client.get("/oauth/userinfo", headers=headers)
        return await self.told(answer, tokens)

    async def told(self, answer: httpx.Response, tokens: dict[str, Any]) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("application/json")
        told: dict[str, Any] = answer.json()
        assert told["sub"] == (await self.claims(tokens))["sub"]
        assert None not in told.values()
        return told


@pytest.fixture
async def suite(hub: Hub) -> Suite:
    scopes = ["openid", "profile", "email", "offline_access"]
    app, browser, _ = await scene(hub, type="web", scopes=scopes)
    return Suite(hub, app, browser)


async def test_oidcc_server(suite: Suite) -> None:
    tokens = await suite.succeeds()
    assert await works(suite.hub, tokens["access_token"])


async def test_oidcc_response_type_missing(suite: Suite) -> None:
    """Either a page or a redirect with one of two errors."""
    answer = await suite.browser.visit(suite.asks(response_type=None))
    found = parameters(answer) if answer.status_code == 303 else {"error": "a page"}
    assert answer.status_code in {303, 400}
    assert found["error"] in {"unsupported_response_type", "invalid_request", "a page"}
    assert "code" not in found


async def test_oidcc_idtoken_signature(suite: Suite) -> None:
    header = jwt.get_unverified_header((await suite.succeeds())["id_token"])
    assert header["alg"] == "RS256"
    assert header["kid"]


async def test_oidcc_idtoken_unsigned(suite: Suite) -> None:
    """Skipped there when the metadata does not offer `none`."""
    assert "none" not in (await suite.metadata())["id_token_signing_alg_values_supported"]
    assert jwt.get_unverified_header((await suite.succeeds())["id_token"])["alg"] == "RS256"


async def test_oidcc_userinfo_get(suite: Suite) -> None:
    assert await suite.userinfo(await suite.succeeds())


async def test_oidcc_userinfo_post_header(suite: Suite) -> None:
    tokens = await suite.succeeds()
    headers = bearer(tokens["access_token"])
    answer = await suite.hub.client.post("/oauth/userinfo", headers=headers)
    assert await suite.told(answer, tokens)


async def test_oidcc_userinfo_post_body(suite: Suite) -> None:
    """RFC 6750 section 2.2: in the form and nowhere else."""
    tokens = await suite.succeeds()
    form = {"access_token": tokens["access_token"]}
    post = suite.hub.client.post
    assert await suite.told(await post("/oauth/userinfo", data=form), tokens)
    twice = await post("/oauth/userinfo", data=form, headers=bearer(tokens["access_token"]))
    assert (twice.status_code, twice.json()["code"]) == (400, "invalid_request")
    assert (await post("/oauth/userinfo", data={"access_token": "x"})).status_code == 401
    assert (await post("/oauth/userinfo", json=form)).status_code == 401
    assert (await post("/oauth/userinfo", params=form)).status_code == 401
    assert (await post("/api/v1/auth/sign-out", data=form)).status_code == 401


async def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(suite: Suite) -> None:
    assert await suite.succeeds(nonce=None)


async def test_oidcc_scope_profile(suite: Suite) -> None:
    told = await suite.userinfo(await suite.succeeds(scope="openid profile"))
    assert set(told) == {"sub", "name", "preferred_username"}


async def test_oidcc_scope_email(suite: Suite) -> None:
    told = await suite.userinfo(await suite.succeeds(scope="openid email"))
    assert set(told) == {"sub", "email", "email_verified"}
    assert told["email_verified"] is False


@pytest.mark.parametrize("name", ["address"])
async def test_oidcc_scope_address(suite: Suite, name: str) -> None:
    """Skipped there when the metadata does not offer the scope; here it is left out."""
    assert name not in (await suite.metadata())["scopes_supported"]
    tokens = await suite.succeeds(scope=f"openid {name}")
    assert tokens["scope"] == "openid"
    assert set(await suite.userinfo(tokens)) == {"sub"}


async def test_oidcc_scope_phone(suite: Suite) -> None:
    await test_oidcc_scope_address(suite, "phone")


async def test_oidcc_scope_all(suite: Suite) -> None:
    tokens = await suite.succeeds(scope="openid profile email address phone")
    assert set(tokens["scope"].split()) == {"openid", "profile", "email"}
    told = await suite.userinfo(tokens)
    assert set(told) == {"sub", "name", "preferred_username", "email", "email_verified"}


async def test_oidcc_ensure_other_scope_order_succeeds(suite: Suite) -> None:
    assert "email" in await suite.userinfo(await suite.succeeds(scope="email openid"))


async def test_oidcc_display_page(suite: Suite) -> None:
    assert await suite.succeeds(display="page")


async def test_oidcc_display_popup(suite: Suite) -> None:
    assert await suite.succeeds(display="popup")


async def second_sign_in(suite: Suite, **changes: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The claims of two ID tokens; the second request must ask the person to sign in again."""
    first = await suite.claims(await suite.succeeds(**changes_of_first(changes)))
    earlier = utcnow() - timedelta(seconds=100)
    async with suite.hub.database.transaction() as session:
        await session.execute(update(BrowserSession).values(created_at=earlier))
    asked = await suite.browser.visit(suite.asks(**changes))
    assert asked.headers["Location"].startswith("/sign-in?")
    target = parameters(asked)["next"]
    await suite.browser.sign_in("ann", target)
    second = await suite.claims(await suite.redeems(await allow(suite.browser, target)))
    assert second["sub"] == first["sub"]
    assert second["auth_time"] > earlier.timestamp() + 50
    return first, second


def changes_of_first(changes: dict[str, str]) -> dict[str, str]:
    """A first request that does not ask to sign in again."""
    return {"max_age": "15000"} if "max_age" in changes else {}


async def test_oidcc_prompt_login(suite: Suite) -> None:
    await second_sign_in(suite, prompt="login")


async def test_oidcc_prompt_none_not_logged_in(suite: Suite) -> None:
    stranger = surfer_at(suite.hub)
    found = parameters(await stranger.visit(suite.asks(prompt="none")))
    assert (found["error"], found["state"]) == ("login_required", STATE)


async def test_oidcc_prompt_none_logged_in(suite: Suite) -> None:
    """Of an app that an admin verified: others ask each time."""
    await verify(suite.hub, suite.app)
    first = await suite.claims(await suite.succeeds())
    answer = await suite.browser.visit(suite.asks(prompt="none"))
    second = await suite.claims(await suite.redeems(answer))
    assert [second[name] for name in ("sub", "auth_time")] == [
        first[name] for name in ("sub", "auth_time")
    ]


async def test_oidcc_max_age_1(suite: Suite) -> None:
    first, second = await second_sign_in(suite, max_age="1")
    assert second["auth_time"] >= first["auth_time"]


async def test_oidcc_max_age_10000(suite: Suite) -> None:
    first = await suite.claims(await suite.succeeds())
    second = await suite.claims(await suite.succeeds(max_age="10000"))
    assert second["auth_time"] == first["auth_time"]


async def test_oidcc_ensure_request_with_unknown_parameter_succeeds(suite: Suite) -> None:
    assert await suite.succeeds(extra="foobar")


async def test_oidcc_id_token_hint(suite: Suite) -> None:
    await verify(suite.hub, suite.app)
    tokens = await suite.succeeds()
    hinted = suite.asks(prompt="none", id_token_hint=tokens["id_token"])
    again = await suite.redeems(await suite.browser.visit(hinted))
    assert (await suite.claims(again))["sub"] == (await suite.claims(tokens))["sub"]


async def test_oidcc_login_hint(suite: Suite) -> None:
    stranger = surfer_at(suite.hub)
    asked = await stranger.visit(suite.asks(login_hint="ann@example.org"))
    page = await stranger.visit(asked.headers["Location"])
    assert 'value="ann@example.org"' in page.text
    assert await suite.succeeds(login_hint="ann")


async def test_oidcc_ui_locales(suite: Suite) -> None:
    assert await suite.succeeds(ui_locales="se")


async def test_oidcc_claims_locales(suite: Suite) -> None:
    assert await suite.succeeds(claims_locales="se")


async def test_oidcc_ensure_request_with_acr_values_succeeds(suite: Suite) -> None:
    """A warning there: `acr` may be left out, and the hub has no levels to tell of."""
    assert "acr_values_supported" not in await suite.metadata()
    tokens = await suite.succeeds(acr_values="1 2")
    assert "acr" not in await suite.claims(tokens)


async def code_used_twice(suite: Suite, seconds: int) -> None:
    code = parameters(await allow(suite.browser, suite.asks()))["code"]
    tokens = (await suite.redeem(code)).json()
    assert await works(suite.hub, tokens["access_token"])
    async with suite.hub.database.transaction() as session:
        then = col(AuthorizationCode.created_at) - timedelta(seconds=seconds)
        await session.execute(update(AuthorizationCode).values(created_at=then))
    again = await suite.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert not await works(suite.hub, tokens["access_token"])


async def test_oidcc_codereuse(suite: Suite) -> None:
    await code_used_twice(suite, 0)


async def test_oidcc_codereuse_30seconds(suite: Suite) -> None:
    await code_used_twice(suite, 30)


async def test_oidcc_ensure_registered_redirect_uri(suite: Suite) -> None:
    answer = await suite.browser.visit(suite.asks(redirect_uri=f"{CALLBACK}/unregistered"))
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


async def test_oidcc_ensure_post_request_succeeds(suite: Suite) -> None:
    query = suite.asks().partition("?")[2]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    page = await suite.browser.client.post("/oauth/authorize", content=query, headers=kind)
    answer = await suite.browser.send(page, "/oauth/consent", decision="allow")
    assert await suite.redeems(answer)


async def test_oidcc_server_client_secret_post(suite: Suite) -> None:
    code = parameters(await allow(suite.browser, suite.asks()))["code"]
    redeemed = await suite.app.redeem(code)
    assert redeemed.status_code == 200
    assert (await suite.claims(redeemed.json()))["nonce"] == NONCE


def unsigned(**claims: str) -> str:
    parts = [json.dumps({"alg": "none"}), json.dumps(claims)]
    return ".".join(b64encode(part.encode()).decode().rstrip("=") for part in parts) + "."


async def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(
    suite: Suite,
) -> None:
    assert (await suite.metadata())["request_uri_parameter_supported"] is False
    asked = suite.asks(request_uri="https://app.example/request.jwt")
    found = parameters(await suite.browser.visit(asked))
    assert (found["error"], found["state"]) == ("request_uri_not_supported", STATE)


async def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(
    suite: Suite,
) -> None:
    assert (await suite.metadata())["request_parameter_supported"] is False
    asked = suite.asks(request=unsigned(state="another"))
    found = parameters(await suite.browser.visit(asked))
    assert (found["error"], found["state"]) == ("request_not_supported", STATE)


async def test_oidcc_claims_essential(suite: Suite) -> None:
    """The hub grants claims by scope: a claim that is asked for brings the scope that holds it."""
    claims = json.dumps({"userinfo": {"name": {"essential": True}}})
    tokens = await suite.succeeds(claims=claims)
    assert tokens["scope"] == "openid profile"
    assert "name" in await suite.userinfo(tokens)
    assert "name" not in await suite.claims(tokens)
    narrow = await register(suite.hub, await suite.hub.sign_in("ann"), scopes=["openid"])
    narrow_tokens = await narrow.tokens(suite.browser, scope="openid", claims=claims)
    assert narrow_tokens["scope"] == "openid"
    for wrong in ("{", "[]", "[" * 3_000, '"name"'):
        found = parameters(await suite.browser.visit(suite.asks(claims=wrong)))
        assert (found["error"], found["state"]) == ("invalid_request", STATE)


async def test_oidcc_ensure_request_object_with_redirect_uri(suite: Suite) -> None:
    """Of a server that reads request objects the one inside holds; this one sends nobody there."""
    foreign = "https://evil.example/callback"
    inside = unsigned(redirect_uri=foreign, client_id=suite.app.id)
    found = await suite.browser.visit(suite.asks(request=inside))
    assert found.headers["Location"].startswith(f"{CALLBACK}?")
    assert parameters(found)["error"] == "request_not_supported"
    outside = await suite.browser.visit(suite.asks(request=inside, redirect_uri=foreign))
    assert (outside.status_code, "Location" in outside.headers) == (400, False)


async def test_oidcc_refresh_token(suite: Suite) -> None:
    assert "refresh_token" in (await suite.metadata())["grant_types_supported"]
    first = await suite.succeeds(scope="openid offline_access", prompt="consent")
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = (await suite.post(form)).json()
    assert second["access_token"] != first["access_token"]
    assert await works(suite.hub, second["access_token"])
    if "id_token" in second:  # it may be left out (Core 12.2), and is
        assert (await suite.claims(second))["sub"] == (await suite.claims(first))["sub"]
    other = await register(suite.hub, await suite.hub.sign_in("ann"), type="web")
    refused = await other.refresh(second["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


async def test_oidcc_ensure_request_with_valid_pkce_succeeds(suite: Suite) -> None:
    assert "S256" in (await suite.metadata())["code_challenge_methods_supported"]
    code = parameters(await allow(suite.browser, suite.asks()))["code"]
    wrong = await suite.app.redeem(code, code_verifier="x" * 43)
    assert wrong.json()["error"] == "invalid_grant"
    assert (await suite.redeem(code)).status_code == 200
