"""A hub in a process of its own, filled like a small real one, and a browser in front of it.

The browser is Debian's Chromium, driven by Playwright; `HUB_TEST_CHROMIUM` names another one.
axe-core comes from npm, into `.cache/axe`.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, async_playwright

from backend_hub.db import Database
from backend_hub.migrate import upgrade
from backend_hub.settings import Settings
from tests.conftest import SECRET, make_database
from tests.hub import Hub
from tests.site.content import fill
from tests.site.visits import Served

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("HUB_TEST_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
START_WITHIN = 60
"""Seconds."""


@pytest.fixture(scope="session")
async def served_database(settings: Settings, worker_name: str) -> str:
    url = await make_database(settings.database_url, f"site_{os.getpid()}_{worker_name}")
    await asyncio.to_thread(upgrade, url)
    return url


@pytest.fixture(scope="session")
def served_url(served_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """uvicorn with the real app, as people run it."""
    folder = tmp_path_factory.mktemp("served")  # away from anybody's .env
    yield from _serve("127.0.0.1", served_database, folder)


@pytest.fixture(scope="session")
def local_url(served_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same hub under a name that passkeys can belong to."""
    yield from _serve("localhost", served_database, tmp_path_factory.mktemp("local"))


def _serve(host: str, database: str, folder: Path) -> Iterator[str]:
    url = f"http://{host}:{_free_port()}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "HUB_ENVIRONMENT": "development",
        "HUB_SECRET_KEY": SECRET,
        "HUB_PUBLIC_URL": url,
        "HUB_RATE_LIMIT": "1000000/minute",
        "HUB_SIGN_IN_RATE_LIMIT": "1000000/minute",
        "HUB_LOG_LEVEL": "warning",
        "HUB_DATABASE_URL": database,
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "backend_hub.app:create_app"]
    command += ["--port", url.rpartition(":")[2], "--log-level", "warning"]
    with subprocess.Popen(command, env=environment, cwd=folder) as process:
        try:
            _wait_for(url, process)
            yield url
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the hub did not start within {START_WITHIN} s")


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
async def local(local_url: str, served_database: str, settings: Settings) -> AsyncIterator[Served]:
    database = Database(settings, served_database)
    async with httpx.AsyncClient(base_url=local_url, timeout=30) as client:
        yield Served(local_url, Hub(client, database), {})
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
