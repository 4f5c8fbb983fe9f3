"""The account pages in a real browser: they do what they say."""

import re
import zipfile

from playwright.async_api import Browser, Page, expect

from tests.hub import PASSWORD
from tests.site.visits import Served, Visit, visiting


async def sign_in(page: Page, username: str) -> None:
    await page.locator("#username").fill(username)
    await page.locator("#password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def enter(visit: Visit, username: str) -> None:
    await visit.go("/account")
    await sign_in(visit.page, username)
    await expect(visit.page.locator("h1")).to_contain_text("Your account")


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
        await expect(page.locator("main")).to_contain_text("None yet.")
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
