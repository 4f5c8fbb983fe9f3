"""Pushed requests (RFC 9126), resources (RFC 8707), hints. Numbers: docs/identity.md."""

from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from sqlalchemy import text, update
from sqlmodel import col

from backend_hub.auth.models import BrowserSession
from backend_hub.db import utcnow
from backend_hub.oauth.models import PushedRequest
from tests.hub import Hub
from tests.oauth.apps import CALLBACK, App, allow, register, scene, verify
from tests.oauth.browsing import hidden_fields, parameters, surfer_at
from tests.oauth.test_tokens import age, refused


async def push(app: App, **changes: str | None) -> httpx.Response:
    data = dict(parse_qsl(app.asks(**changes).partition("?")[2], keep_blank_values=True))
    if app.secret:
        data.setdefault("client_secret", app.secret)
    data = {name: value for name, value in data.items() if value != "-"}
    return await app.hub.client.post("/oauth/par", data=data)


async def pushed(app: App, **changes: str | None) -> str:
    """The address of a request that was pushed."""
    answer = await push(app, **changes)
    assert (answer.status_code, answer.json()["expires_in"]) == (201, 60), answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    query = {"client_id": app.id, "request_uri": answer.json()["request_uri"]}
    return f"/oauth/authorize?{urlencode(query)}"


@pytest.mark.parametrize("client_type", ["spa", "native", "web"])
async def test_a_pushed_request_leads_to_a_code(hub: Hub, client_type: str) -> None:
    app, browser, _ = await scene(hub, type=client_type)
    address = await pushed(app, nonce="n1")
    page = await browser.visit(address)
    assert "code_challenge" not in page.text, "nothing of it is in the browser"
    answer = await allow(browser, address)
    assert parameters(answer)["state"] == "a b&c=%41+~"
    tokens = await app.redeem(parameters(answer)["code"])
    assert tokens.json()["scope"] == "openid posts:write"


@pytest.mark.parametrize(("seconds", "status"), [(50, 200), (61, 400)])
async def test_a_pushed_request_waits_60_seconds(hub: Hub, seconds: int, status: int) -> None:
    app, browser, _ = await scene(hub)
    address = await pushed(app)
    await age(hub, col(PushedRequest.created_at), seconds)
    page = await browser.visit(address)
    assert (page.status_code, "Location" in page.headers) == (status, False)
    await age(hub, col(PushedRequest.created_at), 300)
    assert (await browser.visit(address)).status_code == status, "a page may be loaded again"
    await age(hub, col(PushedRequest.begun_at), 1_801)
    assert (await browser.visit(address)).status_code == 400


@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_an_answered_request_is_gone(hub: Hub, decision: str) -> None:
    app, browser, _ = await scene(hub)
    address = await pushed(app)
    page = await browser.visit(address)
    assert (await browser.send(page, "/oauth/consent", decision=decision)).status_code == 303
    for again in (
        await browser.send(page, "/oauth/consent", decision="allow"),
        await browser.visit(address),
    ):
        assert (again.status_code, "Location" in again.headers) == (400, False)
        assert "invalid_request_uri" in again.text


async def test_a_pushed_request_is_for_the_app_that_pushed_it(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    other = await register(hub, await hub.person("otto"))
    address = await pushed(app)
    for client_id in (other.id, "", "nobody"):
        stolen = address.replace(f"client_id={app.id}", f"client_id={client_id}")
        assert (await browser.visit(stolen)).status_code == 400
    without = address.replace(f"client_id={app.id}&", "")
    assert (await browser.visit(without)).status_code == 400
    assert (await browser.visit(f"{address}x")).status_code == 400
    assert (await browser.visit(address)).status_code == 200


async def test_what_the_address_adds_is_ignored(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    address = await pushed(app, scope="openid")
    extra = "&scope=openid+posts:write&redirect_uri=https://evil.example/&state=x&prompt=none"
    answer = await allow(browser, address + extra)
    assert answer.headers["Location"].startswith(f"{CALLBACK}?")
    assert parameters(answer)["state"] == "a b&c=%41+~"
    tokens = (await app.redeem(parameters(answer)["code"])).json()
    assert tokens["scope"] == "openid"


async def test_signing_in_on_the_way_keeps_it_pushed(hub: Hub) -> None:
    app, _, _ = await scene(hub)
    await verify(hub, app)
    browser = surfer_at(hub)
    for question in (True, False):
        sent = await browser.visit(await pushed(app, prompt="login", login_hint="ann"))
        page = await browser.visit(sent.headers["Location"])
        assert 'value="ann"' in page.text
        assert "form-action 'self' https://app.example;" in page.headers["Content-Security-Policy"]
        target = parameters(sent)["next"]
        assert "code_challenge" not in target
        before = await browser.visit(target)
        assert before.headers["Location"].startswith("/sign-in?"), "not signed in anew"
        await browser.sign_in("ann", target)
        assert (await browser.visit(target)).status_code == (200 if question else 303)
        if question:
            await allow(browser, target)


@pytest.mark.parametrize("changes", [{"max_age": "0"}, {"max_age": "1"}, {"prompt": "login"}])
async def test_09_a_pushed_request_can_ask_to_sign_in_again(
    hub: Hub, changes: dict[str, str | None]
) -> None:
    app, browser, _ = await scene(hub)
    async with hub.database.transaction() as session:
        earlier = utcnow() - timedelta(seconds=100)
        await session.execute(update(BrowserSession).values(created_at=earlier))
    address = await pushed(app, **changes)
    sent = await browser.visit(address)
    target = parameters(sent)["next"]
    await browser.sign_in("ann", target)
    assert "code" in parameters(await allow(browser, target))
    assert (await browser.visit(await pushed(app, max_age="1000"))).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "nothing:known"}, "invalid_scope"),
        ({"prompt": "sing"}, "invalid_request"),
        ({"resource": "https://evil.example"}, "invalid_target"),
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "request_uri_not_supported"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"id_token_hint": "a.b.c"}, "invalid_request"),
        ({"nonce": "n" * 400, "state": "s" * 8_000}, "invalid_request"),
        ({"state": "\x00"}, "invalid_request"),
    ],
)
async def test_a_bad_request_is_refused_when_it_is_pushed(
    hub: Hub, changes: dict[str, str | None], error: str
) -> None:
    app, _, _ = await scene(hub)
    answer = await push(app, **changes)
    assert answer.status_code == 400
    assert (answer.json()["error"], "Location" in answer.headers) == (error, False)
    assert (await push(app)).status_code == 201


async def test_22_a_confidential_app_pushes_with_its_secret(hub: Hub) -> None:
    app, _, _ = await scene(hub, type="web")
    refused(await push(app, client_secret="-"), "invalid_client", 401)
    assert (await push(app)).status_code == 201
    basic = (app.id, app.secret or "")
    data = dict(parse_qsl(app.asks(client_id=None).partition("?")[2]))
    assert (await hub.client.post("/oauth/par", data=data, auth=basic)).status_code == 201
    data["client_id"] = (await register(hub, await hub.person("otto"), type="web")).id
    refused(await hub.client.post("/oauth/par", data=data, auth=basic), "invalid_request")
    assert (await hub.client.get("/oauth/par")).status_code == 405


async def test_an_app_may_have_to_push(hub: Hub) -> None:
    app, browser, _ = await scene(hub, require_pushed_authorization_requests=True)
    assert parameters(await browser.visit(app.asks()))["error"] == "invalid_request"
    answer = await allow(browser, await pushed(app))
    assert "code" in parameters(answer)
    olga = await hub.sign_in("olga")
    path = f"/oauth/clients/{app.id}"
    await olga.patch(path, {"require_pushed_authorization_requests": False})
    assert (await browser.visit(app.asks())).status_code == 200


async def test_24_a_dump_holds_neither_the_uri_nor_a_hint(hub: Hub) -> None:
    app, browser, _ = await scene(hub, type="web")
    hint = (await app.tokens(browser))["id_token"]
    address = await pushed(app, id_token_hint=hint)
    async with hub.database.transaction() as session:
        rows = await session.execute(text("SELECT t::text FROM oauth_pushed_requests t"))
        dump = "".join(rows.scalars())
    assert app.challenge in dump
    for secret in (hint, hint.split(".")[2], address[-43:], app.secret or ""):
        assert secret not in dump


@pytest.mark.parametrize("by_push", [False, True])
async def test_08_the_hint_of_another_person_asks_to_sign_in(hub: Hub, by_push: bool) -> None:
    app, browser, _ = await scene(hub)
    await verify(hub, app)
    hint = (await app.tokens(browser))["id_token"]
    await hub.person("bob")
    bob = surfer_at(hub)
    await bob.sign_in("bob")
    await app.tokens(bob)

    async def asks(**changes: str | None) -> str:
        changes = {"id_token_hint": hint, **changes}
        return await pushed(app, **changes) if by_push else app.asks(**changes)

    assert "code" in parameters(await browser.visit(await asks(prompt="none")))
    assert parameters(await bob.visit(await asks(prompt="none")))["error"] == "login_required"
    sent = await bob.visit(await asks())
    assert sent.headers["Location"].startswith("/sign-in?")
    target = parameters(sent)["next"]
    await bob.sign_in("bob", target)
    assert (await bob.visit(target)).headers["Location"].startswith("/sign-in?")
    await bob.sign_in("ann", target)
    assert "code" in parameters(await bob.visit(target))


async def test_whoever_takes_over_the_browser_cannot_consent_for_the_expected_person(
    hub: Hub,
) -> None:
    app, browser, _ = await scene(hub)
    hint = (await app.tokens(browser))["id_token"]
    page = await browser.visit(app.asks(id_token_hint=hint))
    await hub.person("bob")
    await browser.sign_in("bob")
    fresh = await browser.visit("/sign-in")
    form = {"csrf": hidden_fields(fresh)["csrf"], "decision": "allow"}
    answer = await browser.send(page, "/oauth/consent", **form)
    assert answer.headers["Location"].startswith("/sign-in?")


async def test_a_hint_must_be_an_id_token_of_this_hub_for_this_app(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    other = await register(hub, await hub.person("otto"))
    foreign = (await other.tokens(browser))["id_token"]
    tokens = await app.tokens(browser)
    head, body, signature = tokens["id_token"].split(".")
    for hint in (foreign, tokens["access_token"], f"{head}.{body}.{signature[::-1]}", "x"):
        found = parameters(await browser.visit(app.asks(id_token_hint=hint)))
        assert found["error"] == "invalid_request"
    assert (await browser.visit(app.asks(id_token_hint=tokens["id_token"]))).status_code == 200


RESOURCES: list[tuple[str, bool]] = [
    ("http://testserver", True),
    ("http://testserver/", True),
    ("http://testserver/api/v1", True),
    ("https://evil.example", False),
    ("http://testserver.evil.example", False),
    ("http://testserver/api/v2", False),
    ("http://testserver/#a", False),
    ("", False),
]


@pytest.mark.parametrize(("resource", "known"), RESOURCES)
async def test_tokens_are_for_the_hub_alone(hub: Hub, resource: str, known: bool) -> None:
    app, browser, _ = await scene(hub)
    page = await browser.visit(app.asks(resource=resource))
    if known:
        assert page.status_code == 200
    else:
        assert parameters(page)["error"] == "invalid_target"
        assert parameters(page)["state"] == "a b&c=%41+~"
    answer = await app.redeem(await app.code(browser), resource=resource)
    if known:
        tokens = answer.json()
        assert (await app.refresh(tokens["refresh_token"], resource=resource)).status_code == 200
    else:
        refused(answer, "invalid_target")


async def test_05_resource_alone_may_come_more_than_once(hub: Hub) -> None:
    """RFC 8707 section 2; each of them must be known."""
    app, browser, _ = await scene(hub)
    twice = [("resource", "http://testserver"), ("resource", "http://testserver/api/v1")]
    assert (await browser.visit(f"{app.asks()}&{urlencode(twice)}")).status_code == 200
    twice[1] = ("resource", "https://evil.example")
    found = parameters(await browser.visit(f"{app.asks()}&{urlencode(twice)}"))
    assert found["error"] == "invalid_target"
