"""The pages in a real browser: they work under their policies and ask no other site."""

import json

import pytest
from playwright.async_api import Browser, Page, expect

from tests.hub import PASSWORD, link
from tests.site.visits import Served, visiting

SCHEMES = ["light", "dark"]
PATIENCE = 30_000
"""Milliseconds that a page may take on a busy machine."""
expect.set_options(timeout=PATIENCE)


async def sign_in(page: Page, username: str) -> None:
    await page.locator(".auth-wrapper .btn.authorize").click()
    await page.locator("#oauth_username").fill(username)
    await page.locator("#oauth_password").fill(PASSWORD)
    form = page.locator(".modal-ux .auth-container", has=page.locator("#oauth_username"))
    await form.locator(".auth-btn-wrapper .authorize").click()
    await expect(page.locator(".modal-ux")).to_contain_text("Authorized")
    await page.locator(".modal-ux .close-modal").click()


async def execute(page: Page, operation: str, body: object = None) -> tuple[str, str]:
    """Try an operation out; the status and the text of the answer that the page shows."""
    block = page.locator(f"#operations-{operation}")
    await block.locator(".opblock-summary-control").click()
    if body is not None:
        await block.locator("textarea.body-param__text").fill(json.dumps(body))
    await block.locator(".btn.execute").click()
    answer = block.locator(".live-responses-table tbody .response")
    await expect(answer).to_be_visible()
    status = await answer.locator(".response-col_status").inner_text()
    return status.split()[0], await answer.inner_text()


async def test_swagger_ui_signs_in_reads_and_writes(browser: Browser, served: Served) -> None:
    username = "swagger-user"
    await served.hub.person(username)
    async with visiting(browser, served) as visit:
        await visit.go("/docs")
        await expect(visit.page.locator("#operations-users-read_me")).to_be_visible()
        await sign_in(visit.page, username)
        status, answer = await execute(visit.page, "users-read_me")
        assert (status, f"{username}@example.org" in answer) == ("200", True)
        form = link("Written in Swagger UI")
        status, answer = await execute(visit.page, "resources-add_resource", form)
        assert (status, "Written in Swagger UI" in answer) == ("201", True)
        visit.went_well()
    found = await served.hub.visitor.read("/resources", author=username)
    assert [item["title"] for item in found["items"]] == ["Written in Swagger UI"]


async def test_swagger_ui_signs_in_by_code_and_pkce(browser: Browser, served: Served) -> None:
    """The hub as a provider, and Swagger UI as an app: promises 58 and 60 in a real browser."""
    username = "swagger-by-code"
    await served.hub.person(username)
    async with visiting(browser, served) as visit:
        await visit.go("/docs")
        await visit.page.locator(".auth-wrapper .btn.authorize").click()
        form = visit.page.locator(".modal-ux .auth-container", has_text="authorizationCode")
        await expect(form.locator("#client_id_authorizationCode")).to_have_value("swagger-ui")
        for scope in ("openid", "resources:write"):
            await form.locator(f"label[for^='{scope}-authorizationCode']").click()
        async with visit.page.expect_popup() as opened:
            await form.locator(".auth-btn-wrapper .authorize").click()
        window = await opened.value
        await window.locator("#username").fill(username)
        await window.locator("#password").fill(PASSWORD)
        await window.get_by_role("button", name="Sign in", exact=True).click()
        await expect(window.locator("h1")).to_contain_text("Swagger UI asks")
        await window.get_by_role("button", name="Allow", exact=True).click()
        await expect(visit.page.locator(".modal-ux")).to_contain_text("Authorized")
        await visit.page.locator(".modal-ux .close-modal").click()
        status, answer = await execute(visit.page, "users-read_me")
        assert (status, f"{username}@example.org" in answer) == ("200", True)
        cookies = {c["name"]: c for c in await visit.page.context.cookies()}
        assert cookies["hub_session"]["httpOnly"]
        assert cookies["hub_session"]["sameSite"] == "Lax"
        visit.went_well()


async def test_swagger_ui_without_signing_in_is_refused(browser: Browser, served: Served) -> None:
    async with visiting(browser, served) as visit:
        await visit.go("/docs")
        assert (await execute(visit.page, "users-read_me"))[0] == "401"
        assert visit.elsewhere == []


async def test_swagger_ui_works_under_another_name_of_the_same_hub(
    browser: Browser, served: Served
) -> None:
    elsewhere = Served(served.url.replace("localhost", "127.0.0.1"), served.hub, served.paths)
    async with visiting(browser, elsewhere) as visit:
        await visit.go("/docs")
        assert (await execute(visit.page, "topics-list_topics"))[0] == "200"
        visit.went_well()


async def test_redoc_shows_and_searches_the_reference(browser: Browser, served: Served) -> None:
    async with visiting(browser, served) as visit:
        await visit.go("/redoc")
        await expect(visit.page.locator("h1").first).to_contain_text("Backend Hub")
        await visit.page.locator("input[placeholder='Search...']").fill("topic")
        await expect(visit.page.locator("[data-role='search:results'] li").first).to_be_visible()
        visit.went_well()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [390, 1280])
async def test_the_references_fit_and_raise_no_error(
    browser: Browser, served: Served, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 900}
    async with visiting(browser, served, color_scheme=scheme, viewport=size) as visit:
        for path in ("/docs", "/redoc"):
            await visit.go(path)
            await visit.page.wait_for_selector(".opblock, .redoc-wrap", timeout=PATIENCE)
            assert await visit.page.evaluate("document.documentElement.scrollWidth") <= width, path
        visit.went_well()


async def test_the_keyboard_reaches_the_content_first(browser: Browser, served: Served) -> None:
    async with visiting(browser, served) as visit:
        await visit.go("/")
        await visit.page.keyboard.press("Tab")
        skip = visit.page.locator(".skip")
        await expect(skip).to_be_focused()
        await expect(skip).to_be_in_viewport()
        await visit.page.keyboard.press("Enter")
        await expect(visit.page.locator("#main")).to_be_focused()
