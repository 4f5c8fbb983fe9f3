"""The API by the session cookie, from pages of the hub's own origin (docs/spa.md)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlmodel import select

from backend_hub.app import create_app
from backend_hub.auth.actor import Actor
from backend_hub.auth.models import BrowserSession
from backend_hub.auth.service import renew_actor
from backend_hub.settings import Settings
from backend_hub.users.models import Role
from tests.account.people import FORM, age_sign_ins
from tests.conftest import http_client
from tests.hub import Hub, question
from tests.oauth.apps import bearer
from tests.oauth.browsing import Surfer, surfer_at

ME, QUESTIONS = "/api/v1/users/me", "/api/v1/questions"
OWN = {"Sec-Fetch-Site": "same-origin"}
OWN_POST = OWN | {"Origin": "http://testserver"}
OLDER = {"Origin": "http://testserver"}
"""A browser that does not send Sec-Fetch-Site yet."""
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://other.testserver"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    {"Sec-Fetch-Site": "SAME-ORIGIN"},
    {"Sec-Fetch-Site": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "http://testserver:8000"},
    {"Origin": "null"},
    {},
]


@dataclass
class Visit:
    """Ann, signed in to the pages of a hub that takes its cookie at the API too."""

    hub: Hub
    browser: Surfer
    plain: Surfer
    """The same cookie at a hub that does not."""

    async def ask(self, headers: dict[str, str], title: str) -> httpx.Response:
        form = question(title)
        return await self.browser.client.post(QUESTIONS, json=form, headers=headers)


@pytest.fixture
async def ann(
    hub: Hub, app: FastAPI, settings: Settings, test_database: Any
) -> AsyncIterator[Visit]:
    other = create_app(settings.model_copy(update={"api_cookies": True}), test_database)
    other.state.tokens = app.state.tokens
    async with http_client(other) as client:
        there = Hub(client, test_database)
        await there.person("ann")
        browser = surfer_at(there)
        await browser.sign_in("ann")
        plain = surfer_at(hub)
        plain.client.cookies = browser.client.cookies
        yield Visit(there, browser, plain)


async def test_a_page_of_the_hub_reads_and_writes_as_who_is_signed_in(ann: Visit) -> None:
    client = ann.browser.client
    me = await client.get(ME, headers=OWN)
    assert (me.status_code, me.json()["username"]) == (200, "ann")
    for number, headers in enumerate((OWN_POST, OLDER, OWN)):
        made = await ann.ask(headers, f"Why is query {number} slow?")
        assert (made.status_code, made.json()["author"]["username"]) == (201, "ann")
    etag = made.headers["ETag"]
    patch = {"title": "Why is query 2 still slow?"}
    changed = await client.patch(
        made.headers["Location"], json=patch, headers=OWN_POST | {"If-Match": etag}
    )
    assert changed.status_code == 200
    assert (await client.get(ME, headers=OLDER)).status_code == 200


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_for_any_other_page_it_is_as_if_there_were_no_cookie(
    ann: Visit, headers: dict[str, str]
) -> None:
    client = ann.browser.client
    for answer in (
        await client.get(ME, headers=headers),
        await ann.ask(headers, "Who wrote this?"),
        await client.patch(ME, json={"bio": "x"}, headers=headers | {"If-Match": "*"}),
        await client.post("/api/v1/auth/sign-out", headers=headers),
    ):
        assert answer.status_code == 401, answer.text
    assert (await client.get(QUESTIONS, headers=headers)).json()["items"] == []
    assert (await client.get(ME, headers=OWN)).status_code == 200
    assert (await ann.ask(OWN_POST, "Who wrote this?")).status_code == 201


async def test_the_cookie_counts_only_where_it_is_switched_on(ann: Visit) -> None:
    for browser, status in ((ann.plain, 401), (ann.browser, 200)):
        assert (await browser.client.get(ME, headers=OWN)).status_code == status
    assert (await ann.browser.client.get("/oauth/userinfo", headers=OWN)).status_code == 401
    stranger = surfer_at(ann.hub)
    await stranger.visit("/sign-in")  # a cookie of no account
    assert (await stranger.client.get(ME, headers=OWN)).status_code == 401


async def test_a_token_that_is_sent_counts_and_not_the_cookie(ann: Visit) -> None:
    bob = await ann.hub.person("bob")
    client = ann.browser.client
    me = await client.get(ME, headers=OWN | bearer(bob.access_token))
    assert me.json()["username"] == "bob"
    for bad in ("Bearer x", "Basic eDp5", ""):
        assert (await client.get(ME, headers=OWN | {"Authorization": bad})).status_code == 401


async def test_caches_keep_answers_apart(ann: Visit) -> None:
    for browser, told in ((ann.browser, True), (ann.plain, False)):
        for path in (QUESTIONS, "/api/v1/topics"):
            headers = (await browser.client.get(path, headers=OWN)).headers
            vary = {name.strip() for name in headers["Vary"].split(",")}
            assert "Authorization" in vary
            assert ({"Cookie", "Sec-Fetch-Site", "Origin"} <= vary) == told
            assert ("private" in headers["Cache-Control"]) == told
            again = await browser.client.get(path, headers=OWN | {"If-None-Match": headers["ETag"]})
            assert (again.status_code, "Cookie" in again.headers["Vary"]) == (304, told)


async def test_no_other_origin_may_read_with_the_cookie(ann: Visit) -> None:
    """Registered or not: the answer never allows credentials (promise 69)."""
    headers = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    answer = await ann.browser.client.get(QUESTIONS, headers=headers)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_59_signing_out_ends_the_session_and_leaves_other_ones(ann: Visit) -> None:
    other = surfer_at(ann.hub)
    await other.sign_in("ann")
    signed_out = await ann.browser.client.post("/api/v1/auth/sign-out", headers=OWN_POST)
    assert signed_out.status_code == 204
    for browser, status in ((ann.browser, 401), (other, 200)):
        assert (await browser.client.get(ME, headers=OWN)).status_code == status


async def test_a_stream_is_as_long_as_the_session_of_its_reader(ann: Visit) -> None:
    async with ann.hub.database.transaction() as session:
        browser = (await session.exec(select(BrowserSession))).one()
    actor = Actor(browser.user_id, "ann", Role.member, frozenset(), session_id=browser.id)
    assert await renew_actor(ann.hub.database, actor) == actor
    await ann.browser.client.post("/api/v1/auth/sign-out", headers=OWN_POST)
    assert await renew_actor(ann.hub.database, actor) is None


async def test_56_by_cookie_a_token_is_made_after_a_recent_sign_in_only(ann: Visit) -> None:
    client = ann.browser.client
    (mine, *_) = (await client.get(f"{ME}/sessions", headers=OWN)).json()["items"]
    assert (mine["kind"], mine["current"]) == ("browser", True)
    made = await client.post(f"{ME}/tokens", json=FORM, headers=OWN_POST)
    assert made.status_code == 201
    await age_sign_ins(ann.hub, timedelta(minutes=11))
    refused = await client.post(f"{ME}/tokens", json=FORM, headers=OWN_POST)
    assert (refused.status_code, refused.json()["code"]) == (401, "recent_sign_in_needed")
    others = await client.delete(f"{ME}/sessions", headers=OWN_POST)
    assert others.status_code == 204
    assert (await client.get(ME, headers=OWN)).status_code == 200
