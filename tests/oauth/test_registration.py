"""Apps that register themselves (RFC 7591) and manage what they registered (RFC 7592)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update
from sqlmodel import col

from backend_hub.app import create_app
from backend_hub.db import utcnow
from backend_hub.oauth.models import OAuthClient
from backend_hub.oauth.registration import purge_unused_registrations
from backend_hub.settings import Settings
from backend_hub.users.models import Role
from tests.conftest import http_client
from tests.hub import Hub
from tests.oauth.apps import CALLBACK, App, bearer, register, works
from tests.oauth.browsing import surfer_at

REGISTER = "/oauth/register"
FORM: dict[str, Any] = {
    "redirect_uris": [CALLBACK],
    "client_name": "Planner",
    "token_endpoint_auth_method": "none",
    "scope": "openid profile posts:write",
}


def variant(app: FastAPI, settings: Settings, database: Any, **changes: Any) -> FastAPI:
    other = create_app(settings.model_copy(update=changes), database)
    other.state.tokens = app.state.tokens
    return other


@pytest.fixture
async def open_hub(
    hub: Hub, app: FastAPI, settings: Settings, test_database: Any
) -> AsyncIterator[Hub]:
    """The hub, when apps may register themselves."""
    other = variant(app, settings, test_database, dynamic_registration=True)
    async with http_client(other) as client:
        yield Hub(client, test_database)


async def registered(hub: Hub, **changes: Any) -> dict[str, Any]:
    answer = await hub.client.post(REGISTER, json=FORM | changes)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    made: dict[str, Any] = answer.json()
    return made


def place(made: dict[str, Any]) -> str:
    return str(made["registration_client_uri"]).removeprefix("http://testserver")


async def managed(hub: Hub, method: str, made: dict[str, Any], **kwargs: Any) -> httpx.Response:
    token = kwargs.pop("token", made["registration_access_token"])
    return await hub.client.request(method, place(made), headers=bearer(token), **kwargs)


async def test_apps_register_themselves_only_where_that_is_switched_on(
    hub: Hub, open_hub: Hub
) -> None:
    for one, status in ((hub, 404), (open_hub, 201)):
        assert (await one.client.post(REGISTER, json=FORM)).status_code == status
        for name in ("openid-configuration", "oauth-authorization-server"):
            document = (await one.client.get(f"/.well-known/{name}")).json()
            endpoint = "http://testserver/oauth/register" if status == 201 else None
            assert document.get("registration_endpoint") == endpoint
    made = await registered(open_hub)
    for method in ("GET", "PUT", "DELETE"):
        assert (await managed(hub, method, made)).status_code == 404
    assert (await managed(open_hub, "GET", made)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "spa"),
        ({"application_type": "native", "redirect_uris": ["com.example.app:/cb"]}, "native"),
        ({"token_endpoint_auth_method": "client_secret_post"}, "web"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "web"),
    ],
)
async def test_an_app_that_registered_itself_signs_people_in(
    open_hub: Hub, changes: dict[str, Any], kind: str
) -> None:
    made = await registered(open_hub, **changes)
    assert ("client_secret" in made) == (kind == "web")
    assert made["scope"] == "openid profile posts:write"
    uri = made["redirect_uris"][0]
    app = App(open_hub, made["client_id"], made.get("client_secret"), uri)
    await open_hub.person("ann")
    browser = surfer_at(open_hub)
    await browser.sign_in("ann")
    for _time in range(2):  # never verified: people are asked each time
        page = await browser.visit(app.asks())
        assert "Nobody at" in page.text
        tokens = await app.tokens(browser)
    assert await works(open_hub, tokens["access_token"])
    admin = await open_hub.person("root-admin", Role.admin)
    path = f"/oauth/clients/{made['client_id']}"
    assert (await admin.read(path))["type"] == kind
    refused = await admin.patch(path, {"verified": True})
    assert (refused.status_code, refused.json()["code"]) == (409, "self_registered")
    assert (await admin.delete(path)).status_code == 204
    assert not await works(open_hub, tokens["access_token"])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": None}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://app.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/cb#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["com.example.app:/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [CALLBACK] * 21}, "invalid_redirect_uri"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"grant_types": ["password"]}, "invalid_client_metadata"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"scope": "users:admin topics:write clients:write"}, "invalid_client_metadata"),
        ({"client_name": "x" * 81}, "invalid_client_metadata"),
        ({"client_name": "a\x00b"}, "invalid_client_metadata"),
        ({"logo_uri": "http://app.example/logo.png"}, "invalid_client_metadata"),
        ({"client_uri": "javascript:alert(1)"}, "invalid_client_metadata"),
    ],
)
async def test_15_what_an_app_may_not_be_is_refused(
    open_hub: Hub, changes: dict[str, Any], error: str
) -> None:
    answer = await open_hub.client.post(REGISTER, json=FORM | changes)
    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text
    made = await registered(open_hub)
    sent = FORM | changes | {"client_id": made["client_id"]}
    answer = await managed(open_hub, "PUT", made, json=sent)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert (await managed(open_hub, "GET", made)).json()["redirect_uris"] == [CALLBACK]


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b'"x"', b"{", b"[" * 5_000, b"\xff", b"{}"])
async def test_what_is_no_document_is_refused(open_hub: Hub, body: bytes) -> None:
    answer = await open_hub.client.post(REGISTER, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_client_metadata", "invalid_redirect_uri"}


async def test_an_app_gets_no_more_than_a_members_scopes_and_ignores_what_is_unknown(
    open_hub: Hub,
) -> None:
    wide = "openid users:admin posts:moderate posts:write clients:write nothing:known"
    made = await registered(open_hub, scope=wide, contacts=["a@b.c"], software_id="x", jwks={})
    assert made["scope"] == "openid posts:write"
    plain = await open_hub.client.post(REGISTER, json={"redirect_uris": [CALLBACK]})
    assert plain.json()["client_name"] == "app.example"
    assert plain.json()["token_endpoint_auth_method"] == "client_secret_basic"
    assert plain.json()["client_secret"]


async def test_an_app_manages_itself_with_its_token_and_no_other(open_hub: Hub) -> None:
    made, other = await registered(open_hub), await registered(open_hub)
    owned = await register(open_hub, await open_hub.person("olga"))
    for method in ("GET", "PUT", "DELETE"):
        for token in (other["registration_access_token"], "", "x", made["client_id"]):
            answer = await managed(open_hub, method, made, token=token, json=FORM)
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
            assert "Bearer" in answer.headers["WWW-Authenticate"]
        foreign = {**made, "registration_client_uri": f"http://testserver{REGISTER}/{owned.id}"}
        assert (await managed(open_hub, method, foreign, json=FORM)).status_code == 401
        empty = await managed(open_hub, method, foreign, token="", json=FORM)
        assert empty.status_code == 401
    read = (await managed(open_hub, "GET", made)).json()
    assert read == made
    changed = FORM | {"client_id": made["client_id"], "client_name": "Renamed"}
    del changed["scope"]
    answer = (await managed(open_hub, "PUT", made, json=changed)).json()
    assert (answer["client_name"], answer["scope"]) == ("Renamed", "openid profile email")
    for wrong in (
        {"client_id": other["client_id"]},
        {"client_id": None},
        {"token_endpoint_auth_method": "client_secret_basic"},
    ):
        refused = await managed(open_hub, "PUT", made, json=changed | wrong)
        assert refused.json()["error"] == "invalid_client_metadata"
    assert (await managed(open_hub, "DELETE", made)).status_code == 204
    assert (await managed(open_hub, "GET", made)).status_code == 401
    assert (await managed(open_hub, "GET", other)).status_code == 200


async def test_24_neither_secret_nor_token_of_a_registration_is_kept(open_hub: Hub) -> None:
    made = await registered(open_hub, token_endpoint_auth_method="client_secret_basic")
    async with open_hub.database.transaction() as session:
        rows = await session.execute(text("SELECT c::text FROM oauth_clients c"))
        dump = "\n".join(rows.scalars())
    assert made["client_id"] in dump
    assert made["client_secret"] not in dump
    assert made["registration_access_token"] not in dump


async def test_registrations_count_like_sign_ins(
    hub: Hub, app: FastAPI, settings: Settings, test_database: Any
) -> None:
    few = {"dynamic_registration": True, "sign_in_rate_limit": "3/minute"}
    async with http_client(variant(app, settings, test_database, **few)) as client:
        answers = [await client.post(REGISTER, json=FORM) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]


async def test_what_nobody_signs_in_to_is_forgotten(open_hub: Hub) -> None:
    used, unused, young = [await registered(open_hub) for _ in range(3)]
    owned = await register(open_hub, await open_hub.person("olga"))
    await open_hub.person("ann")
    browser = surfer_at(open_hub)
    await browser.sign_in("ann")
    await App(open_hub, used["client_id"], None).tokens(browser)
    async with open_hub.database.transaction() as session:
        ids = [used["client_id"], unused["client_id"], owned.id]
        old = update(OAuthClient).where(col(OAuthClient.id).in_(ids))
        await session.execute(old.values(created_at=utcnow() - timedelta(days=31)))
        await purge_unused_registrations(session)
        left = set((await session.execute(select(col(OAuthClient.id)))).scalars())
    assert left == {used["client_id"], young["client_id"], owned.id}
