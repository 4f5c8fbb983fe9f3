"""The account pages in a real browser: they fit, raise no barrier and do what they say."""

import re
import zipfile

import pytest
from playwright.async_api import Browser, Page, expect

from backend_hub.oauth.models import Consent
from backend_hub.site.account import SECTIONS
from tests.hub import PASSWORD, Hub
from tests.site.visits import Served, Visit, visiting

APP = {
    "name": "Study planner with a rather long name that has to wrap somewhere on a telephone",
    "type": "web",
    "redirect_uris": ["https://planner.example.org/a/rather/long/callback/that/has/to/wrap"],
    "scopes": ["openid", "profile", "questions:write"],
    "homepage_url": "https://planner.example.org/",
}
TOKEN = {"name": "Nightly backup", "scopes": ["posts:write"], "expires_in_days": 30}


async def sign_in(page: Page, username: str) -> None:
    await page.locator("#username").fill(username)
    await page.locator("#password").fill(PASSWORD)
    await page.locator("main button[type=submit]").click()


async def furnish(hub: Hub, username: str) -> list[str]:
    """Somebody with an app, a token and a consent; the paths of all account pages."""
    person = await hub.person(username)
    app = await person.create("/oauth/clients", APP)
    await person.create("/users/me/tokens", TOKEN)
    async with hub.database.transaction() as session:
        row = {"user_id": person.id, "client_id": app["id"], "scope": "openid posts:write"}
        session.add(Consent.model_validate(row))
    more = ["/account/tokens/new", "/account/apps/new", "/account/data/delete"]
    return [*(path for path, _ in SECTIONS), *more, f"/account/apps/{app['id']}"]


async def enter(visit: Visit, username: str) -> None:
    await visit.go("/account")
    await sign_in(visit.page, username)
    await expect(visit.page.locator("h1")).to_contain_text("Your account")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_account_pages_fit_and_axe_finds_no_barrier(
    browser: Browser, served: Served, axe: str, scheme: str, width: int
) -> None:
    username = f"{scheme}-{width}"
    paths = await furnish(served.hub, username)
    size = {"width": width, "height": 900}
    options = {"color_scheme": scheme, "viewport": size, "bypass_csp": True}
    async with visiting(browser, served, **options) as visit:
        await enter(visit, username)
        for path in paths:
            await visit.go(path)
            assert await visit.page.evaluate("document.documentElement.scrollWidth") <= width, path
            await visit.page.add_script_tag(content=axe)
            found = await visit.page.evaluate("axe.run()")
            barriers = [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]]
            assert barriers == [], path
        visit.went_well()


async def test_43_a_token_is_made_shown_and_revoked_without_a_script(
    browser: Browser, served: Served
) -> None:
    await served.hub.person("token-maker")
    async with visiting(browser, served, java_script_enabled=False) as visit:
        await enter(visit, "token-maker")
        page = visit.page
        await visit.go("/account/tokens/new")
        await page.get_by_label("Name").fill("Backup")
        await page.get_by_label("Vote, comment and bookmark").check()
        await page.get_by_role("button", name="Make the token").click()
        await expect(page.locator(".secret")).to_have_text(re.compile(r"^hub_pat_\w{49}$"))
        await page.get_by_role("link", name="I have copied it").click()
        await page.get_by_role("button", name="Revoke Backup").click()
        await expect(page.locator("main")).to_contain_text("You have none.")
        visit.went_well()


async def test_data_is_downloaded_and_the_account_deleted(browser: Browser, served: Served) -> None:
    await served.hub.person("leaver")
    async with visiting(browser, served) as visit:
        await enter(visit, "leaver")
        page = visit.page
        await visit.go("/account/data")
        async with page.expect_download() as begun:
            await page.get_by_role("button", name="Download your data").click()
        download = await begun.value
        assert download.suggested_filename == "leaver.zip"
        assert "profile.json" in zipfile.ZipFile(await download.path()).namelist()
        await page.get_by_role("link", name="Delete your account").click()
        await page.get_by_label("Goes too").check()
        await page.get_by_label("Type your name, leaver").fill("leaver")
        await page.get_by_role("button", name="Delete my account").click()
        await expect(page.locator("h1")).to_have_text("Your account is deleted")
        visit.went_well()
