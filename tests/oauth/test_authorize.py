"""Asking for a code. Numbers are those of the promises in docs/identity.md."""

import re
from datetime import timedelta
from typing import Any

import pytest
from jose import jwt
from sqlalchemy import update

from backend_hub.auth.models import BrowserSession
from backend_hub.db import utcnow
from tests.hub import Hub
from tests.oauth.apps import CALLBACK, SCOPES, allow, register, scene, verify
from tests.oauth.browsing import hidden_fields, parameters, surfer_at


@pytest.mark.parametrize(
    "uri",
    [
        *("https://app.example/Callback", "https://APP.example/callback", f"{CALLBACK}/"),
        *("https://app.example:443/callback", f"{CALLBACK}?a=1", f"{CALLBACK}#x"),
        *("https://app.example/x/../callback", "https://ann@app.example/callback"),
        *("http://app.example/callback", "https://app.example.evil.example/callback"),
        *("javascript:alert(1)", "", '"><script>', "https://app.example/callback\x00"),
    ],
)
async def test_01_another_redirect_uri_is_a_page_and_no_redirect(hub: Hub, uri: str) -> None:
    app, browser, _ = await scene(hub)
    assert (await browser.visit(app.asks())).status_code == 200
    answer = await browser.visit(app.asks(redirect_uri=uri))
    assert (answer.status_code, "Location" in answer.headers) == (400, False)
    assert "did not ask correctly" in answer.text
    assert "<script" not in answer.text


@pytest.mark.parametrize("client_id", ["nobody", "", "\x00", "x" * 200, "é", None])
async def test_02_an_unknown_client_is_a_page(hub: Hub, client_id: str | None) -> None:
    app, browser, _ = await scene(hub)
    answer = await browser.visit(app.asks(client_id=client_id))
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


@pytest.mark.parametrize("client_type", ["spa", "native", "web"])
@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge": "short"},
    ],
)
async def test_03_every_client_needs_s256(
    hub: Hub, client_type: str, changes: dict[str, str | None]
) -> None:
    """Promise 20 too: no code is ever without a challenge, the database sees to it."""
    app, browser, _ = await scene(hub, type=client_type)
    found = parameters(await browser.visit(app.asks(**changes)))
    assert (found["error"], found["state"]) == ("invalid_request", "a b&c=%41+~")
    assert "code" in parameters(await allow(browser, app.asks()))


@pytest.mark.parametrize("response_type", ["token", "id_token", "code token", "code id_token", "é"])
async def test_04_other_response_types_are_refused(hub: Hub, response_type: str) -> None:
    app, browser, _ = await scene(hub)
    answer = await browser.visit(app.asks(response_type=response_type))
    if response_type == "é":
        assert answer.status_code == 400
    else:
        assert parameters(answer)["error"] == "unsupported_response_type"


@pytest.mark.parametrize(
    "name", ["client_id", "redirect_uri", "scope", "state", "code_challenge", "nonce", "prompt"]
)
async def test_05_a_duplicated_parameter_is_refused(hub: Hub, name: str) -> None:
    app, browser, _ = await scene(hub)
    answer = await browser.visit(f"{app.asks(nonce='n', prompt='consent')}&{name}=again")
    assert (answer.status_code, "invalid_request" in answer.text) == (400, True)


async def test_06_07_answers_name_the_issuer_and_return_the_state(hub: Hub) -> None:
    """Promises 6 and 7: also on errors."""
    app, browser, _ = await scene(hub)
    issuer = (await hub.client.get("/.well-known/openid-configuration")).json()["issuer"]
    for answer in (
        await allow(browser, app.asks()),
        await allow(browser, app.asks(), "deny"),
        await browser.visit(app.asks(scope="nothing:known")),
        await browser.visit(app.asks(prompt="none")),
        await browser.visit(app.asks(response_type="token")),
    ):
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith(f"{CALLBACK}?")
        found = parameters(answer)
        assert (found["iss"], found["state"]) == (issuer, "a b&c=%41+~")
        assert ("code" in found) != ("error" in found)
    assert found["error"] == "unsupported_response_type"


async def test_refusing_consent_says_so_to_the_app(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    found = parameters(await allow(browser, app.asks(), "deny"))
    assert (found["error"], "code" in found) == ("access_denied", False)


async def test_08_prompt_none_never_shows_a_page(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    await verify(hub, app)
    stranger = surfer_at(hub)
    asked = app.asks(prompt="none")
    assert parameters(await stranger.visit(asked))["error"] == "login_required"
    assert parameters(await browser.visit(asked))["error"] == "consent_required"
    await allow(browser, app.asks())
    assert "code" in parameters(await browser.visit(asked))
    both = await browser.visit(app.asks(prompt="none login"))
    assert parameters(both)["error"] == "invalid_request"


async def test_09_max_age_asks_to_sign_in_again_and_auth_time_advances(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    claims = jwt.get_unverified_claims((await app.tokens(browser))["id_token"])
    earlier = utcnow() - timedelta(seconds=100)
    for changes in ({"max_age": "1"}, {"max_age": "0"}, {"prompt": "login"}):
        async with hub.database.transaction() as session:
            await session.execute(update(BrowserSession).values(created_at=earlier))
        assert (await browser.visit(app.asks(max_age="1000"))).status_code == 200
        asked = await browser.visit(app.asks(**changes))
        target = parameters(asked)["next"]
        assert asked.headers["Location"].startswith("/sign-in?")
        back = await browser.sign_in("ann", target)
        assert back.headers["Location"] == target
        code = parameters(await allow(browser, target))["code"]
        again = jwt.get_unverified_claims((await app.redeem(code)).json()["id_token"])
        assert again["auth_time"] >= claims["auth_time"]
        assert again["auth_time"] > earlier.timestamp() + 90


async def test_signing_in_on_the_way_leads_on_to_the_app(hub: Hub) -> None:
    app, _, _ = await scene(hub)
    browser = surfer_at(hub)
    asked = await browser.visit(app.asks(login_hint="ann"))
    page = await browser.visit(asked.headers["Location"])
    assert 'value="ann"' in page.text
    assert "form-action 'self' https://app.example;" in page.headers["Content-Security-Policy"]
    target = parameters(asked)["next"]
    await browser.sign_in("ann", target)
    assert "code" in parameters(await allow(browser, target))


async def test_10_consent_without_this_sessions_token_is_refused(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    await hub.person("eve")
    eve = surfer_at(hub)
    await eve.sign_in("eve")
    page, foreign = await browser.visit(app.asks()), await eve.visit(app.asks())
    form = {"decision": "allow"}
    for refused in (
        await browser.send(page, "/oauth/consent", **form, csrf=hidden_fields(foreign)["csrf"]),
        await browser.send(page, "/oauth/consent", **form, csrf=""),
        await browser.send(page, "/oauth/consent", {"Sec-Fetch-Site": "cross-site"}, **form),
    ):
        assert (refused.status_code, "Location" in refused.headers) == (403, False)
    assert (await browser.send(page, "/oauth/consent", **form)).status_code == 303


async def test_11_consent_refuses_framing(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    page = await browser.visit(app.asks())
    policy = page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://app.example;" in policy
    assert page.headers["X-Frame-Options"] == "DENY"


async def test_12_consent_cannot_exceed_the_scopes_of_the_app_or_of_the_person(hub: Hub) -> None:
    app, browser, _ = await scene(hub, scopes=["openid", "posts:write", "users:admin"])
    wide = "openid posts:write users:admin contributions:write address phone"
    page = await browser.visit(app.asks(scope=wide))
    words = re.search(r'<ul class="scopes">(.*?)</ul>', page.text, re.DOTALL)
    assert words is not None
    assert "Vote, comment and bookmark" in words[1]
    assert words[1].count("<li>") == 2
    widened = hidden_fields(page)["request"].replace("posts%3Awrite", "contributions%3Awrite")
    answer = await browser.send(page, "/oauth/consent", decision="allow", request=widened)
    tokens = (await app.redeem(parameters(answer)["code"])).json()
    assert set(tokens["scope"].split()) == {"openid"}
    assert set((await app.tokens(browser, scope=wide))["scope"].split()) == {
        "openid",
        "posts:write",
    }


async def test_13_a_new_scope_asks_again_and_unverified_apps_always_ask(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    for _time in range(2):
        assert (await browser.visit(app.asks())).status_code == 200
        await allow(browser, app.asks())
    await verify(hub, app)
    assert (await browser.visit(app.asks())).status_code == 303
    assert (await browser.visit(app.asks(scope="openid"))).status_code == 303
    wider = app.asks(scope="openid posts:write questions:write")
    assert (await browser.visit(wider)).status_code == 200
    await allow(browser, wider)
    assert (await browser.visit(wider)).status_code == 303
    assert (await browser.visit(app.asks(prompt="consent"))).status_code == 200


@pytest.mark.parametrize(
    ("client_type", "uri", "allowed"),
    [
        ("spa", "javascript:alert(1)", False),
        ("native", "javascript:alert(1)", False),
        ("native", "data:text/html,x", False),
        ("spa", "https://app.example/#done", False),
        ("native", "com.example.app:/cb#x", False),
        ("spa", "http://app.example/cb", False),
        ("spa", "https://*.example/cb", False),
        ("web", "https://ann@app.example/cb", False),
        ("web", "https://app.example/a/../cb", False),
        ("spa", "com.example.app:/cb", False),
        ("native", "myapp:/cb", False),
        ("web", "https:///cb", False),
        ("spa", "https://app.example/cb?keep=1", True),
        ("native", "com.example.app:/cb", True),
        ("native", "http://127.0.0.1/cb", True),
        ("spa", "http://localhost:5173/cb", True),
    ],
)
async def test_15_dangerous_redirect_uris_are_refused_at_registration(
    hub: Hub, client_type: str, uri: str, allowed: bool
) -> None:
    form = {"name": "A", "type": client_type, "redirect_uris": [uri], "scopes": SCOPES}
    answer = await (await hub.person("olga")).post("/oauth/clients", form)
    assert answer.status_code == (201 if allowed else 422), answer.text


async def test_15_loopback_ports_float_for_native_apps_only(hub: Hub) -> None:
    uri = "http://127.0.0.1/cb"
    app, browser, _ = await scene(hub, type="native", redirect_uris=[uri])
    spa = await register(hub, await hub.person("otto"), redirect_uris=[uri])
    floating = "http://127.0.0.1:49152/cb"
    assert (await browser.visit(app.asks(redirect_uri=floating))).status_code == 200
    assert (await browser.visit(spa.asks(redirect_uri=floating))).status_code == 400
    for other in ("http://127.0.0.2:49152/cb", "http://localhost:49152/cb", f"{floating}/x"):
        assert (await browser.visit(app.asks(redirect_uri=other))).status_code == 400
    app.redirect_uri = floating
    tokens = await app.tokens(browser)
    assert tokens["token_type"] == "Bearer"


async def test_45_the_host_header_cannot_change_the_issuer(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    for path in ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"):
        for headers in ({"X-Forwarded-Host": "evil.example"}, {"Host": "testserver:1234"}):
            document = (await hub.client.get(path, headers=headers)).json()
            assert "evil" not in str(document)
            assert document["issuer"] == "http://testserver"
            assert document["token_endpoint"] == "http://testserver/oauth/token"
    page = await browser.visit(app.asks())
    answer = await browser.send(
        page,
        "/oauth/consent",
        {"Sec-Fetch-Site": "same-origin", "X-Forwarded-Host": "evil.example"},
        decision="allow",
    )
    assert parameters(answer)["iss"] == "http://testserver"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "https://app.example/r"}, "request_uri_not_supported"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"prompt": "sing"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"nonce": "n" * 501}, "invalid_request"),
        ({"scope": "address phone"}, "invalid_scope"),
    ],
)
async def test_what_the_hub_does_not_do_is_said_to_the_app(
    hub: Hub, changes: dict[str, Any], error: str
) -> None:
    app, browser, _ = await scene(hub)
    assert parameters(await browser.visit(app.asks(**changes)))["error"] == error


async def test_a_request_may_be_posted(hub: Hub) -> None:
    """OpenID Connect Core 3.1.2.1: the endpoint takes GET and POST."""
    app, browser, _ = await scene(hub)
    query = app.asks().partition("?")[2]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    page = await browser.client.post("/oauth/authorize", content=query, headers=form)
    answer = await browser.send(page, "/oauth/consent", decision="allow")
    assert "code" in parameters(answer)
