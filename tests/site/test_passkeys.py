"""Second factors and passkeys in a real browser, with the virtual authenticator of Chromium."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, expect

from tests.hub import PASSWORD
from tests.site.visits import Served, Visit, visiting

PAGE = "/account/factors"


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


async def test_signing_up_out_and_in_with_a_passkey(browser: Browser, served: Served) -> None:
    async with with_authenticator(browser, served) as visit:
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


async def test_signing_in_by_the_button(browser: Browser, served: Served) -> None:
    await served.hub.person("button-presser")
    async with with_authenticator(browser, served) as visit:
        page = visit.page
        await page.add_init_script("delete PublicKeyCredential.isConditionalMediationAvailable")
        await send_password(visit, "button-presser")
        await add_passkey(visit, "Laptop")
        await sign_out(page, visit.url)
        await visit.go("/sign-in?next=/account/factors")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.locator("li", has_text="Laptop")).to_contain_text("Last used")
        visit.went_well()


async def test_a_passkey_after_the_password(browser: Browser, served: Served) -> None:
    await served.hub.person("two-steps")
    async with with_authenticator(browser, served) as visit:
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
    browser: Browser, served: Served
) -> None:
    async with with_authenticator(browser, served) as visit:
        await visit.go("/sign-in")
        button = visit.page.get_by_role("button", name="Sign in with a passkey")
        await button.click()
        await expect(visit.page.locator("form[data-passkey] .problem")).to_be_visible()
        await expect(button).to_be_enabled()


async def test_without_scripts_all_else_works(browser: Browser, served: Served) -> None:
    await served.hub.person("no-script")
    async with visiting(browser, served, java_script_enabled=False) as visit:
        await visit.go("/sign-in")
        await expect(visit.page.locator("noscript p")).to_be_visible()
        await send_password(visit, "no-script", PAGE)
        await visit.page.get_by_role("button", name="Set up an authenticator app").click()
        await expect(visit.page.locator(".qr")).to_be_visible()


async def test_another_name_of_the_hub_says_where_passkeys_work(
    browser: Browser, served: Served
) -> None:
    elsewhere = Served(served.url.replace("localhost", "127.0.0.1"), served.hub, {})
    async with visiting(browser, elsewhere) as visit:
        await visit.go("/sign-in")
        await expect(visit.page.locator("main")).to_contain_text(f"Passkeys work at {served.url}")
