"""Apps sign people out: RP-Initiated Logout. Numbers are those of docs/identity.md."""

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from jose import jwt
from sqlmodel import col

from backend_hub.app import purge
from backend_hub.auth.models import TokenFamily
from tests.hub import Hub
from tests.oauth.apps import App, register, scene, works
from tests.oauth.browsing import Surfer, hidden_fields, parameters, surfer_at
from tests.oauth.test_browser_sessions import signed_in
from tests.oauth.test_tokens import age, refused

BYE = "https://app.example/bye"


async def log_out(browser: Surfer, **query: str) -> httpx.Response:
    return await browser.visit(f"/oauth/logout?{urlencode(query)}")


async def logout_scene(hub: Hub, **form: Any) -> tuple[App, Surfer, dict[str, Any]]:
    """An app that may have people sent to BYE, in which Ann is signed in."""
    app, browser, _ = await scene(hub, post_logout_redirect_uris=[BYE], **form)
    return app, browser, await app.tokens(browser)


async def test_an_app_that_shows_whom_it_signed_in_signs_them_out_at_once(hub: Hub) -> None:
    app, browser, tokens = await logout_scene(hub)
    hint = {"id_token_hint": tokens["id_token"]}
    answer = await log_out(browser, **hint, post_logout_redirect_uri=BYE, state="a b&c")
    assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (303, BYE)
    assert parameters(answer) == {"state": "a b&c"}
    assert not await signed_in(browser)
    assert not await works(hub, tokens["access_token"])
    refused(await app.refresh(tokens["refresh_token"]), "invalid_grant")


async def test_only_the_sign_in_of_the_hint_ends(hub: Hub) -> None:
    app, browser, tokens = await logout_scene(hub)
    other = await register(hub, await hub.person("otto"))
    again, kept = await app.tokens(browser), await other.tokens(browser)
    await log_out(browser, id_token_hint=tokens["id_token"])
    assert not await works(hub, tokens["access_token"])
    assert await works(hub, again["access_token"])
    assert await works(hub, kept["access_token"])


async def test_a_request_may_be_posted_from_the_app(hub: Hub) -> None:
    """Browsers send no cookie with a form of another site, but do with what it leads to."""
    _, browser, tokens = await logout_scene(hub)
    form = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": BYE}
    cross_site = {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example"}
    sent = await surfer_at(hub).client.post("/oauth/logout", data=form, headers=cross_site)
    assert sent.status_code == 303
    assert await signed_in(browser)
    answer = await browser.visit(sent.headers["Location"])
    assert answer.headers["Location"] == BYE
    assert not await signed_in(browser)


async def test_an_expired_hint_is_good_while_its_sign_in_is_known(hub: Hub) -> None:
    app, browser, tokens = await logout_scene(hub)
    claims = jwt.get_unverified_claims(tokens["id_token"])
    service = hub.client._transport.app.state.tokens  # type: ignore[attr-defined]
    expired = service.issue_id_token(
        claims["sub"], app.id, "x", {"sid": claims["sid"], "auth_time": 1}, -86_400
    )
    answer = await log_out(browser, id_token_hint=expired, post_logout_redirect_uri=BYE)
    assert answer.headers["Location"] == BYE
    assert not await signed_in(browser)
    unknown = service.issue_id_token(claims["sub"], app.id, "x", {"sid": claims["sub"]}, 600)
    await browser.sign_in("ann")
    asked = await log_out(browser, id_token_hint=unknown, post_logout_redirect_uri=BYE)
    assert (asked.status_code, await signed_in(browser)) == (200, True)


@pytest.mark.parametrize("query", [{}, {"post_logout_redirect_uri": BYE}, {"state": "s"}])
async def test_without_a_hint_the_person_is_asked(hub: Hub, query: dict[str, str]) -> None:
    app, browser, tokens = await logout_scene(hub)
    page = await log_out(browser, client_id=app.id, **query)
    assert (page.status_code, "Planner asks to sign you out" in page.text) == (200, True)
    assert await signed_in(browser)
    refused_form = await browser.send(page, "/oauth/logout/confirm", csrf="")
    assert (refused_form.status_code, await signed_in(browser)) == (403, True)
    answer = await browser.send(page, "/oauth/logout/confirm")
    if "post_logout_redirect_uri" in query:
        assert "form-action 'self' https://app.example;" in page.headers["Content-Security-Policy"]
        assert answer.headers["Location"] == BYE
    else:
        assert (answer.status_code, "You are signed out" in answer.text) == (200, True)
    assert not await signed_in(browser)
    assert await works(hub, tokens["access_token"]), "nobody said which sign-in of the app"


@pytest.mark.parametrize(
    "uri",
    [
        *("https://evil.example/", f"{BYE}/", f"{BYE}?a=1", "https://APP.example/bye"),
        *("https://app.example/callback", "javascript:alert(1)", "//evil.example", "/\\evil"),
    ],
)
async def test_46_a_foreign_post_logout_uri_is_no_redirect(hub: Hub, uri: str) -> None:
    app, browser, tokens = await logout_scene(hub)
    for query in ({"id_token_hint": tokens["id_token"]}, {"client_id": app.id}, {}):
        page = await log_out(browser, **query, post_logout_redirect_uri=uri)
        assert (page.status_code, "Location" in page.headers) == (400, False)
        assert ("did not register" in page.text, 'href="' + uri in page.text) == (True, False)
        assert await signed_in(browser)
    answer = await browser.send(page, "/oauth/logout/confirm")
    assert (answer.status_code, "Location" in answer.headers) == (200, False)
    page = await log_out(browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=uri)
    assert (page.status_code, "Location" in page.headers) == (400, False)
    good = await log_out(browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=BYE)
    assert good.headers["Location"] == BYE


async def test_a_forged_or_foreign_hint_signs_nobody_out(hub: Hub) -> None:
    app, browser, tokens = await logout_scene(hub)
    other = await register(
        hub, await hub.person("otto"), post_logout_redirect_uris=["https://app.example/other"]
    )
    head, body, signature = tokens["id_token"].split(".")
    claims = jwt.get_unverified_claims(tokens["id_token"])
    forged = jwt.encode(claims, "secret", algorithm="HS256")
    for hint in (
        *(f"{head}.{body}.{signature[::-1]}", forged, tokens["access_token"], "x"),
        *("a.b.c", "x" * 50_000, f"{head}.{body}."),
    ):
        page = await log_out(browser, id_token_hint=hint, post_logout_redirect_uri=BYE)
        assert (page.status_code, "Location" in page.headers) == (400, False)
    hint = tokens["id_token"]
    page = await log_out(browser, id_token_hint=hint, client_id=other.id)
    assert (page.status_code, "of another app" in page.text) == (400, True)
    twice = await browser.visit(f"/oauth/logout?id_token_hint={hint}&id_token_hint={hint}")
    assert twice.status_code == 400
    assert await signed_in(browser)
    assert await works(hub, tokens["access_token"])
    await log_out(browser, id_token_hint=hint, client_id=app.id)
    assert not await signed_in(browser)


async def test_the_hint_of_another_person_asks_whoever_is_signed_in(hub: Hub) -> None:
    app, browser, tokens = await logout_scene(hub)
    await hub.person("bob")
    bob = surfer_at(hub)
    await bob.sign_in("bob")
    hint = {"id_token_hint": tokens["id_token"]}
    page = await log_out(bob, **hint, post_logout_redirect_uri=BYE)
    assert "signed in here as bob" in page.text
    assert await signed_in(bob)
    assert await works(hub, tokens["access_token"])
    answer = await bob.send(page, "/oauth/logout/confirm")
    assert answer.headers["Location"] == BYE
    assert not await signed_in(bob)
    assert await signed_in(browser)
    assert not await works(hub, tokens["access_token"]), "the app showed its own sign-in"


async def test_whoever_is_not_signed_in_is_not_asked(hub: Hub) -> None:
    app, _, tokens = await logout_scene(hub)
    stranger = surfer_at(hub)
    page = await log_out(stranger, client_id=app.id, post_logout_redirect_uri=BYE)
    assert (page.status_code, "You are signed out" in page.text) == (200, True)
    assert f'<a href="{BYE}"' in page.text
    assert await works(hub, tokens["access_token"])
    answer = await log_out(stranger, id_token_hint=tokens["id_token"], post_logout_redirect_uri=BYE)
    assert answer.headers["Location"] == BYE
    assert not await works(hub, tokens["access_token"])


async def test_a_hint_whose_sign_in_was_purged_asks(hub: Hub) -> None:
    _, browser, tokens = await logout_scene(hub)
    await age(hub, col(TokenFamily.expires_at), 40 * 86_400)
    async with hub.database.transaction() as session:
        await purge(session)
    assert (await log_out(browser, id_token_hint=tokens["id_token"])).status_code == 200
    assert await signed_in(browser)


@pytest.mark.parametrize(
    ("client_type", "uri", "status"),
    [
        ("spa", BYE, 201),
        ("spa", "javascript:alert(1)", 422),
        ("spa", "http://app.example/bye", 422),
        ("native", "com.example.app:/bye", 201),
        ("web", "com.example.app:/bye", 422),
    ],
)
async def test_15_post_logout_uris_are_checked_at_registration(
    hub: Hub, client_type: str, uri: str, status: int
) -> None:
    form = {"name": "A", "type": client_type, "redirect_uris": ["https://app.example/cb"]}
    form |= {"scopes": ["openid"], "post_logout_redirect_uris": [uri]}
    olga = await hub.person("olga")
    assert (await olga.post("/oauth/clients", form)).status_code == status
    made = await register(hub, olga, type=client_type)
    answer = await olga.patch(f"/oauth/clients/{made.id}", {"post_logout_redirect_uris": [uri]})
    assert answer.status_code == (200 if status == 201 else 422)


async def test_native_apps_hear_of_the_logout_at_any_port_of_the_loopback(hub: Hub) -> None:
    uri = "http://127.0.0.1/bye"
    app, browser, _ = await scene(hub, type="native", post_logout_redirect_uris=[uri])
    hint = {"id_token_hint": (await app.tokens(browser))["id_token"]}
    floating = "http://127.0.0.1:49152/bye"
    answer = await log_out(browser, **hint, post_logout_redirect_uri=floating)
    assert answer.headers["Location"] == floating


async def test_the_pages_refuse_framing_and_are_not_stored(hub: Hub) -> None:
    app, browser, _ = await logout_scene(hub)
    page = await log_out(browser, client_id=app.id)
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"
    assert hidden_fields(page)["request"] == f"client_id={app.id}"
