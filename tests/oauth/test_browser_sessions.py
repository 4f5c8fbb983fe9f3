"""Signing in to the hub's own pages. Numbers are those of the promises in docs/identity.md."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from backend_hub.app import create_app
from backend_hub.auth.models import BrowserSession
from backend_hub.settings import Settings
from backend_hub.users.models import Role
from tests.conftest import TestDatabase
from tests.hub import PASSWORD, Hub
from tests.oauth.browsing import Surfer, hidden_fields, surfer_at

COOKIE = "hub_session"


async def signed_in(surfer: Surfer) -> bool:
    """Whether the sign-out page knows somebody."""
    return "You are signed in here as" in (await surfer.visit("/sign-out")).text


async def age(hub: Hub, **values: Any) -> None:
    async with hub.database.transaction() as session:
        await session.execute(update(BrowserSession).values(**values))


async def test_14_signing_in_answers_303_and_keeps_people_signed_in(hub: Hub) -> None:
    """Promise 14: 303 after a credential POST."""
    await hub.person("ann")
    browser = surfer_at(hub)
    assert not await signed_in(browser)
    answer = await browser.sign_in("ann", target="/topics/none?a=1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/topics/none?a=1")
    assert await signed_in(browser)


async def test_a_wrong_password_is_refused_without_saying_which(hub: Hub) -> None:
    await hub.person("ann")
    browser = surfer_at(hub)
    page = await browser.visit("/sign-in")
    texts = []
    for name in ("ann", "bob"):
        answer = await browser.send(page, "/sign-in", username=name, password="no such password")
        assert answer.status_code == 401
        texts.append(answer.text.replace(f'value="{name}"', ""))
    assert texts[0] == texts[1]
    assert not await signed_in(browser)


async def test_58_the_session_id_changes_at_sign_in(hub: Hub) -> None:
    await hub.person("ann")
    browser = surfer_at(hub)
    ids = []
    await browser.visit("/sign-in")
    ids.append(browser.client.cookies[COOKIE])
    for _ in range(2):
        await browser.sign_in("ann")
        ids.append(browser.client.cookies[COOKIE])
    assert len(set(ids)) == 3
    for old in ids[:2]:
        thief = surfer_at(hub)
        thief.client.cookies.set(COOKIE, old)
        assert not await signed_in(thief)


async def test_59_a_cookie_from_before_signing_out_is_refused(hub: Hub) -> None:
    await hub.person("ann")
    browser, thief = surfer_at(hub), surfer_at(hub)
    await browser.sign_in("ann")
    thief.client.cookies.set(COOKIE, browser.client.cookies[COOKIE])
    assert await signed_in(thief)
    answer = await browser.send(await browser.visit("/sign-out"), "/sign-out")
    assert answer.status_code == 303
    assert COOKIE not in browser.client.cookies
    assert not await signed_in(thief)


@pytest.mark.parametrize(
    ("public_url", "name", "flags"),
    [
        ("https://testserver", "__Host-hub_session", {"HttpOnly", "Secure", "SameSite=lax"}),
        ("http://testserver", "hub_session", {"HttpOnly", "SameSite=lax"}),
    ],
)
async def test_60_the_cookie_is_host_only_and_out_of_reach_of_scripts(
    settings: Settings,
    test_database: TestDatabase,
    hub: Hub,
    public_url: str,
    name: str,
    flags: set[str],
) -> None:
    """Over plain http, which only a development hub has, browsers refuse the prefix."""
    app = create_app(settings.model_copy(update={"public_url": public_url}), test_database)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=public_url) as client:
        answer = await client.get("/sign-in")
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert cookie.partition("=")[0] == name
    assert len(cookie.partition("=")[2]) == 43
    assert flags <= set(attributes)
    assert ("Secure" in attributes) == ("Secure" in flags)
    assert "Path=/" in attributes
    assert not any(attribute.startswith("Domain") for attribute in attributes)


@pytest.mark.parametrize("column", ["seen_at", "expires_at"])
async def test_61_sessions_end_when_idle_and_in_any_case(
    hub: Hub, settings: Settings, column: str
) -> None:
    await hub.person("ann")
    browser = surfer_at(hub)
    await browser.sign_in("ann")
    seconds = settings.session_idle_ttl if column == "seen_at" else settings.session_ttl
    moment = getattr(BrowserSession, column)
    await age(hub, **{column: moment - timedelta(seconds=seconds - 60)})
    assert await signed_in(browser)
    await age(hub, **{column: moment - timedelta(seconds=seconds + 60)})
    assert not await signed_in(browser)


async def test_a_session_in_use_does_not_idle(hub: Hub) -> None:
    await hub.person("ann")
    browser = surfer_at(hub)
    await browser.sign_in("ann")
    async with hub.database.transaction() as session:
        before = (await session.execute(select(col(BrowserSession.seen_at)))).scalar_one()
    await age(hub, seen_at=before - timedelta(hours=1))
    assert await signed_in(browser)
    async with hub.database.transaction() as session:
        assert (await session.execute(select(col(BrowserSession.seen_at)))).scalar_one() > before


@pytest.mark.parametrize(
    "target",
    [
        *("https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example"),
        *("javascript:alert(1)", "/\t/evil.example", " //evil.example", "http:evil.example", ""),
        *("/ok\\..\\evil", "/%0d%0a\r\nSet-Cookie: a=b"),
    ],
)
async def test_68_next_never_leads_to_another_host(hub: Hub, target: str) -> None:
    await hub.person("ann")
    browser = surfer_at(hub)
    page = await browser.visit("/sign-in", params={"next": target})
    assert hidden_fields(page)["next"] == "/"
    answer = await browser.send(page, "/sign-in", username="ann", password=PASSWORD, next=target)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


@pytest.mark.parametrize("path", ["/sign-in", "/sign-up", "/sign-out"])
async def test_10_a_form_without_this_browsers_token_is_refused(hub: Hub, path: str) -> None:
    browser, other = surfer_at(hub), surfer_at(hub)
    form = {"username": "newcomer", "email": "new@example.org", "password": PASSWORD}
    await hub.person("someone")
    if path != "/sign-up":
        form["username"] = "someone"
    if path == "/sign-out":
        await browser.sign_in("someone")
        await other.sign_in("someone")
    page, foreign = await browser.visit(path), await other.visit(path)
    refusals = [
        await browser.send(foreign, path, **form),
        await browser.send(page, path, **form, csrf=""),
        await browser.send(page, path, {"Sec-Fetch-Site": "cross-site"}, **form),
        await browser.send(page, path, {"Sec-Fetch-Site": "same-site"}, **form),
        await browser.send(page, path, {"Origin": "https://evil.example"}, **form),
        await browser.send(page, path, {"Origin": "null"}, **form),
        await surfer_at(hub).send(page, path, **form),
    ]
    assert [answer.status_code for answer in refusals] == [403] * 7
    allowed = await browser.send(page, path, {"Origin": "http://testserver"}, **form)
    assert allowed.status_code == 303


@pytest.mark.parametrize("path", ["/sign-in", "/sign-up", "/sign-out"])
async def test_11_forms_refuse_framing_and_are_not_stored(hub: Hub, path: str) -> None:
    answer = await surfer_at(hub).visit(path)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "script-src" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_signing_up_makes_an_account_and_signs_in(hub: Hub) -> None:
    browser = surfer_at(hub)
    page = await browser.visit("/sign-up", params={"next": "/docs"})
    form = {"username": "newcomer", "email": "new@example.org", "password": PASSWORD}
    answer = await browser.send(page, "/sign-up", **form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/docs")
    assert await signed_in(browser)
    assert (await hub.sign_in("newcomer")).access_token


async def test_signing_up_says_what_is_wrong_where(hub: Hub) -> None:
    await hub.person("ann")
    browser = surfer_at(hub)
    page = await browser.visit("/sign-up")
    weak = {"username": "<b>", "email": "nobody", "password": "short"}
    answer = await browser.send(page, "/sign-up", **weak)
    assert answer.status_code == 422
    assert 'id="username-problem"' in answer.text
    assert 'id="email-problem"' in answer.text
    assert "<b>" not in answer.text.partition("<form")[2]
    assert "short" not in answer.text.partition("<form")[2]
    weak = {"username": "bob", "email": "b@example.org", "password": "short"}
    assert "at least 15 characters" in (await browser.send(page, "/sign-up", **weak)).text
    taken = {"username": "ANN", "email": "b@example.org", "password": PASSWORD}
    answer = await browser.send(page, "/sign-up", **taken)
    assert (answer.status_code, "This name is taken" in answer.text) == (409, True)


async def test_31_disabling_a_person_ends_their_browser_sessions(hub: Hub) -> None:
    ann, admin = await hub.person("ann"), await hub.person("root-admin", Role.admin)
    browser = surfer_at(hub)
    await browser.sign_in("ann")
    for disabled in (True, False):
        assert (await admin.patch(f"/accounts/{ann.id}", {"disabled": disabled})).status_code == 200
        assert not await signed_in(browser)


async def test_24_the_database_does_not_hold_the_cookie(hub: Hub) -> None:
    await hub.person("ann")
    browser = surfer_at(hub)
    await browser.sign_in("ann")
    async with hub.database.transaction() as session:
        row = (await session.execute(select(BrowserSession))).scalars().one()
    assert browser.client.cookies[COOKIE] not in repr(row.model_dump())


async def test_odd_cookies_are_nobodys(hub: Hub) -> None:
    for value in ("", "x" * 5_000, "a.b.c", "%00"):
        answer = await hub.client.get("/sign-out", headers={"Cookie": f"{COOKIE}={value}"})
        assert (answer.status_code, "You are not signed in" in answer.text) == (200, True)
