"""Apps on devices without a browser (RFC 8628). Numbers are those of docs/identity.md."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from jose import jwt
from sqlalchemy import text
from sqlmodel import col

from backend_hub.oauth.devices import GUESSES_OF, read_user_code
from backend_hub.oauth.grants import withdraw_consent
from backend_hub.oauth.models import DeviceCode, UserCodeGuesses
from backend_hub.users.models import Role
from tests.hub import Hub, Person
from tests.oauth.apps import App, register, scene, verify, works
from tests.oauth.browsing import Surfer, hidden_fields, parameters, surfer_at
from tests.oauth.test_tokens import age, refused

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
WRONG = "BBBB-BBBB"


async def ask(app: App, **form: str) -> httpx.Response:
    data = {"client_id": app.id, "scope": "openid posts:write", **form}
    return await app.hub.client.post("/oauth/device_authorization", data=data)


async def poll(app: App, device_code: str, **form: str) -> httpx.Response:
    return await app.token(grant_type=GRANT, device_code=device_code, **form)


async def decide(browser: Surfer, user_code: str, decision: str = "allow") -> httpx.Response:
    """Type the code, and answer the question."""
    page = await browser.send(await browser.visit("/device"), "/device", user_code=user_code)
    assert page.status_code == 200, page.text
    return await browser.send(page, "/device/decision", decision=decision)


async def device_scene(hub: Hub, **form: Any) -> tuple[App, Surfer, Person, dict[str, Any]]:
    """An app of Olga's on a device, which asks; and Ann, who is signed in to the hub."""
    app, browser, ann = await scene(hub, **({"type": "native", "redirect_uris": []} | form))
    answer = await ask(app)
    assert answer.status_code == 200, answer.text
    return app, browser, ann, answer.json()


async def test_somebody_allows_a_device_and_it_signs_in(hub: Hub) -> None:
    app, browser, ann, asked = await device_scene(hub)
    assert asked["verification_uri"] == "http://testserver/device"
    assert asked["verification_uri_complete"].endswith(f"?user_code={asked['user_code']}")
    assert (asked["expires_in"], asked["interval"]) == (600, 5)
    refused(await poll(app, asked["device_code"]), "authorization_pending")
    page = await browser.visit(asked["verification_uri_complete"])
    assert f'value="{asked["user_code"]}"' in page.text
    page = await browser.send(page, "/device", user_code=asked["user_code"].lower())
    for words in ("Planner", asked["user_code"], "Vote, comment and bookmark", "Nobody at"):
        assert words in page.text
    done = await browser.send(page, "/device/decision", decision="allow")
    assert (done.status_code, "Go back to your device" in done.text) == (200, True)
    tokens = (await poll(app, asked["device_code"])).json()
    assert tokens["scope"] == "openid posts:write"
    claims = jwt.get_unverified_claims(tokens["id_token"])
    assert (claims["sub"], claims["aud"]) == (ann.id, app.id)
    assert {"auth_time", "sid"} <= set(claims)
    assert await works(hub, tokens["access_token"])
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    "typed", ["bcdf-ghjk", "BCDFGHJK", " bcdf ghjk ", "b.c.d.f.g.h.j.k", "BCDF--GHJK"]
)
def test_a_code_is_read_however_it_is_typed(typed: str) -> None:
    assert read_user_code(typed) == "BCDF-GHJK"


@pytest.mark.parametrize("typed", ["", "BCDF", "ABCD-EFGH", "1234-5678", "BCDF-GHJK-L"])
async def test_what_cannot_be_a_code_is_refused_and_is_no_guess(hub: Hub, typed: str) -> None:
    _, browser, _, asked = await device_scene(hub)
    page = await browser.visit("/device", params={"user_code": typed})
    answer = await browser.send(page, "/device", user_code=typed)
    assert (answer.status_code, "eight letters" in answer.text) == (422, True)
    async with hub.database.transaction() as session:
        assert (await session.execute(text("SELECT * FROM oauth_user_code_guesses"))).all() == []
    assert (await decide(browser, asked["user_code"])).status_code == 200


async def test_refusing_a_device_says_so_to_it(hub: Hub) -> None:
    app, browser, _, asked = await device_scene(hub)
    done = await decide(browser, asked["user_code"], "deny")
    assert "may not act for you" in done.text
    refused(await poll(app, asked["device_code"]), "access_denied")
    page = await browser.send(
        await browser.visit("/device"), "/device", user_code=asked["user_code"]
    )
    assert page.status_code == 404, "who refused cannot be asked again"


async def test_even_an_app_that_is_known_and_allowed_asks_each_time(hub: Hub) -> None:
    """Somebody else's device may show the code: a remembered consent says nothing about it."""
    app, browser, _, asked = await device_scene(hub)
    await verify(hub, app)
    await decide(browser, asked["user_code"])
    asked = (await ask(app)).json()
    page = await browser.send(
        await browser.visit("/device"), "/device", user_code=asked["user_code"]
    )
    assert "The operators of" in page.text
    refused(await poll(app, asked["device_code"]), "authorization_pending")


async def test_a_device_code_works_once_and_for_its_app(hub: Hub) -> None:
    app, browser, _, asked = await device_scene(hub)
    other = await register(hub, await hub.person("otto"), type="native")
    await decide(browser, asked["user_code"])
    refused(await poll(other, asked["device_code"]), "unauthorized_client")
    refused(await poll(app, "unknown"), "invalid_grant")
    refused(await poll(app, "-"), "invalid_request")
    assert (await poll(app, asked["device_code"])).status_code == 200
    refused(await poll(app, asked["device_code"]), "invalid_grant")


async def test_of_five_parallel_polls_one_collects_the_tokens(live: Hub) -> None:
    app, browser, _, asked = await device_scene(live)
    await decide(browser, asked["user_code"])
    polls = await asyncio.gather(*(poll(app, asked["device_code"]) for _ in range(5)))
    assert sorted(answer.status_code for answer in polls) == [200, 400, 400, 400, 400]


async def test_44_polling_too_fast_raises_the_interval_for_good(hub: Hub) -> None:
    app, browser, _, asked = await device_scene(hub)
    code = asked["device_code"]
    refused(await poll(app, code), "authorization_pending")
    refused(await poll(app, code), "slow_down")
    await age(hub, col(DeviceCode.polled_at), 6)
    refused(await poll(app, code), "slow_down")
    await age(hub, col(DeviceCode.polled_at), 12)
    refused(await poll(app, code), "slow_down")
    await age(hub, col(DeviceCode.polled_at), 20)
    refused(await poll(app, code), "authorization_pending")
    await decide(browser, asked["user_code"])
    assert (await poll(app, code)).status_code == 200, "what is decided need not wait"


async def test_44_guessing_user_codes_is_throttled_per_account(hub: Hub) -> None:
    app, browser, _, asked = await device_scene(hub)
    await hub.person("bob")
    bob = surfer_at(hub)
    await bob.sign_in("bob")
    for _ in range(GUESSES_OF["account"]):
        page = await browser.send(await browser.visit("/device"), "/device", user_code=WRONG)
        assert (page.status_code, "No device waits" in page.text) == (404, True)
    page = await browser.visit("/device")
    for path in ("/device", "/device/decision"):
        form = {"user_code": asked["user_code"], "decision": "allow"}
        answer = await browser.send(page, path, **form)
        assert (answer.status_code, "Too many wrong codes" in answer.text) == (429, True)
        assert 0 < int(answer.headers["Retry-After"]) <= 600
    refused(await poll(app, asked["device_code"]), "authorization_pending")
    assert (await decide(bob, asked["user_code"], "deny")).status_code == 200
    await age(hub, col(UserCodeGuesses.began_at), 601)
    again = (await ask(app)).json()
    assert (await decide(browser, again["user_code"])).status_code == 200


async def test_44_guessing_user_codes_is_throttled_per_address(hub: Hub) -> None:
    _, browser, _, asked = await device_scene(hub)
    for number in range(GUESSES_OF["address"] // GUESSES_OF["account"]):
        await hub.person(f"eve-{number}")
        eve = surfer_at(hub)
        await eve.sign_in(f"eve-{number}")
        for _ in range(GUESSES_OF["account"]):
            page = await eve.send(await eve.visit("/device"), "/device", user_code=WRONG)
            assert page.status_code == 404
    form = {"user_code": asked["user_code"]}
    answer = await browser.send(await browser.visit("/device"), "/device", **form)
    assert answer.status_code == 429


async def test_44_parallel_guesses_are_counted_too(live: Hub) -> None:
    _, browser, _, asked = await device_scene(live)
    page = await browser.visit("/device")
    guesses = (browser.send(page, "/device", user_code=WRONG) for _ in range(12))
    statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]
    assert sorted(statuses) == [404] * 5 + [429] * 7
    right = await browser.send(page, "/device", user_code=asked["user_code"])
    assert right.status_code == 429


async def test_right_codes_are_no_guesses(hub: Hub) -> None:
    app, browser, _, _ = await device_scene(hub)
    for _ in range(GUESSES_OF["account"] + 1):
        asked = (await ask(app)).json()
        assert (await decide(browser, asked["user_code"])).status_code == 200


async def test_a_code_expires_for_the_device_and_for_the_person(hub: Hub) -> None:
    app, browser, _, asked = await device_scene(hub)
    await age(hub, col(DeviceCode.expires_at), 601)
    refused(await poll(app, asked["device_code"]), "expired_token")
    page = await browser.send(
        await browser.visit("/device"), "/device", user_code=asked["user_code"]
    )
    assert page.status_code == 404


@pytest.mark.parametrize("client_type", ["spa", "web", "machine"])
async def test_only_native_apps_run_on_devices(hub: Hub, client_type: str) -> None:
    uris: dict[str, Any] = {"redirect_uris": []} if client_type == "machine" else {}
    app = await register(
        hub, await hub.person("olga"), type=client_type, scopes=["posts:write"], **uris
    )
    secret = {"client_secret": app.secret} if app.secret else {}
    answer = await ask(app, scope="posts:write", **secret)
    refused(answer, "unauthorized_client")
    refused(await poll(app, "any"), "unauthorized_client")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_id": "nobody"}, "invalid_client"),
        ({"scope": "nothing:known"}, "invalid_scope"),
        ({"resource": "https://evil.example"}, "invalid_target"),
    ],
)
async def test_a_bad_request_of_a_device_is_refused(
    hub: Hub, form: dict[str, str], error: str
) -> None:
    app, _, _, _ = await device_scene(hub)
    refused(await ask(app, **form), error)


async def test_a_device_gets_no_more_than_the_person_may(hub: Hub) -> None:
    scopes = ["openid", "users:admin"]
    app, browser, _, asked = await device_scene(hub, scopes=["openid", "posts:write", *scopes[1:]])
    asked = (await ask(app, scope="openid users:admin")).json()
    await decide(browser, asked["user_code"])
    assert (await poll(app, asked["device_code"])).json()["scope"] == "openid"
    asked = (await ask(app, scope="users:admin")).json()
    page = await browser.send(
        await browser.visit("/device"), "/device", user_code=asked["user_code"]
    )
    assert (page.status_code, "may not do" in page.text) == (403, True)


async def test_31_what_was_allowed_and_not_collected_ends_with_the_account(hub: Hub) -> None:
    app, browser, ann, asked = await device_scene(hub)
    await decide(browser, asked["user_code"])
    admin = await hub.person("root-admin", Role.admin)
    await admin.patch(f"/accounts/{ann.id}", {"disabled": True})
    await admin.patch(f"/accounts/{ann.id}", {"disabled": False})
    refused(await poll(app, asked["device_code"]), "invalid_grant")


async def test_typing_a_code_needs_to_be_signed_in_and_comes_back(hub: Hub) -> None:
    _, _, _, asked = await device_scene(hub)
    stranger = surfer_at(hub)
    sent = await stranger.visit(asked["verification_uri_complete"])
    target = parameters(sent)["next"]
    assert target == f"/device?user_code={asked['user_code']}"
    entered = await stranger.sign_in("ann", target)
    page = await stranger.visit(entered.headers["Location"])
    assert asked["user_code"] in page.text
    other = await stranger.visit("/device", params={"user_code": "//evil.example"})
    assert "evil" not in other.text


async def test_10_a_device_is_allowed_by_a_form_of_this_browser_only(hub: Hub) -> None:
    app, browser, _, asked = await device_scene(hub)
    await hub.person("eve")
    eve = surfer_at(hub)
    await eve.sign_in("eve")
    page, foreign = await browser.visit("/device"), await eve.visit("/device")
    form = {"user_code": asked["user_code"], "decision": "allow"}
    for path in ("/device", "/device/decision"):
        for answer in (
            await browser.send(page, path, **form, csrf=hidden_fields(foreign)["csrf"]),
            await browser.send(page, path, {"Sec-Fetch-Site": "cross-site"}, **form),
        ):
            assert answer.status_code == 403
    refused(await poll(app, asked["device_code"]), "authorization_pending")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


async def test_24_a_dump_holds_neither_code(hub: Hub) -> None:
    _, browser, _, asked = await device_scene(hub)
    await browser.send(await browser.visit("/device"), "/device", user_code=WRONG)
    dump = ""
    async with hub.database.transaction() as session:
        for table in ("oauth_device_codes", "oauth_user_code_guesses"):
            dump += "".join(
                (await session.execute(text(f"SELECT t::text FROM {table} t"))).scalars()
            )
    assert len(dump) > 100
    for secret in (asked["device_code"], asked["user_code"], asked["user_code"].replace("-", "")):
        assert secret not in dump


async def test_32_withdrawing_consent_ends_what_a_device_did_not_collect(hub: Hub) -> None:
    app, browser, ann, asked = await device_scene(hub)
    await decide(browser, asked["user_code"])
    async with hub.database.transaction() as session:
        await withdraw_consent(session, UUID(ann.id), app.id)
    refused(await poll(app, asked["device_code"]), "invalid_grant")
