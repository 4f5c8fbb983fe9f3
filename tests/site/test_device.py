"""Signing in on a device, and out of an app, in a real browser."""

from playwright.async_api import Browser, Page, expect

from tests.hub import PASSWORD
from tests.oauth.apps import App, allow, register
from tests.oauth.browsing import Surfer
from tests.oauth.test_devices import ask, poll
from tests.site.visits import Served, visiting


async def sign_in(page: Page, username: str) -> None:
    await page.locator("#username").fill(username)
    await page.locator("#password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def test_a_person_allows_a_device_and_is_signed_out_by_the_app(
    browser: Browser, served: Served
) -> None:
    hub, name = served.hub, "device-user"
    app = await register(
        hub,
        await hub.person(f"owner-of-{name}"),
        name="Terminal reader",
        type="native",
        redirect_uris=[],
        homepage_url="https://reader.example.org/",
        post_logout_redirect_uris=[f"{served.url}/topics/none"],
    )
    await hub.person(name)
    asked = (await ask(app, scope="openid profile posts:write")).json()
    async with visiting(browser, served) as visit:
        page = visit.page
        await page.goto(asked["verification_uri_complete"])
        await sign_in(page, name)
        await expect(page.locator("#user_code")).to_have_value(asked["user_code"])
        await page.locator("#user_code").fill("bbbb bbbb")
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("alert")).to_contain_text("No device waits")
        await page.locator("#user_code").fill(asked["user_code"].replace("-", " ").lower())
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator("h1")).to_contain_text("Terminal reader on a device asks")
        await page.get_by_role("button", name="Allow", exact=True).click()
        await expect(page.locator("h1")).to_contain_text("may act for you")
        tokens = (await poll(app, asked["device_code"])).json()

        address = f"{served.url}/oauth/logout?client_id={app.id}"
        await page.goto(f"{address}&post_logout_redirect_uri=https://evil.example/")
        await expect(page.get_by_role("alert")).to_contain_text("did not register")
        query = f"&id_token_hint={tokens['id_token']}"
        await page.goto(address + query)
        await expect(page.locator("h1")).to_contain_text("You are signed out")
        assert visit.elsewhere == []


async def test_a_form_of_another_site_signs_out(browser: Browser, served: Served) -> None:
    """The cookie is `SameSite=Lax`: it does not come with such a form, but with what follows."""
    hub, name = served.hub, "posted-logout"
    landing = f"{served.url}/topics/none"
    owner = await hub.person(f"owner-of-{name}")
    uris = {"redirect_uris": [landing], "post_logout_redirect_uris": [landing]}
    app = await register(hub, owner, type="spa", **uris)
    await hub.person(name)
    async with visiting(browser, served) as visit:
        page = visit.page
        await visit.go("/sign-in?next=/sign-out")
        await sign_in(page, name)
        await expect(page.locator("main")).to_contain_text("You are signed in here as")
        token = await _id_token(app, page)
        await page.goto("data:text/html,<title>app</title>")
        await page.set_content(
            f'<form method="post" action="{served.url}/oauth/logout">'
            f'<input name="id_token_hint" value="{token}">'
            f'<input name="post_logout_redirect_uri" value="{landing}"><button>Out</button></form>'
        )
        await page.get_by_role("button").click()
        await page.wait_for_url(landing)
        await visit.go("/sign-out")
        await expect(page.locator("main")).to_contain_text("You are not signed in")


async def _id_token(app: App, page: Page) -> str:
    """What the app got when the person at this page signed in."""
    surfer = Surfer(app.hub.client)
    for cookie in await page.context.cookies():
        surfer.client.cookies.set(cookie["name"], cookie["value"])
    try:
        answer = await allow(surfer, app.asks())
    finally:
        surfer.client.cookies.clear()
    code = answer.headers["Location"].partition("code=")[2].partition("&")[0]
    token: str = (await app.redeem(code)).json()["id_token"]
    return token
