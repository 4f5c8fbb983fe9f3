"""The pages of the apps that one registered."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from backend_hub.users.models import Role
from tests.account.people import age_sign_ins, at_browser
from tests.hub import Hub
from tests.oauth.browsing import Surfer

PLANNER = {
    "name": "Planner",
    "type": "spa",
    "redirect_uris": "https://app.example/callback\r\n\r\nhttp://127.0.0.1:3000/cb ",
    "homepage_url": "",
    "scopes:openid": "on",
    "scopes:posts:write": "on",
}


async def send(browser: Surfer, path: str, **fields: str) -> httpx.Response:
    """Send the form of a page below /account/apps to itself."""
    page = await browser.visit(f"/account/apps{path}")
    assert page.status_code == 200, page.text
    return await browser.send(page, f"/account/apps{path}", **fields)


def path_of(made: httpx.Response) -> str:
    return urlsplit(made.headers["Location"]).path.removeprefix("/account/apps")


async def test_the_page_registers_an_app_that_works_like_one_of_the_api(hub: Hub) -> None:
    ann = await hub.person("ann")
    browser = await at_browser(hub, "ann")
    made = await send(browser, "/new", **PLANNER)
    app = await ann.read(f"/oauth/clients{path_of(made)}")
    assert app["redirect_uris"] == ["https://app.example/callback", "http://127.0.0.1:3000/cb"]
    assert (app["name"], app["type"], app["homepage_url"]) == ("Planner", "spa", None)
    assert app["scopes"] == ["posts:write", "openid"]
    page = await browser.visit("/account/apps")
    assert "Planner" in page.text
    assert app["id"] in page.text


async def test_a_secret_is_shown_once_and_renewed(hub: Hub) -> None:
    ann = await hub.person("ann")
    browser = await at_browser(hub, "ann")
    machine = {**PLANNER, "type": "machine", "redirect_uris": ""}
    del machine["scopes:openid"]
    shown = await send(browser, "/new", **machine)
    assert (shown.status_code, shown.headers["Cache-Control"]) == (200, "no-store")
    (app,) = (await ann.read("/oauth/clients"))["items"]

    async def token_with(page: httpx.Response) -> int:
        (secret,) = re.findall(r"<pre[^>]*>([\w-]{43})</pre>", page.text)
        form = {"grant_type": "client_credentials", "client_id": app["id"]}
        answer = await hub.client.post("/oauth/token", data=form | {"client_secret": secret})
        return answer.status_code

    assert await token_with(shown) == 200
    page = await browser.visit(f"/account/apps/{app['id']}")
    assert not re.search(r"<pre", page.text)
    renewed = await browser.send(page, f"/account/apps/{app['id']}/secret")
    assert await token_with(renewed) == 200
    assert await token_with(shown) == 401


async def test_an_edit_keeps_what_was_not_changed_and_a_stale_one_is_refused(hub: Hub) -> None:
    ann, root = await hub.person("ann"), await hub.person("root", Role.admin)
    browser, admin = await at_browser(hub, "ann"), await at_browser(hub, "root")
    path = path_of(await send(browser, "/new", **PLANNER))
    page = await admin.visit(f"/account/apps{path}")
    await admin.send(page, f"/account/apps{path}/verified", verified="yes")
    assert (await ann.read(f"/oauth/clients{path}"))["verified"] is True
    stale = await browser.visit(f"/account/apps{path}")
    await send(browser, path, **PLANNER)
    assert (await ann.read(f"/oauth/clients{path}"))["verified"] is True  # nothing changed
    await send(browser, path, **{**PLANNER, "name": "Planner 2"})
    changed = await ann.read(f"/oauth/clients{path}")
    assert (changed["name"], changed["verified"]) == ("Planner 2", False)
    refused = await browser.send(stale, f"/account/apps{path}", **{**PLANNER, "name": "Old"})
    assert refused.status_code == 412
    assert (await root.read(f"/oauth/clients{path}"))["name"] == "Planner 2"


async def test_the_form_says_what_is_wrong(hub: Hub) -> None:
    await hub.person("ann")
    browser = await at_browser(hub, "ann")
    wrong = {**PLANNER, "name": " ", "homepage_url": "javascript:alert(1)"}
    answer = await send(browser, "/new", **wrong)
    assert answer.status_code == 422
    assert 'id="name-problem"' in answer.text
    assert 'id="homepage_url-problem"' in answer.text
    assert "Planner" not in answer.text
    path = path_of(await send(browser, "/new", **PLANNER))
    moved = await send(browser, path, **{**PLANNER, "redirect_uris": "javascript:alert(1)"})
    assert moved.status_code == 422
    assert 'id="redirect_uris-problem"' in moved.text
    assert "javascript:alert(1)" in moved.text  # what was typed is still there


async def test_apps_are_nobodys_business_but_their_owners_and_the_admins(hub: Hub) -> None:
    ann = await hub.person("ann")
    await hub.person("eve")
    await hub.person("root", Role.admin)
    browser = await at_browser(hub, "ann")
    eve, admin = await at_browser(hub, "eve"), await at_browser(hub, "root")
    path = path_of(await send(browser, "/new", **PLANNER))
    assert (await eve.visit(f"/account/apps{path}")).status_code == 404
    own = await eve.visit("/account/apps/new")
    for verb in ("", "/secret", "/verified", "/delete"):
        sent = await eve.send(own, f"/account/apps{path}{verb}", version="1", name="Mine")
        assert sent.status_code == 404, verb
    page = await browser.visit(f"/account/apps{path}")
    verified: dict[str, Any] = {"verified": "yes"}
    known = await browser.send(page, f"/account/apps{path}/verified", **verified)
    assert known.status_code == 403  # Ann is no admin
    assert "Planner" in (await admin.visit("/account/apps")).text
    assert "Planner" not in (await eve.visit("/account/apps")).text
    deleted = await admin.send(
        await admin.visit(f"/account/apps{path}"), f"/account/apps{path}/delete"
    )
    assert deleted.headers["Location"] == "/account/apps"
    assert (await ann.read("/oauth/clients"))["items"] == []


async def test_56_an_older_sign_in_changes_no_app(hub: Hub) -> None:
    ann = await hub.person("ann")
    browser = await at_browser(hub, "ann")
    path = path_of(await send(browser, "/new", **PLANNER))
    page = await browser.visit(f"/account/apps{path}")
    await age_sign_ins(hub, timedelta(minutes=11))
    for verb in ("", "/secret", "/verified", "/delete"):
        sent = await browser.send(page, f"/account/apps{path}{verb}", **PLANNER)
        assert sent.headers["Location"].startswith("/sign-in?"), verb
    assert len((await ann.read("/oauth/clients"))["items"]) == 1
