"""A hub in a process of its own, for clients that speak over a socket."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from backend_hub.db import Database
from backend_hub.migrate import upgrade
from backend_hub.settings import Settings
from tests.conftest import make_database
from tests.hub import Hub
from tests.serving import ROOT, serving

PEERS = Path(__file__).parent / "peers"


@pytest.fixture(scope="session")
async def served_database_url(settings: Settings, worker_name: str) -> str:
    url = await make_database(settings.database_url, f"oauth_{os.getpid()}_{worker_name}")
    await asyncio.to_thread(upgrade, url)
    return url


@pytest.fixture(scope="session")
def served_base(
    served_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with serving(served_database_url, tmp_path_factory.mktemp("served")) as base:
        yield base


@pytest.fixture(scope="session")
async def served_hub(
    served_base: str, served_database_url: str, settings: Settings
) -> AsyncIterator[Hub]:
    """The hub behind a socket."""
    database = Database(settings, served_database_url)
    async with httpx.AsyncClient(base_url=served_base, timeout=30) as client:
        yield Hub(client, database)
    await database.dispose()


@pytest.fixture(scope="session")
def peers(worker_name: str) -> Path:
    """The folder with the npm clients, installed from the lock file."""
    folder = (
        ROOT / ".cache" / ("oauth-peers" if worker_name == "main" else f"oauth-peers-{worker_name}")
    )
    lock = (PEERS / "package-lock.json").read_bytes()
    marker = folder / "installed.lock"
    if not marker.is_file() or marker.read_bytes() != lock:
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(PEERS / file, folder / file)
        npm = shutil.which("npm") or pytest.fail("the peers come from npm: install Node.js")
        install = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=folder, check=True, capture_output=True)
        marker.write_bytes(lock)
    return folder
