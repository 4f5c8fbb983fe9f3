"""The token endpoint. Numbers are those of the promises in docs/identity.md."""

import asyncio
import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from jose import jwt
from sqlalchemy import text, update
from sqlmodel import col

from backend_hub.auth.models import RefreshToken, TokenFamily
from backend_hub.db import utcnow
from backend_hub.oauth.grants import withdraw_consent
from backend_hub.oauth.models import AuthorizationCode
from backend_hub.tables import metadata
from backend_hub.users.models import Role
from tests.auth.factors import at_second_step, send_code, turn_on
from tests.hub import Hub
from tests.oauth.apps import App, bearer, register, scene, works


def refused(answer: httpx.Response, error: str, status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert set(answer.json()) <= {"error", "error_description"}
    assert answer.headers["Cache-Control"] == "no-store"


async def age(hub: Hub, column: Any, seconds: int) -> None:
    async with hub.database.transaction() as session:
        older = update(column.class_).where(column.is_not(None))
        await session.execute(older.values({column.key: column - timedelta(seconds=seconds)}))


async def test_a_code_gives_tokens_that_work_and_tell_who_signed_in(hub: Hub) -> None:
    app, browser, ann = await scene(hub)
    answer = await app.redeem(await app.code(browser, nonce="n-0S6", scope="openid email"))
    tokens = answer.json()
    assert (answer.status_code, tokens["token_type"], tokens["scope"]) == (
        200,
        "Bearer",
        "email openid",
    )
    assert await works(hub, tokens["access_token"])
    header = jwt.get_unverified_header(tokens["id_token"])
    assert header["typ"] == "JWT"
    jwks = (await hub.client.get("/.well-known/jwks.json")).json()
    claims = jwt.decode(
        tokens["id_token"],
        jwks,
        algorithms=["RS256"],
        audience=app.id,
        issuer="http://testserver",
        access_token=tokens["access_token"],
        options={"require_at_hash": True, "require_exp": True},
    )
    assert (claims["sub"], claims["nonce"]) == (ann.id, "n-0S6")
    assert abs(claims["auth_time"] - utcnow().timestamp()) < 30
    access = jwt.get_unverified_claims(tokens["access_token"])
    assert jwt.get_unverified_header(tokens["access_token"])["typ"] == "at+jwt"
    assert (access["client_id"], access["aud"]) == (app.id, "http://testserver")
    told = await hub.client.get("/oauth/userinfo", headers=bearer(tokens["access_token"]))
    assert told.json() == {"sub": ann.id, "email": "ann@example.org", "email_verified": False}


async def test_the_id_token_tells_how_somebody_signed_in(hub: Hub) -> None:
    """Also through the second step, which leads back to the app."""
    app, browser, _ = await scene(hub)
    claims = jwt.get_unverified_claims((await app.tokens(browser, scope="openid"))["id_token"])
    assert claims["amr"] == ["pwd"]
    phone = await turn_on(hub, browser)
    other = await at_second_step(hub, "ann", target=app.asks(scope="openid"))
    page = await other.visit("/sign-in/second")
    assert "https://app.example" in page.headers["Content-Security-Policy"]
    entered = await send_code(other, phone.code())
    assert entered.headers["Location"] == app.asks(scope="openid")
    claims = jwt.get_unverified_claims((await app.tokens(other, scope="openid"))["id_token"])
    assert claims["amr"] == ["pwd", "otp", "mfa"]


async def test_userinfo_needs_a_token_with_openid(hub: Hub) -> None:
    app, browser, ann = await scene(hub)
    tokens = await app.tokens(browser, scope="posts:write")
    assert "id_token" not in tokens
    answer = await hub.client.get("/oauth/userinfo", headers=bearer(tokens["access_token"]))
    assert (answer.status_code, "openid" in answer.headers["WWW-Authenticate"]) == (403, True)
    assert (await hub.client.get("/oauth/userinfo")).status_code == 401
    tokens = await app.tokens(browser, scope="openid profile")
    told = await hub.client.post("/oauth/userinfo", headers=bearer(tokens["access_token"]))
    assert told.json() == {"sub": ann.id, "name": "ann", "preferred_username": "ann"}


@pytest.mark.parametrize(
    "grant_type", ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"]
)
async def test_04_other_grants_are_unsupported(hub: Hub, grant_type: str) -> None:
    app, _, _ = await scene(hub)
    form = {"username": "ann", "password": "seven calm otters swim"}
    refused(await app.token(grant_type=grant_type, **form), "unsupported_grant_type")


async def test_05_a_duplicated_parameter_is_refused(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    code = await app.code(browser)
    form = f"grant_type=authorization_code&client_id={app.id}&code={code}&code={code}"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(await hub.client.post("/oauth/token", content=form, headers=kind), "invalid_request")
    assert (await app.redeem(code)).status_code == 200


async def test_16_a_reused_code_is_refused_and_its_tokens_stop_working(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    code = await app.code(browser)
    tokens = (await app.redeem(code)).json()
    assert await works(hub, tokens["access_token"])
    refused(await app.redeem(code), "invalid_grant")
    assert not await works(hub, tokens["access_token"])
    refused(await app.refresh(tokens["refresh_token"]), "invalid_grant")


async def test_17_of_five_parallel_redemptions_one_succeeds(live: Hub) -> None:
    app, browser, _ = await scene(live)
    for _round in range(4):
        code = await app.code(browser)
        answers = await asyncio.gather(*(app.redeem(code) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]


@pytest.mark.parametrize(("seconds", "status"), [(50, 200), (61, 400)])
async def test_18_a_code_lives_60_seconds(hub: Hub, seconds: int, status: int) -> None:
    app, browser, _ = await scene(hub)
    code = await app.code(browser)
    await age(hub, col(AuthorizationCode.created_at), seconds)
    assert (await app.redeem(code)).status_code == status


async def test_19_a_code_is_for_the_client_that_asked(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    other = await register(hub, await hub.person("otto"))
    other.verifier = app.verifier
    code = await app.code(browser)
    refused(await other.redeem(code), "invalid_grant")
    assert (await app.redeem(code)).status_code == 200


@pytest.mark.parametrize("client_type", ["spa", "web"])
async def test_20_the_verifier_must_fit(hub: Hub, client_type: str) -> None:
    app, browser, _ = await scene(hub, type=client_type)
    code = await app.code(browser)
    refused(await app.redeem(code, code_verifier="x" * 43), "invalid_grant")
    refused(await app.redeem(code, code_verifier="-"), "invalid_request")
    refused(await app.redeem(code, code_verifier=app.challenge), "invalid_grant")
    assert (await app.redeem(code)).status_code == 200


@pytest.mark.parametrize("uri", ["https://app.example/other", "-", "https://app.example/Callback"])
async def test_21_the_redirect_uri_must_be_the_same(hub: Hub, uri: str) -> None:
    app, browser, _ = await scene(hub)
    code = await app.code(browser)
    refused(await app.redeem(code, redirect_uri=uri), "invalid_grant")
    assert (await app.redeem(code)).status_code == 200


@pytest.mark.parametrize("secret", ["-", "wrong", ""])
async def test_22_a_confidential_client_needs_its_secret(hub: Hub, secret: str) -> None:
    app, browser, _ = await scene(hub, type="web")
    code = await app.code(browser)
    refused(await app.redeem(code, client_secret=secret), "invalid_client", 401)
    assert (await app.redeem(code)).status_code == 200


@pytest.mark.parametrize(
    "header", ["Basic !!!", "Basic /////w==", "Basic", "Basic OjA6", "Bearer x"]
)
async def test_22_an_unreadable_basic_header_is_refused(hub: Hub, header: str) -> None:
    headers = {"Authorization": header}
    form = {"grant_type": "client_credentials"}
    answer = await hub.client.post("/oauth/token", data=form, headers=headers)
    assert answer.status_code in {400, 401}
    assert answer.json()["error"] in {"invalid_request", "invalid_client"}


async def test_23_tokens_are_never_stored_and_get_is_refused(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    answer = await app.redeem(await app.code(browser))
    assert answer.headers["Cache-Control"] == "no-store"
    assert (await hub.client.get("/oauth/token")).status_code == 405


async def test_24_a_dump_of_the_database_holds_nothing_usable(hub: Hub) -> None:
    app, browser, _ = await scene(hub, type="web")
    unused = await app.code(browser)
    tokens = await app.tokens(browser)
    secrets = [unused, tokens["access_token"], tokens["refresh_token"], app.secret or ""]
    secrets += [tokens["id_token"], *browser.client.cookies.values()]
    dump = ""
    async with hub.database.transaction() as session:
        for table in metadata.sorted_tables:
            rows = await session.execute(text(f"SELECT t::text FROM {table.name} t"))
            dump += "\n".join(rows.scalars())
    assert app.id in dump
    assert [secret for secret in secrets if len(secret) > 20 and secret in dump] == []
    assert all(len(secret) > 20 for secret in secrets)


async def test_25_debug_logs_hold_no_token(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    app, browser, _ = await scene(hub, type="web")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("probe").debug("a line")
        code = await app.code(browser)
        tokens = (await app.redeem(code)).json()
        again = (await app.refresh(tokens["refresh_token"])).json()
    found = [code, app.secret, *browser.client.cookies.values(), tokens["id_token"]]
    found += [t[name] for t in (tokens, again) for name in ("access_token", "refresh_token")]
    assert "a line" in caplog.text
    assert [secret for secret in found if secret and secret in caplog.text] == []


async def test_26_an_old_refresh_token_after_the_grace_ends_the_sign_in(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    tokens = await app.tokens(browser)
    child = (await app.refresh(tokens["refresh_token"])).json()
    await age(hub, col(RefreshToken.rotated_at), 31)
    refused(await app.refresh(tokens["refresh_token"]), "invalid_grant")
    refused(await app.refresh(child["refresh_token"]), "invalid_grant")
    assert not await works(hub, child["access_token"])


async def test_27_five_tabs_inside_the_grace_all_succeed(live: Hub) -> None:
    app, browser, _ = await scene(live)
    tokens = await app.tokens(browser)
    tabs = await asyncio.gather(*(app.refresh(tokens["refresh_token"]) for _ in range(5)))
    assert [tab.status_code for tab in tabs] == [200] * 5
    assert len({tab.json()["refresh_token"] for tab in tabs}) == 5
    assert await works(live, tabs[0].json()["access_token"])


async def test_28_a_grandparent_inside_the_grace_ends_the_sign_in(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    first = await app.tokens(browser)
    second = (await app.refresh(first["refresh_token"])).json()
    third = (await app.refresh(second["refresh_token"])).json()
    refused(await app.refresh(first["refresh_token"]), "invalid_grant")
    refused(await app.refresh(third["refresh_token"]), "invalid_grant")


async def test_29_the_absolute_expiry_survives_rotation(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    tokens = await app.tokens(browser)
    tokens = (await app.refresh(tokens["refresh_token"])).json()
    await age(hub, col(TokenFamily.expires_at), 30 * 24 * 3600 + 1)
    refused(await app.refresh(tokens["refresh_token"]), "invalid_grant")


async def test_30_refreshing_cannot_widen_the_scope_or_change_the_client(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    other = await register(hub, await hub.person("otto"))
    tokens = await app.tokens(browser, scope="openid posts:write")
    refused(
        await app.refresh(tokens["refresh_token"], scope="posts:write questions:write"),
        "invalid_scope",
    )
    refused(await other.refresh(tokens["refresh_token"]), "invalid_grant")
    first_party = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    answer = await hub.visitor.request("POST", "/auth/token", data=first_party)
    assert answer.status_code == 401
    narrow = (await app.refresh(tokens["refresh_token"], scope="posts:write")).json()
    assert narrow["scope"] == "posts:write"
    whole = (await app.refresh(narrow["refresh_token"])).json()
    assert whole["scope"] == "openid posts:write"


async def test_30_an_app_cannot_refresh_the_hubs_own_sign_in(hub: Hub) -> None:
    app, _, ann = await scene(hub)
    refused(await app.refresh(ann.refresh_token), "invalid_grant")


async def test_31_disabling_a_person_ends_what_apps_hold(hub: Hub) -> None:
    app, browser, ann = await scene(hub)
    unused, tokens = await app.code(browser), await app.tokens(browser)
    admin = await hub.person("root-admin", Role.admin)
    await admin.patch(f"/accounts/{ann.id}", {"disabled": True})
    refused(await app.redeem(unused), "invalid_grant")
    refused(await app.refresh(tokens["refresh_token"]), "invalid_grant")
    assert not await works(hub, tokens["access_token"])


async def test_32_withdrawing_consent_ends_that_apps_tokens_only(hub: Hub) -> None:
    """The page for it is still to come; this is what it will call."""
    app, browser, ann = await scene(hub)
    other = await register(hub, await hub.person("otto"))
    tokens, kept = await app.tokens(browser), await other.tokens(browser)
    unused = await app.code(browser)
    async with hub.database.transaction() as session:
        await withdraw_consent(session, UUID(ann.id), app.id)
    refused(await app.refresh(tokens["refresh_token"]), "invalid_grant")
    refused(await app.redeem(unused), "invalid_grant")
    assert not await works(hub, tokens["access_token"])
    assert await works(hub, kept["access_token"])


async def test_34_an_id_token_is_no_access_token(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    tokens = await app.tokens(browser)
    assert await works(hub, tokens["access_token"])
    assert not await works(hub, tokens["id_token"])


async def test_37_an_app_may_do_what_was_allowed_and_nothing_else(hub: Hub) -> None:
    app, browser, _ = await scene(hub)
    tokens = await app.tokens(browser, scope="questions:write")
    ask = {"title": "Why is it slow?", "body": "It is."}
    headers = bearer(tokens["access_token"])
    assert (await hub.visitor.post("/questions", ask, headers=headers)).status_code == 201
    made = await hub.visitor.post(
        "/resources",
        {"kind": "link", "title": "A", "url": "https://example.org", "body": "b"},
        headers=headers,
    )
    assert made.status_code == 403
    assert 'scope="resources:write"' in made.headers["WWW-Authenticate"]


async def test_41_introspection_tells_an_app_about_its_own_tokens_only(hub: Hub) -> None:
    app, browser, ann = await scene(hub, type="web")
    other = await register(hub, await hub.person("otto"), type="web")
    tokens = await app.tokens(browser)

    async def introspect(client: App, token: str, **form: str) -> httpx.Response:
        secret = {"client_secret": client.secret or ""}
        data = {"client_id": client.id, **secret, "token": token, **form}
        return await hub.client.post("/oauth/introspect", data=data)

    for kind in ("access_token", "refresh_token"):
        told = (await introspect(app, tokens[kind])).json()
        assert (told["active"], told["sub"], told["client_id"]) == (True, ann.id, app.id)
        assert (await introspect(other, tokens[kind])).json() == {"active": False}
        anonymous = await hub.client.post("/oauth/introspect", data={"token": tokens[kind]})
        refused(anonymous, "invalid_client", 401)
    assert (await introspect(app, "unknown")).json() == {"active": False}
    await app.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    form = {"client_id": app.id, "client_secret": app.secret, "token": tokens["refresh_token"]}
    assert (await hub.client.post("/oauth/revoke", data=form)).status_code == 200
    assert (await introspect(app, tokens["access_token"])).json() == {"active": False}


async def test_42_revoking_ends_the_sign_in_and_an_unknown_token_is_fine(hub: Hub) -> None:
    """Promise 39 too: the next request, at any worker, reads the row that was written."""
    app, browser, _ = await scene(hub)
    other = await register(hub, await hub.person("otto"))

    async def revoke(client: App, token: str, hint: str) -> httpx.Response:
        form = {"client_id": client.id, "token": token, "token_type_hint": hint}
        return await hub.client.post("/oauth/revoke", data=form)

    assert (await revoke(app, "unknown", "refresh_token")).status_code == 200
    for kind in ("access_token", "refresh_token"):
        tokens = await app.tokens(browser)
        assert (await revoke(other, tokens[kind], kind)).status_code == 400
        assert await works(hub, tokens["access_token"])
        assert (await revoke(app, tokens[kind], "something")).status_code == 200
        assert not await works(hub, tokens["access_token"])
        refused(await app.refresh(tokens["refresh_token"]), "invalid_grant")


async def test_a_machine_acts_for_its_owner_with_no_more_than_was_registered(hub: Hub) -> None:
    olga = await hub.person("olga")
    scopes = ["posts:write", "users:admin", "openid"]
    app = await register(hub, olga, type="machine", redirect_uris=[], scopes=scopes)
    answer = await app.token(grant_type="client_credentials")
    tokens = answer.json()
    assert (answer.status_code, tokens["scope"]) == (200, "posts:write")
    assert "refresh_token" not in tokens
    assert await works(hub, tokens["access_token"])
    wide = await app.token(grant_type="client_credentials", scope="questions:write")
    refused(wide, "invalid_scope")
    refused(
        await app.token(grant_type="client_credentials", client_secret="-"), "invalid_client", 401
    )
    admin = await hub.person("root-admin", Role.admin)
    await admin.patch(f"/accounts/{olga.id}", {"disabled": True})
    refused(await app.token(grant_type="client_credentials"), "invalid_grant")


async def test_only_machines_have_client_credentials_and_only_they_lack_codes(hub: Hub) -> None:
    app, _, _ = await scene(hub, type="web")
    refused(await app.token(grant_type="client_credentials"), "unauthorized_client")


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect"])
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"grant_type": "authorization_code"},
        {"grant_type": "\x00", "client_id": "\ud800".encode("utf-8", "surrogatepass")},
        {"grant_type": 'a"b', "client_id": 'a"b', "token": "t"},
        {"grant_type": "refresh_token", "client_id": "x" * 5000, "token": "t"},
    ],
)
async def test_bad_forms_are_refused_in_the_form_of_the_standard(
    hub: Hub, path: str, form: dict[str, Any]
) -> None:
    answer = await hub.client.post(path, data=form)
    assert answer.status_code in {400, 401}
    assert answer.json()["error"] in {"invalid_request", "invalid_client", "unsupported_grant_type"}
