"""Where one is signed in, and what acts for one: seeing it, and ending it."""

from datetime import timedelta

import pytest

from backend_hub.auth.scopes import APP_SCOPES, FIRST_PARTY_SCOPES, SCOPES
from backend_hub.auth.tokens import SWAGGER_CLIENT
from backend_hub.http.callers import program_of
from backend_hub.users.models import Role
from tests.account.people import FORM, age_sign_ins, at_browser
from tests.hub import Hub, Person
from tests.oauth.apps import CALLBACK, bearer, register, scene, works

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.5.0", "curl"),
        ("", "an unknown program"),
        ("<script>", "an unknown program"),
    ],
)
def test_a_device_has_words(agent: str, words: str) -> None:
    assert program_of(agent) == words


async def test_sign_ins_are_listed_with_device_address_and_app_and_this_one_marked(
    hub: Hub,
) -> None:
    app, browser, ann = await scene(hub)
    await app.tokens(browser)
    await at_browser(hub, "ann", FIREFOX)
    items = (await ann.read("/users/me/sessions"))["items"]
    assert [item["kind"] for item in items] == ["browser", "app", "browser", "hub"]
    assert [item["current"] for item in items] == [False, False, False, True]
    assert items[0]["device"] == "Firefox on Linux"
    assert items[0]["address"] == "127.0.0.1"
    assert (items[1]["client_id"], items[1]["client_name"]) == (app.id, "Planner")
    assert items[1]["scopes"] == ["openid", "posts:write"]
    olga = await hub.sign_in("olga")
    assert [i["kind"] for i in (await olga.read("/users/me/sessions"))["items"]] == ["hub"] * 2


async def test_ending_a_sign_in_of_ones_own_ends_it_at_once(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    other, browser = await hub.sign_in("ann"), await at_browser(hub, "ann")
    for item in (await ann.read("/users/me/sessions"))["items"]:
        path = f"/users/me/sessions/{item['id']}"
        assert (await bob.delete(path)).status_code == 404
        if not item["current"]:
            assert (await ann.delete(path)).status_code == 204
            assert (await ann.delete(path)).status_code == 404
    assert (await other.get("/users/me")).status_code == 401
    assert (await browser.visit("/account")).status_code == 303
    assert (await ann.get("/users/me")).status_code == 200


async def test_ending_all_others_leaves_this_one(hub: Hub) -> None:
    app, browser, ann = await scene(hub)
    tokens = await app.tokens(browser)
    other = await hub.sign_in("ann")
    olga = await hub.sign_in("olga")
    assert (await ann.delete("/users/me/sessions")).status_code == 204
    assert [i["current"] for i in (await ann.read("/users/me/sessions"))["items"]] == [True]
    assert (await other.get("/users/me")).status_code == 401
    assert not await works(hub, tokens["access_token"])
    assert (await browser.visit("/account")).status_code == 303
    assert (await olga.get("/users/me")).status_code == 200


async def test_the_page_ends_sessions_however_old_the_sign_in_is(hub: Hub) -> None:
    ann = await hub.person("ann")
    here, there = await at_browser(hub, "ann"), await at_browser(hub, "ann", FIREFOX)
    await age_sign_ins(hub, timedelta(hours=1))
    page = await here.visit("/account/sessions")
    assert page.text.count(">this browser<") == 1
    assert "Firefox on Linux" in page.text
    items = (await ann.read("/users/me/sessions"))["items"]
    theirs = next(item["id"] for item in items if item["device"] == "Firefox on Linux")
    ended = await here.send(page, "/account/sessions/end", id=theirs)
    assert ended.headers["Location"] == "/account/sessions"
    assert (await there.visit("/account")).status_code == 303
    await here.send(page, "/account/sessions/end-others")
    assert (await ann.get("/users/me")).status_code == 401
    assert (await here.visit("/account")).status_code == 200
    log = (await here.visit("/account/security")).text
    assert "Session ended" in log
    assert "All other sessions ended" in log


async def test_10_a_form_of_another_browser_ends_nothing(hub: Hub) -> None:
    await hub.person("ann")
    await hub.person("eve")
    ann, eve = await at_browser(hub, "ann"), await at_browser(hub, "eve")
    foreign = await eve.visit("/account/sessions")
    own = await ann.visit("/account/sessions")
    for path in ("end", "end-others", "withdraw"):
        assert (await ann.send(foreign, f"/account/sessions/{path}")).status_code == 403
        assert (await ann.send(own, f"/account/sessions/{path}")).status_code == 303


async def test_32_withdrawing_an_app_ends_its_tokens_at_once_over_http(hub: Hub) -> None:
    app, browser, ann = await scene(hub)
    other = await register(hub, await hub.person("otto"), name="Other")
    tokens, kept = await app.tokens(browser), await other.tokens(browser)
    items = (await ann.read("/users/me/apps"))["items"]
    assert [item["name"] for item in items] == ["Other", "Planner"]
    assert items[1]["scopes"] == ["openid", "posts:write"]
    assert items[1]["used_at"] >= items[1]["created_at"]
    assert (await ann.delete(f"/users/me/apps/{app.id}")).status_code == 204
    assert (await ann.delete(f"/users/me/apps/{app.id}")).status_code == 404
    assert not await works(hub, tokens["access_token"])
    assert (await app.refresh(tokens["refresh_token"])).status_code == 400
    assert await works(hub, kept["access_token"])


async def test_32_withdrawing_an_app_on_the_page_ends_its_tokens_at_once(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    tokens = await app.tokens(browser)
    page = await browser.visit("/account/sessions")
    assert "Vote, comment and bookmark" in page.text
    await browser.send(page, "/account/sessions/withdraw", client_id=app.id)
    assert not await works(hub, tokens["access_token"])
    assert "Apps that you allowed" in (await browser.visit("/account/sessions")).text
    log = (await browser.visit("/account/security")).text
    assert "App allowed: Planner" in log
    assert "App withdrawn: Planner" in log


async def test_56_no_app_can_register_or_be_granted_what_only_the_hubs_own_clients_hold(
    hub: Hub,
) -> None:
    olga = await hub.person("olga")
    assert frozenset(SCOPES) - frozenset(APP_SCOPES) == FIRST_PARTY_SCOPES
    for scope in FIRST_PARTY_SCOPES:
        form = {"name": "A", "type": "spa", "redirect_uris": [CALLBACK], "scopes": [scope]}
        assert (await olga.post("/oauth/clients", form)).status_code == 422
    assert (await olga.post("/oauth/clients", form | {"scopes": ["openid"]})).status_code == 201


async def test_56_an_apps_token_touches_no_account_whatever_it_says_of_itself(hub: Hub) -> None:
    """Even one that the hub itself signed with the scope, as an older version might have."""
    app, browser, ann = await scene(hub)
    await app.tokens(browser)
    sign_in = (await ann.read("/users/me/sessions"))["items"][0]
    tokens = hub.client._transport.app.state.tokens  # type: ignore[attr-defined]
    for client_id, status in ((app.id, 403), ("backend-hub", 200)):
        token = tokens.issue(ann.id, sign_in["id"], SCOPES, 60, client_id)
        by_app = Person(hub.client, headers=bearer(token))
        assert (await by_app.get("/users/me/sessions")).status_code == status
        assert (await by_app.get("/oauth/clients")).status_code == status


async def test_56_swagger_ui_is_the_hubs_own_but_its_sign_in_is_not_a_fresh_one(hub: Hub) -> None:
    app, browser, ann = await scene(hub)
    app.id, app.redirect_uri = SWAGGER_CLIENT, "http://testserver/docs/oauth2-redirect"
    tokens = await app.tokens(browser, scope="account:write")
    swagger = Person(hub.client, headers=bearer(tokens["access_token"]))
    (mine, *_) = (await swagger.read("/users/me/sessions"))["items"]
    assert (mine["client_name"], mine["current"]) == ("Swagger UI", True)
    assert (await swagger.post("/users/me/tokens", FORM)).status_code == 401
    assert (await ann.post("/users/me/tokens", FORM)).status_code == 201


async def test_an_admin_sees_nobody_elses_sign_ins(hub: Hub) -> None:
    ann, root = await hub.person("ann"), await hub.person("root", Role.admin)
    (mine,) = (await ann.read("/users/me/sessions"))["items"]
    assert (await root.delete(f"/users/me/sessions/{mine['id']}")).status_code == 404
    assert (await ann.delete(f"/users/me/sessions/{mine['id']}")).status_code == 204
