"""A hub in a process of its own, filled like a small real one, and a browser in front of it.

The browser is Debian's Chromium, driven by Playwright; `HUB_TEST_CHROMIUM` names another one.
axe-core comes from npm, into `.cache/axe`.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from playwright.async_api import Browser, async_playwright

from backend_hub.db import Database
from backend_hub.migrate import upgrade
from backend_hub.settings import Settings
from tests.conftest import make_database
from tests.hub import Hub
from tests.serving import ROOT, free_port, serving
from tests.site.content import fill
from tests.site.visits import Served

CHROMIUM = os.environ.get("HUB_TEST_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
async def served_database(settings: Settings, worker_name: str) -> str:
    url = await make_database(settings.database_url, f"site_{os.getpid()}_{worker_name}")
    await asyncio.to_thread(upgrade, url)
    return url


@pytest.fixture(scope="session")
def served_url(served_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Under a name that passkeys can belong to."""
    url = f"http://localhost:{free_port()}"
    with serving(served_database, tmp_path_factory.mktemp("served"), url):
        yield url


@pytest.fixture(scope="session")
async def served(
    served_url: str, served_database: str, settings: Settings
) -> AsyncIterator[Served]:
    database = Database(settings, served_database)
    async with httpx.AsyncClient(base_url=served_url, timeout=30) as client:
        hub = Hub(client, database)
        yield Served(served_url, hub, await fill(hub))
    await database.dispose()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if not os.access(CHROMIUM, os.X_OK):
        pytest.fail(
            f"There is no browser at {CHROMIUM}. Install it (`apt-get install -y chromium`), "
            "or name another Chromium in HUB_TEST_CHROMIUM.",
            pytrace=False,
        )
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    folder = ROOT / ".cache" / "axe"
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.fail("axe-core comes from npm: install Node.js with npm", pytrace=False)
        folder.mkdir(parents=True, exist_ok=True)
        install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
        subprocess.run([*install, "axe-core@4"], check=True, capture_output=True)
    return script.read_text()
