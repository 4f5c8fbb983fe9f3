"""Registering apps over the API. Numbers are those of the promises in docs/identity.md."""

from typing import Any

import pytest

from backend_hub.auth.tokens import SWAGGER_CLIENT
from backend_hub.users.models import Role
from tests.hub import Hub
from tests.oauth.apps import CALLBACK, SCOPES, register, scene, works

FORM: dict[str, Any] = {
    "name": "Planner",
    "type": "web",
    "redirect_uris": [CALLBACK],
    "scopes": SCOPES,
    "homepage_url": "https://planner.example/",
}


@pytest.mark.parametrize(
    ("client_type", "has_secret"),
    [("spa", False), ("native", False), ("web", True), ("machine", True)],
)
async def test_only_apps_that_can_keep_a_secret_get_one_and_see_it_once(
    hub: Hub, client_type: str, has_secret: bool
) -> None:
    olga = await hub.person("olga")
    uris = [] if client_type == "machine" else [CALLBACK]
    answer = await olga.post("/oauth/clients", FORM | {"type": client_type, "redirect_uris": uris})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.json()
    assert (made["client_secret"] is not None) == has_secret
    assert made["verified"] is False
    read = await olga.read(answer.headers["Location"])
    assert read == {name: value for name, value in made.items() if name != "client_secret"}
    assert (await olga.read("/oauth/clients"))["items"] == [read]


async def test_apps_are_seen_by_their_owner_and_by_admins(hub: Hub) -> None:
    olga, eve = await hub.person("olga"), await hub.person("eve", Role.moderator)
    admin = await hub.person("root-admin", Role.admin)
    app = await register(hub, olga)
    path = f"/oauth/clients/{app.id}"
    for person, status in ((olga, 200), (admin, 200), (eve, 404), (hub.visitor, 401)):
        assert (await person.get(path)).status_code == status
    assert (await eve.patch(path, {"name": "Mine"})).status_code == 404
    assert (await eve.delete(path)).status_code == 404
    assert (await eve.read("/oauth/clients"))["items"] == []
    assert [item["id"] for item in (await admin.read("/oauth/clients"))["items"]] == [app.id]


async def test_only_admins_verify_and_a_changed_app_is_to_be_verified_again(hub: Hub) -> None:
    olga, admin = await hub.person("olga"), await hub.person("root-admin", Role.admin)
    app = await register(hub, olga)
    path = f"/oauth/clients/{app.id}"
    assert (await olga.patch(path, {"verified": True})).status_code == 403
    assert (await admin.patch(path, {"verified": True})).json()["verified"] is True
    changed = await olga.patch(path, {"homepage_url": "https://planner.example/new"})
    assert changed.json()["verified"] is True
    changed = await olga.patch(path, {"redirect_uris": [f"{CALLBACK}/2"]})
    assert (changed.status_code, changed.json()["verified"]) == (200, False)


async def test_15_a_change_cannot_bring_in_a_dangerous_redirect_uri(hub: Hub) -> None:
    olga = await hub.person("olga")
    path = f"/oauth/clients/{(await register(hub, olga)).id}"
    for uris in (["javascript:alert(1)"], ["http://app.example/cb"], []):
        assert (await olga.patch(path, {"redirect_uris": uris})).status_code == 422
    assert (await olga.patch(path, {"redirect_uris": [CALLBACK]})).status_code == 200


async def test_a_renewed_secret_replaces_the_one_before(hub: Hub) -> None:
    app, browser, _ = await scene(hub, type="web")
    olga = await hub.sign_in("olga")
    code = await app.code(browser)
    path = f"/oauth/clients/{app.id}/secret"
    assert (await olga.post(path)).status_code == 428
    renewed = (await olga.post(path, headers={"If-Match": '"1"'})).json()["client_secret"]
    assert (await app.redeem(code)).status_code == 401
    assert (await app.redeem(code, client_secret=renewed)).status_code == 200
    assert (await olga.post(path, headers={"If-Match": '"1"'})).status_code == 412
    spa = await register(hub, olga)
    refused = await olga.post(f"/oauth/clients/{spa.id}/secret", headers={"If-Match": "*"})
    assert refused.json()["code"] == "no_secret"


async def test_removing_an_app_signs_everybody_out_of_it(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    olga = await hub.sign_in("olga")
    tokens = await app.tokens(browser)
    assert (await olga.delete(f"/oauth/clients/{app.id}")).status_code == 204
    assert not await works(hub, tokens["access_token"])
    assert (await app.refresh(tokens["refresh_token"])).status_code == 400
    assert (await browser.visit(app.asks())).status_code == 400


async def test_the_hubs_own_app_cannot_be_changed(hub: Hub) -> None:
    admin = await hub.person("root-admin", Role.admin)
    app, browser, _ = await scene(hub)
    app.id, app.redirect_uri = SWAGGER_CLIENT, "http://testserver/docs/oauth2-redirect"
    assert (await browser.visit(app.asks())).status_code == 200
    path = f"/oauth/clients/{SWAGGER_CLIENT}"
    assert (await admin.patch(path, {"name": "Mine"})).json()["code"] == "built_in"
    assert (await admin.delete(path)).json()["code"] == "built_in"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": " "},
        {"type": "robot"},
        {"redirect_uris": []},
        {"redirect_uris": [CALLBACK] * 21},
        {"type": "machine"},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"homepage_url": "javascript:alert(1)"},
        {"verified": True},
        {"owner_id": "00000000-0000-7000-8000-000000000000"},
    ],
)
async def test_a_bad_registration_is_refused(hub: Hub, changes: dict[str, Any]) -> None:
    olga = await hub.person("olga")
    assert (await olga.post("/oauth/clients", FORM | changes)).status_code == 422
    assert (await olga.post("/oauth/clients", FORM)).status_code == 201
