"""Providers that admins manage while the hub runs, presets, and GitHub."""

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import select
from sqlmodel import col

from backend_hub.db import AsyncSession
from backend_hub.errors import ConfigurationError
from backend_hub.identity.models import IdentityProvider
from backend_hub.identity.presets import keep_configured_providers
from backend_hub.settings import Settings, load_settings
from backend_hub.users.models import Role
from tests.conftest import SECRET
from tests.hub import Hub
from tests.identity.doubles import CLIENT_ID, CLIENT_SECRET, GitHub, Liar
from tests.identity.trips import admin_of, come_back, join, leave, offer, who
from tests.oauth.browsing import Surfer, surfer_at

PATH = "/identity-providers"
FORM: dict[str, Any] = {
    "slug": "school",
    "name": "The school",
    "issuer": "https://login.school.example.org/",
    "client_id": "the-hub",
    "client_secret": "what-the-school-gave",
}


async def row(hub: Hub, slug: str) -> IdentityProvider:
    async with hub.database.transaction() as session:
        found = select(IdentityProvider).where(col(IdentityProvider.slug) == slug)
        return (await session.execute(found)).scalar_one()


async def test_a_provider_is_offered_at_once_and_its_secret_is_never_shown(hub: Hub) -> None:
    admin = await admin_of(hub)
    answer = await admin.post(PATH, FORM)
    assert answer.status_code == 201
    made = answer.json()
    assert made["redirect_uri"] == "http://testserver/sign-in/with/school/callback"
    assert made["has_secret"] is True
    assert made["issuer"] == FORM["issuer"]
    read = await admin.get(answer.headers["Location"])
    assert read.json() == made
    assert read.headers["ETag"].startswith('"1-')
    assert (await admin.read(PATH))["items"] == [made]
    assert FORM["client_secret"] not in answer.text + read.text
    assert FORM["client_secret"].encode() not in ((await row(hub, "school")).sealed_secret or b"")
    offered = {"items": [{"slug": "school", "name": "The school"}]}
    assert await hub.visitor.read("/auth/identity-providers") == offered
    for path in ("/sign-in", "/sign-up"):
        assert "Go on with The school" in (await surfer_at(hub).visit(path)).text


async def test_a_disabled_provider_signs_nobody_in(hub: Hub, liar: Liar) -> None:
    admin = await admin_of(hub)
    await offer(admin, liar.issuer())
    browser = surfer_at(hub)
    page, away = await browser.visit("/sign-in"), await leave(browser)
    path = f"{PATH}/liar"
    changed = await admin.patch(path, {"enabled": False}, if_match='"1"')
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert (await admin.patch(path, {"enabled": True}, if_match='"1"')).status_code == 412
    assert (await browser.send(page, "/sign-in/with/liar")).status_code == 404
    answer = liar.authorize(away, {"sub": "1"})
    assert (await come_back(browser, answer)).status_code == 400
    assert (await hub.visitor.read("/auth/identity-providers"))["items"] == []
    await admin.patch(path, {"enabled": True})
    assert (await join(browser, liar)).status_code == 303


async def test_a_provider_that_returns_knows_its_people(hub: Hub, liar: Liar) -> None:
    admin = await admin_of(hub)
    await offer(admin, liar.issuer())
    browser = surfer_at(hub)
    await join(browser, liar, "ann")
    assert (await admin.delete(f"{PATH}/liar")).status_code == 204
    assert (await admin.get(f"{PATH}/liar")).status_code == 404
    assert "Not offered now" in (await browser.visit("/account/identities")).text
    await offer(admin, liar.issuer(), slug="again")
    other = surfer_at(hub)
    url = await leave(other, "again")
    await come_back(other, liar.authorize(url, {"sub": "4711"}), "again")
    assert await who(other) == "ann"


async def test_a_new_secret_is_used_from_then_on(hub: Hub, liar: Liar) -> None:
    admin = await admin_of(hub)
    await offer(admin, liar.issuer(), client_secret="the-wrong-one")
    browser = surfer_at(hub)
    answer = liar.authorize(await leave(browser), {"sub": "1"})
    assert (await come_back(browser, answer)).status_code == 400
    await admin.patch(f"{PATH}/liar", {"client_secret": CLIENT_SECRET})
    assert (await join(browser, liar)).status_code == 303


async def test_slug_and_issuer_stand_there_once(hub: Hub) -> None:
    admin = await admin_of(hub)
    await admin.create(PATH, FORM)
    for change in ({"issuer": "https://other.example.org"}, {"slug": "other"}):
        answer = await admin.post(PATH, FORM | change)
        assert (answer.status_code, answer.json()["code"]) == (409, "provider_exists")
    both = {"slug": "other", "issuer": "https://other.example.org"}
    assert (await admin.post(PATH, FORM | both)).status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        {"slug": None},
        {"slug": "github"},
        {"slug": "a/b"},
        {"name": " "},
        {"issuer": "http://login.school.example.org"},
        {"issuer": "https://a@login.example.org"},
        {"issuer": "https://login.example.org/?a=b"},
        {"issuer": "https://login.example.org/#a"},
        {"issuer": "https://github.com"},
        {"issuer": "ftp://login.example.org"},
        {"client_id": ""},
        {"client_secret": "a b"},
        {"scope": "openid  email"},
        {"preset": "github"},
        {"kind": "saml"},
    ],
    ids=str,
)
async def test_a_bad_provider_is_refused(hub: Hub, changes: dict[str, Any]) -> None:
    admin = await admin_of(hub)
    assert (await admin.post(PATH, FORM | changes)).status_code == 422
    assert (await admin.post(PATH, FORM)).status_code == 201


async def test_plain_http_is_for_this_machine_and_development_only(
    hub: Hub, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await admin_of(hub)
    local = FORM | {"issuer": "http://127.0.0.1:9000"}
    monkeypatch.setattr(settings, "environment", "production")
    assert (await admin.post(PATH, local)).status_code == 422
    monkeypatch.setattr(settings, "environment", "development")
    assert (await admin.post(PATH, local)).status_code == 201


async def test_a_preset_needs_an_id_and_a_secret_only(hub: Hub) -> None:
    admin = await admin_of(hub)
    form = {"preset": "github", "client_id": "Iv1.0", "client_secret": "s3cret"}
    refused = {"preset": "github", "client_id": "Iv1.0"}
    assert (await admin.post(PATH, refused)).status_code == 422
    made = await admin.create(PATH, form)
    assert (made["name"], made["kind"], made["trusts_email"]) == ("GitHub", "github", True)
    url = await leave(surfer_at(hub), "github")
    assert url.startswith("https://github.com/login/oauth/authorize?")
    assert "code_challenge_method=S256" in url


async def test_only_admins_manage_providers(hub: Hub) -> None:
    moderator = await hub.person("moderator-mo", Role.moderator)
    assert (await moderator.post(PATH, FORM)).status_code == 403
    assert (await moderator.get(PATH)).status_code == 403
    assert (await (await admin_of(hub)).post(PATH, FORM)).status_code == 201


async def keep(hub: Hub, settings: Settings) -> None:
    async with hub.database.transaction() as session:
        assert isinstance(session, AsyncSession)
        await keep_configured_providers(session, settings)


async def test_settings_make_a_provider_that_the_api_cannot_change(
    hub: Hub, settings: Settings
) -> None:
    admin = await admin_of(hub)
    with_github = settings.model_copy(
        update={
            "github_client_id": "Iv1.8a61f9b3a7aba766",
            "github_client_secret": SecretStr("0123456789"),
        }
    )
    for _ in range(2):  # every start does it
        await keep(hub, with_github)
    read = await admin.read(f"{PATH}/github")
    assert (read["configured"], read["enabled"], read["has_secret"]) == (True, True, True)
    assert read["client_id"] == "Iv1.8a61f9b3a7aba766"
    answer = await admin.patch(f"{PATH}/github", {"enabled": False})
    assert (answer.status_code, answer.json()["code"]) == (409, "configured")
    assert (await admin.delete(f"{PATH}/github")).status_code == 409
    assert "Go on with GitHub" in (await surfer_at(hub).visit("/sign-in")).text
    await keep(hub, settings)
    assert "GitHub" not in (await surfer_at(hub).visit("/sign-in")).text
    assert (await admin.delete(f"{PATH}/github")).status_code == 204


def test_an_id_without_its_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="HUB_GITLAB_CLIENT_SECRET go together"):
        load_settings(secret_key=SECRET, gitlab_client_id="abc")


async def test_a_secret_of_another_hub_is_trouble_and_no_crash(
    hub: Hub, app: FastAPI, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    await offer(await admin_of(hub), liar.issuer())
    other = SecretStr("k" * 40)
    monkeypatch.setattr(app.state.settings, "secret_key", other)
    browser = surfer_at(hub)
    answer = liar.authorize(await leave(browser), {"sub": "1"})
    assert (await come_back(browser, answer)).status_code == 502


async def at_github(hub: Hub, github: GitHub) -> Surfer:
    await offer(await admin_of(hub), github.base, slug="forge", kind="github")
    return surfer_at(hub)


OCTOCAT = {"id": 583231, "login": "octocat", "name": "The Octocat", "email": "public@example.org"}


async def test_github_says_who_somebody_is_by_its_api(hub: Hub, github: GitHub) -> None:
    browser = await at_github(hub, github)
    github.user = OCTOCAT
    github.emails = [
        {"email": "old@example.org", "primary": False, "verified": True},
        {"email": "octocat@example.org", "primary": True, "verified": True},
    ]
    answer = await come_back(browser, github.authorize(await leave(browser, "forge")), "forge")
    path = answer.headers["Location"]
    page = await browser.visit(path)
    assert 'value="octocat"' in page.text
    await browser.send(page, path, username="octocat")
    me = await browser.visit("/account")
    assert "octocat@example.org" in me.text
    assert '<span class="badge">verified' in me.text
    github.user = OCTOCAT | {"login": "renamed"}  # the number stays
    again = surfer_at(hub)
    await come_back(again, github.authorize(await leave(again, "forge")), "forge")
    assert await who(again) == "octocat"


@pytest.mark.parametrize(
    "emails",
    [
        [],
        [{"email": "octocat@example.org", "primary": True, "verified": False}],
        [{"email": "octocat@example.org", "primary": False, "verified": True}],
    ],
)
async def test_of_github_only_a_verified_primary_address_counts(
    hub: Hub, github: GitHub, emails: list[dict[str, Any]]
) -> None:
    browser = await at_github(hub, github)
    github.user, github.emails = OCTOCAT, emails
    answer = await come_back(browser, github.authorize(await leave(browser, "forge")), "forge")
    page = await browser.visit(answer.headers["Location"])
    await browser.send(page, answer.headers["Location"], username="octocat")
    assert "<dd>none" in (await browser.visit("/account")).text


async def test_49_an_answer_of_another_site_is_not_githubs(hub: Hub, github: GitHub) -> None:
    browser = await at_github(hub, github)
    github.user = OCTOCAT
    answer = github.authorize(await leave(browser, "forge"))
    assert (
        await come_back(browser, answer | {"iss": "https://a.example"}, "forge")
    ).status_code == 400
    answer = github.authorize(await leave(browser, "forge"))
    answer["iss"] = f"{github.base}/login/oauth"
    assert (await come_back(browser, answer, "forge")).status_code == 303


@pytest.mark.parametrize("user", [{}, {"id": True}, {"id": "583231"}, []])
async def test_57_a_github_that_does_not_say_who_makes_nothing(
    hub: Hub, github: GitHub, user: Any
) -> None:
    browser = await at_github(hub, github)
    github.user = user
    answer = await come_back(browser, github.authorize(await leave(browser, "forge")), "forge")
    assert answer.status_code == 502


async def test_a_refused_code_at_github_signs_nobody_in(hub: Hub, github: GitHub) -> None:
    browser = await at_github(hub, github)
    answer = github.authorize(await leave(browser, "forge"))
    assert (await come_back(browser, answer | {"code": "stolen"}, "forge")).status_code == 400


async def test_userinfo_fills_in_the_address_of_the_same_person_only(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer(), client_id=CLIENT_ID)
    liar.metadata["userinfo_endpoint"] = f"{liar.issuer()}/userinfo"
    liar.userinfo = {"sub": "another", "email": "a@example.org", "email_verified": True}
    browser = surfer_at(hub)
    answer = liar.authorize(await leave(browser), {"sub": "4711"})
    assert (await come_back(browser, answer)).status_code == 400
    liar.userinfo["sub"] = "4711"
    back = await come_back(browser, liar.authorize(await leave(browser), {"sub": "4711"}))
    path = back.headers["Location"]
    await browser.send(await browser.visit(path), path, username="ann")
    assert "a@example.org" in (await browser.visit("/account")).text
