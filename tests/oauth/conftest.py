"""A hub in a process of its own, for clients that speak over a socket."""

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

from backend_hub.db import Database
from backend_hub.migrate import upgrade
from backend_hub.settings import Settings
from tests.conftest import SECRET, make_database
from tests.hub import Hub

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
START_WITHIN = 60
"""Seconds."""


@pytest.fixture(scope="session")
async def served_database_url(settings: Settings, worker_name: str) -> str:
    url = await make_database(settings.database_url, f"oauth_{os.getpid()}_{worker_name}")
    await asyncio.to_thread(upgrade, url)
    return url


@pytest.fixture(scope="session")
def served_base(
    served_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "HUB_ENVIRONMENT": "development",
        "HUB_SECRET_KEY": SECRET,
        "HUB_PUBLIC_URL": base,
        "HUB_SIGN_IN_RATE_LIMIT": "1000000/minute",
        "HUB_LOG_LEVEL": "warning",
        "HUB_DATABASE_URL": served_database_url,
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "backend_hub.app:create_app"]
    command += ["--port", str(port), "--log-level", "warning"]
    folder = tmp_path_factory.mktemp("served")  # away from anybody's .env
    with subprocess.Popen(command, env=environment, cwd=folder) as process:
        try:
            wait_for(base, process)
            yield base
        finally:
            process.terminate()


def wait_for(base: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{base}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the hub did not start within {START_WITHIN} s")


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
