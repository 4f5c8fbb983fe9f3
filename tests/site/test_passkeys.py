"""Second factors and passkeys in a real browser, with the virtual authenticator of Chromium."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyotp
import pytest
from playwright.async_api import Browser, Page, expect

from tests.hub import PASSWORD
from tests.site.test_browser import SCHEMES
from tests.site.visits import Served, Visit, visiting

PAGE = "/account/factors"
PICTURES = os.environ.get("HUB_TEST_PICTURES", "")
"""A folder for pictures of the pages, for whoever wants to look at them."""


@asynccontextmanager
async def with_authenticator(browser: Browser, served: Served) -> AsyncIterator[Visit]:
    """A browser on a device that knows its owner."""
    async with visiting(browser, served) as visit:
        cdp = await visit.page.context.new_cdp_session(visit.page)
        await cdp.send("WebAuthn.enable")
        device = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        await cdp.send("WebAuthn.addVirtualAuthenticator", {"options": device})
        yield visit


async def send_password(visit: Visit, username: str, target: str = "/account") -> None:
    await visit.go(f"/sign-in?next={target}")
    await visit.page.locator("#username").fill(username)
    await visit.page.locator("#password").fill(PASSWORD)
    await visit.page.get_by_role("button", name="Sign in", exact=True).click()


async def add_passkey(visit: Visit, name: str) -> None:
    await visit.go(PAGE)
    await visit.page.locator("#name").fill(name)
    await visit.page.get_by_role("button", name="Add a passkey").click()
    await expect(visit.page.locator(".title", has_text=name)).to_be_visible()


async def sign_out(page: Page, url: str) -> None:
    await page.goto(f"{url}/sign-out")
    await page.get_by_role("button", name="Sign out of this browser").click()
    await page.wait_for_url(f"{url}/")


async def test_signing_up_out_and_in_with_a_passkey(browser: Browser, local: Served) -> None:
    async with with_authenticator(browser, local) as visit:
        page = visit.page
        await visit.go("/sign-up?next=/account")
        await page.get_by_role("link", name="Make an account with a passkey").click()
        await page.locator("#username").fill("keyholder")
        await page.locator("#email").fill("keyholder@example.org")
        await page.get_by_role("button", name="Make the account").click()
        await expect(page.locator("h1")).to_have_text("Your account")
        await sign_out(page, visit.url)
        await visit.go("/sign-in?next=/account")
        # The device answers for itself: the proposal behind the name field is enough.
        await expect(page.locator("h1")).to_have_text("Your account")
        visit.went_well()


async def test_signing_in_by_the_button(browser: Browser, local: Served) -> None:
    await local.hub.person("button-presser")
    async with with_authenticator(browser, local) as visit:
        page = visit.page
        await page.add_init_script("delete PublicKeyCredential.isConditionalMediationAvailable")
        await send_password(visit, "button-presser")
        await add_passkey(visit, "Laptop")
        await sign_out(page, visit.url)
        await visit.go("/sign-in?next=/account/factors")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.locator("li", has_text="Laptop")).to_contain_text("Last used")
        visit.went_well()


async def test_a_passkey_after_the_password(browser: Browser, local: Served) -> None:
    await local.hub.person("two-steps")
    async with with_authenticator(browser, local) as visit:
        page = visit.page
        await page.add_init_script("delete PublicKeyCredential.isConditionalMediationAvailable")
        await send_password(visit, "two-steps")
        await add_passkey(visit, "Laptop")
        await page.get_by_role("button", name="Turn on: ask for a passkey").click()
        await expect(page.locator("h1")).to_have_text("Your recovery codes")
        await sign_out(page, visit.url)
        await send_password(visit, "two-steps")
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page.locator("h1")).to_have_text("Your account")
        visit.went_well()


async def test_a_device_without_a_passkey_says_so_and_the_page_goes_on(
    browser: Browser, local: Served
) -> None:
    async with with_authenticator(browser, local) as visit:
        await visit.go("/sign-in")
        button = visit.page.get_by_role("button", name="Sign in with a passkey")
        await button.click()
        await expect(visit.page.locator("form[data-passkey] .problem")).to_be_visible()
        await expect(button).to_be_enabled()


async def test_without_scripts_all_else_works(browser: Browser, local: Served) -> None:
    await local.hub.person("no-script")
    async with visiting(browser, local, java_script_enabled=False) as visit:
        await visit.go("/sign-in")
        await expect(visit.page.locator("noscript p")).to_be_visible()
        await send_password(visit, "no-script", PAGE)
        await visit.page.get_by_role("button", name="Set up an authenticator app").click()
        await expect(visit.page.locator(".qr")).to_be_visible()


async def test_another_name_of_the_hub_says_where_passkeys_work(
    browser: Browser, local: Served
) -> None:
    elsewhere = Served(local.url.replace("localhost", "127.0.0.1"), local.hub, {})
    async with visiting(browser, elsewhere) as visit:
        await visit.go("/sign-in")
        await expect(visit.page.locator("main")).to_contain_text(f"Passkeys work at {local.url}")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [390, 1280])
async def test_the_pages_of_second_factors_fit_and_raise_no_barrier(
    browser: Browser, local: Served, axe: str, scheme: str, width: int
) -> None:
    username = f"looks-{scheme}-{width}"
    await local.hub.person(username)
    size = {"width": width, "height": 900}
    options = {"color_scheme": scheme, "viewport": size, "bypass_csp": True}
    async with visiting(browser, local, **options) as visit:
        page = visit.page

        async def look(name: str) -> None:
            await page.wait_for_load_state()
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
            if PICTURES:
                file = Path(PICTURES) / f"{name}-{width}-{scheme}.png"
                await page.screenshot(path=file, full_page=True)
            await page.add_script_tag(content=axe)
            found = await page.evaluate("axe.run()")
            assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []

        cdp = await page.context.new_cdp_session(page)
        await cdp.send("WebAuthn.enable")
        device = {"protocol": "ctap2", "transport": "usb", "hasResidentKey": True}
        device |= {"hasUserVerification": True, "isUserVerified": True}
        await cdp.send("WebAuthn.addVirtualAuthenticator", {"options": device})
        await visit.go("/sign-up/passkey")
        await look("sign-up-passkey")
        await visit.go("/sign-in")
        await look("sign-in")
        await page.add_init_script("delete PublicKeyCredential.isConditionalMediationAvailable")
        await send_password(visit, username, PAGE)
        await look("factors-off")
        await add_passkey(visit, "Blue key")
        await page.get_by_role("button", name="Set up an authenticator app").click()
        await look("app")
        key = (await page.locator(".key").inner_text()).replace(" ", "")
        await page.locator("#code").fill("000000")
        await page.get_by_role("button", name="Turn it on").click()
        await expect(page.locator(".problem")).to_be_visible()
        await look("app-wrong")
        await page.locator("#code").fill(pyotp.TOTP(key).now())
        await page.get_by_role("button", name="Turn it on").click()
        codes = await page.locator(".codes code").all_inner_texts()
        assert all(re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", code) for code in codes)
        async with page.expect_download() as begun:
            await page.get_by_role("link", name="Download").click()
        kept = await asyncio.to_thread(Path(await (await begun.value).path()).read_text)
        assert [code for code in codes if code in kept] == codes
        await look("codes")
        await page.get_by_role("link", name="I have kept them").click()
        await look("factors-on")
        await sign_out(page, visit.url)
        await send_password(visit, username)
        await look("second-step")
        await page.locator("#code").fill("000000")
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator("#problem")).to_be_visible()
        await look("second-step-wrong")
