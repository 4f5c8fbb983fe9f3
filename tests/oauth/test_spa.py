"""Apps in a real browser, as docs/spa.md describes them."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.hub import PASSWORD, Hub, question
from tests.oauth.apps import works
from tests.serving import ROOT, free_port, nginx_command, serving
from tests.site.conftest import CHROMIUM, FLAGS

APP = Path(__file__).parent / "spa"
PATIENCE = 30_000
"""Milliseconds that a page may take on a busy machine."""
KNOWN_WITHIN = 10
"""Seconds in which every worker knows the origin of a new app."""


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def profile(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A fresh browser profile."""
    context = await chromium.new_context()
    context.set_default_timeout(PATIENCE)
    yield context
    await context.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


@dataclass
class Planner:
    """The app's files at an origin of their own."""

    url: str
    folder: Path

    async def register(self, hub: Hub, owner: str, *, dpop: bool) -> None:
        """Register the app, and wait until the hub knows its origin."""
        scopes = ["openid", "profile", "posts:write"]
        form = {"name": "Planner", "type": "spa", "redirect_uris": [self.url], "scopes": scopes}
        made = await (await hub.person(owner)).create("/oauth/clients", form)
        base = str(hub.client.base_url).rstrip("/")
        config = {"hub": base, "client_id": made["id"], "dpop": dpop}
        (self.folder / "config.json").write_text(json.dumps(config))
        origin = {"Origin": self.url.rstrip("/")}
        async with asyncio.timeout(KNOWN_WITHIN):
            while not await self.allowed(hub, origin):  # noqa: ASYNC110 - another process looks
                await asyncio.sleep(0.2)

    async def allowed(self, hub: Hub, headers: dict[str, str]) -> bool:
        answer = await hub.client.get("/api/v1/topics", headers=headers)
        return "Access-Control-Allow-Origin" in answer.headers


@pytest.fixture
def planner(peers: Path, tmp_path: Path) -> Iterator[Planner]:
    shutil.copytree(APP, tmp_path, dirs_exist_ok=True)
    script = peers / "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js"
    shutil.copy(script, tmp_path / "oidc-client-ts.js")
    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # Another site than the hub's 127.0.0.1, not only another origin.
        yield Planner(f"http://localhost:{server.server_port}/", tmp_path)
        server.shutdown()


async def ready(page: Page, url: str) -> None:
    await page.goto(url)
    await expect(page).to_have_title("Planner is ready", timeout=PATIENCE)


async def call(page: Page, what: str, *given: Any) -> Any:
    return await page.evaluate(f"(given) => planner.{what}(...given)", list(given))


async def sign_in(page: Page, username: str) -> None:
    await page.locator("#username").fill(username)
    await page.locator("#password").fill(PASSWORD)
    await page.locator("main button[type=submit]").click()


@pytest.mark.parametrize("dpop", [False, True], ids=["bearer", "dpop"])
async def test_oidc_client_ts_signs_in_calls_refreshes_in_five_tabs_and_signs_out(
    served_hub: Hub, planner: Planner, profile: BrowserContext, dpop: bool
) -> None:
    """Promise 27 in a real browser, from another site."""
    username = f"tabs-{dpop}"
    await planner.register(served_hub, f"owner-of-{username}", dpop=dpop)
    await served_hub.person(username)
    page = await profile.new_page()
    await ready(page, planner.url)
    assert (await call(page, "call", "/users/me"))["status"] == 401
    await page.evaluate("() => void planner.signIn()")  # leaves the page
    await sign_in(page, username)
    await page.get_by_role("button", name="Allow", exact=True).click()
    await expect(page).to_have_title("Planner is ready", timeout=PATIENCE)
    assert await call(page, "who") == username
    assert (await call(page, "kind")).lower() == ("dpop" if dpop else "bearer")
    me = await call(page, "call", "/users/me")
    assert (me["status"], me["body"]["username"], bool(me["etag"])) == (200, username, True)

    tabs = [page] + [await profile.new_page() for _ in range(4)]
    for tab in tabs[1:]:
        await ready(tab, planner.url)
    renewed = await asyncio.gather(*(call(tab, "refresh") for tab in tabs))
    assert len(set(renewed)) == 5
    for tab in tabs:
        assert (await call(tab, "call", "/users/me"))["status"] == 200
    assert await call(tabs[3], "refresh") not in renewed

    token = await call(page, "token")
    assert await works(served_hub, token) == (not dpop)
    await call(tabs[2], "signOut")
    assert not await works(served_hub, token)
    for tab in (page, tabs[4]):
        assert await call(tab, "who") is None
        assert (await call(tab, "call", "/users/me"))["status"] == 401


async def test_69_a_page_that_no_app_names_reads_nothing(
    served_hub: Hub, planner: Planner, profile: BrowserContext
) -> None:
    """Its twin is the test above: the same page, registered."""
    base = str(served_hub.client.base_url).rstrip("/")
    (planner.folder / "config.json").write_text(json.dumps({"hub": base, "client_id": "nobody"}))
    page = await profile.new_page()
    await ready(page, planner.url)
    fetched = "(url) => fetch(url).then((a) => a.status, (e) => e.name)"
    assert await page.evaluate(fetched, f"{base}/api/v1/topics") == "TypeError"
    assert await page.evaluate(fetched, f"{base}/sign-in") == "TypeError"
    assert await page.evaluate(fetched, f"{base}/.well-known/openid-configuration") == 200


@pytest.fixture
def own_origin(
    planner: Planner, served_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The hub and the app at one origin, behind nginx as docs/spa.md has it."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    folder, port, front = tmp_path_factory.mktemp("own-origin"), free_port(), free_port()
    base = f"http://127.0.0.1:{front}"
    command = configured_nginx(folder, planner.folder, port, front)
    nginx = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        with serving(served_database_url, folder, base, port, api_cookies="true"):
            yield base
    finally:
        nginx.send_signal(signal.SIGTERM)
        nginx.wait(20)


def configured_nginx(folder: Path, files: Path, port: int, front: int) -> list[str]:
    """The command that runs nginx with the server block of docs/spa.md."""
    block = re.search(r"```nginx\n(.*?)```", (ROOT / "docs/spa.md").read_text(), re.DOTALL)
    assert block is not None
    server = block[1]
    for old, new in {
        "listen 443 ssl": f"listen 127.0.0.1:{front}",
        "/srv/planner/": f"{files}/",
        "127.0.0.1:8000": f"127.0.0.1:{port}",
    }.items():
        assert old in server
        server = server.replace(old, new)
    return nginx_command(folder, server)


FETCH = """async ([url, method, body]) => {
  const json = {"Content-Type": "application/json"};
  const sent = body ? {headers: json, body: JSON.stringify(body)} : {};
  try {
    const answer = await fetch(url, {method, credentials: "include", ...sent});
    return [answer.status, answer.status === 204 ? null : await answer.json()];
  } catch (error) {
    return [0, error.name];
  }
}"""


async def test_an_app_at_the_hubs_origin_uses_the_cookie_and_one_elsewhere_cannot(
    own_origin: str, planner: Planner, profile: BrowserContext
) -> None:
    async with httpx.AsyncClient(base_url=own_origin, timeout=30) as client:
        hub = Hub(client, None)  # type: ignore[arg-type]
        await hub.person("cookie-user")
        await planner.register(hub, "owner-of-cookies", dpop=False)
    page = await profile.new_page()
    await ready(page, f"{own_origin}/app/")

    async def fetch(where: Page, path: str, method: str = "GET", body: Any = None) -> Any:
        return await where.evaluate(FETCH, [f"{own_origin}{path}", method, body])

    me, questions = "/api/v1/users/me", "/api/v1/questions"
    assert (await fetch(page, me))[0] == 401
    await page.goto(f"{own_origin}/sign-in?next=%2Fapp%2F")
    await sign_in(page, "cookie-user")
    await expect(page).to_have_title("Planner is ready", timeout=PATIENCE)
    status, body = await fetch(page, me)
    assert (status, body["username"]) == (200, "cookie-user")
    status, body = await fetch(page, questions, "POST", question("Written by the cookie"))
    assert (status, body["author"]["username"]) == (201, "cookie-user")

    other = await profile.new_page()  # the same browser, at another site that is registered
    await ready(other, planner.url)
    assert await fetch(other, questions) == [0, "TypeError"]  # credentials are never allowed
    assert (await fetch(other, questions, "POST", question("Forged")))[0] == 0
    target = f"{own_origin}/api/v1/auth/sign-out"
    await other.set_content(f'<form method="post" action="{target}"><button>Win</button></form>')
    await other.locator("button").click()
    await expect(other.locator("body")).to_contain_text("unauthorized", timeout=PATIENCE)
    await other.goto(f"{own_origin}{me}")  # typed into the address bar: no page of the hub asks
    assert "unauthorized" in await other.content()

    assert (await fetch(page, me))[0] == 200
    listed = (await fetch(page, questions))[1]["items"]
    assert [item["title"] for item in listed] == ["Written by the cookie"]
    assert (await fetch(page, "/api/v1/auth/sign-out", "POST"))[0] == 204
    assert (await fetch(page, me))[0] == 401
