"""Signing in with a certified OpenID provider, in a process of its own, and in a real browser."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from playwright.async_api import Page, async_playwright, expect

from backend_hub.users.models import Role
from tests.hub import Hub
from tests.identity.doubles import CLIENT_ID, CLIENT_SECRET, GitHub
from tests.identity.trips import admin_of, leave, offer, who
from tests.oauth.browsing import surfer_at
from tests.oauth.conftest import served_base, served_database_url, served_hub  # noqa: F401

HERE = Path(__file__).parent / "peers"
CACHE = Path(__file__).parents[2] / ".cache"
CHROMIUM = os.environ.get("HUB_TEST_CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
PATIENCE = 30_000
"""Milliseconds that a page may take on a busy machine."""
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def peers(worker_name: str) -> Path:
    """The folder with the certified provider, installed from the lock file."""
    name = "identity-peers" if worker_name == "main" else f"identity-peers-{worker_name}"
    folder = CACHE / name
    lock = (HERE / "package-lock.json").read_bytes()
    marker = folder / "installed.lock"
    if not marker.is_file() or marker.read_bytes() != lock:
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / file, folder / file)
        npm = shutil.which("npm") or pytest.fail("the provider comes from npm: install Node.js")
        install = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=folder, check=True, capture_output=True)
        marker.write_bytes(lock)
    shutil.copy(HERE / "provider.mjs", folder / "provider.mjs")
    return folder


@contextmanager
def running(folder: Path, hub: str) -> Iterator[str]:
    """The provider, whom that hub is known to; its issuer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        issuer = f"http://127.0.0.1:{probe.getsockname()[1]}"
    environment = os.environ | {
        "ISSUER": issuer,
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "REDIRECT_URIS": f"{hub}/sign-in/with/peer/callback",
    }
    command = ["node", "provider.mjs"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            assert b"listening" in process.stdout.readline()
            yield issuer
        finally:
            process.terminate()


_ACTION = re.compile(r'<form[^>]* action="([^"]+)"')
_PROMPT = re.compile(r'name="prompt" value="([^"]+)"')


async def sign_in_there(url: str, name: str) -> str:
    """Walk through the provider's pages as `name`; the address that it leads back to."""
    async with httpx.AsyncClient(timeout=30) as browser:
        answer = await browser.get(url)
        for _ in range(10):
            if answer.is_redirect:
                url = urljoin(str(answer.url), answer.headers["Location"])
                if "/sign-in/with/peer/callback" in url:
                    return url
                answer = await browser.get(url)
            else:
                action = _ACTION.search(answer.text)
                prompt = _PROMPT.search(answer.text)
                assert action, answer.text
                assert prompt, answer.text
                form = {"prompt": prompt[1], "login": name, "password": "any"}
                answer = await browser.post(urljoin(str(answer.url), action[1]), data=form)
    raise AssertionError("it never ended")


async def test_a_certified_provider(hub: Hub, peers: Path) -> None:
    """With its own defaults: discovery, PKCE, `iss`, RS256, the address by userinfo."""
    with running(peers, "http://testserver") as issuer:
        await offer(await admin_of(hub), issuer, slug="peer")
        browser = surfer_at(hub)
        back = await sign_in_there(await leave(browser, "peer", "/docs"), "pia")
        answer = await browser.visit(back)
        path = answer.headers["Location"]
        page = await browser.visit(path)
        assert 'value="pia"' in page.text
        answer = await browser.send(page, path, username="pia")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/docs")
        assert await who(browser) == "pia"
        me = await browser.visit("/account")
        assert "pia@peer.example" in me.text
        assert '<span class="badge">verified' in me.text
        again = surfer_at(hub)
        back = await sign_in_there(await leave(again, "peer"), "pia")
        thief = surfer_at(hub)
        await thief.visit("/sign-in")
        assert (await thief.visit(back)).status_code == 400
        assert (await again.visit(back)).status_code == 303
        assert await who(again) == "pia"


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await (await browser.new_context()).new_page()
        page.set_default_timeout(PATIENCE)
        yield page
        await browser.close()


async def sign_in_at_peer(page: Page, name: str) -> None:
    await page.locator("input[name=login]").fill(name)
    await page.locator("input[name=password]").fill("any")
    await page.get_by_role("button", name="Sign-in").click()


async def test_52_in_a_browser_two_tabs_finish_with_a_certified_provider(
    served_hub: Hub,  # noqa: F811
    peers: Path,
    page: Page,
) -> None:
    """And 48: the address that one of them came back to is worth nothing in another browser."""
    base = str(served_hub.client.base_url).rstrip("/")
    complaints: list[str] = []
    came_back: list[str] = []
    page.context.on(
        "console",
        lambda m: complaints.append(m.text) if m.location["url"].startswith(base) else None,
    )
    page.context.on("request", lambda r: came_back.append(r.url) if "/callback?" in r.url else None)
    with running(peers, base) as issuer:
        admin = await served_hub.person("admin-of-peers", Role.admin)
        await offer(admin, issuer, slug="peer")
        second = await page.context.new_page()
        for tab in (page, second):
            await tab.goto(f"{base}/sign-in?next=/account")
            await tab.get_by_role("button", name="Go on with Peer").click()
            await expect(tab.locator("input[name=login]")).to_be_visible()
        await sign_in_at_peer(page, "petra")
        await page.get_by_role("button", name="Continue").click()  # it asks once for consent
        await expect(page.locator("#username")).to_have_value("petra")
        await page.get_by_role("button", name="Make the account").click()
        await expect(page.locator("h1")).to_have_text("Your account")
        await sign_in_at_peer(second, "petra")
        await expect(second.locator("h1")).to_have_text("Your account")
        for tab in (page, second):
            await tab.goto(f"{base}/account/identities")
            await expect(tab.locator("main")).to_contain_text("Peer: petra")
        assert complaints == []
        assert len(came_back) == 2
        browser = page.context.browser
        assert browser is not None
        stranger = await (await browser.new_context()).new_page()
        answer = await stranger.goto(came_back[0])
        assert answer is not None
        assert answer.status == 400
        await stranger.goto(f"{base}/account")
        await expect(stranger.locator("h1")).to_have_text("Sign in")
        assert (await admin.delete("/identity-providers/peer")).status_code == 204


async def test_github_in_a_browser(
    served_hub: Hub,  # noqa: F811
    github: GitHub,
    page: Page,
) -> None:
    base = str(served_hub.client.base_url).rstrip("/")
    github.user = {"id": 1, "login": "octo-in-a-browser", "name": "Octo"}
    admin = await served_hub.person("admin-of-forges", Role.admin)
    await offer(admin, github.base, slug="forge", kind="github")
    await page.goto(f"{base}/sign-up")
    await page.get_by_role("button", name="Go on with Forge").click()
    await expect(page.locator("#username")).to_have_value("octo-in-a-browser")
    await page.get_by_role("button", name="Make the account").click()
    await page.goto(f"{base}/account")
    await expect(page.locator("main")).to_contain_text("octo-in-a-browser")
    assert (await admin.delete("/identity-providers/forge")).status_code == 204
