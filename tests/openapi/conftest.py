"""The document as a file, the tools that check it, and a hub for them to talk to."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend_hub.app import create_app
from backend_hub.db import Database
from backend_hub.migrate import upgrade
from backend_hub.settings import Settings
from backend_hub.users.models import Role
from tests.conftest import SECRET, make_database
from tests.hub import Hub, Person, code_sample, link, project

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache"


@pytest.fixture(scope="session")
def document(settings: Settings) -> dict[str, Any]:
    """As a production hub shows it."""
    public = settings.model_copy(
        update={"public_url": "https://hub.example.org", "environment": "production"}
    )
    return create_app(public).openapi()


@pytest.fixture(scope="session")
def document_file(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("openapi") / "openapi.json"
    file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return file


@dataclass
class Tools:
    """The checkers and generators that npm installs."""

    folder: Path

    def run(self, name: str, *arguments: str | Path, cwd: Path = HERE) -> str:
        """What the tool prints; fails the test when the tool fails."""
        return run([self.folder / "node_modules/.bin" / name, *arguments], cwd)


def run(command: Sequence[str | Path], cwd: Path = HERE) -> str:
    """The output of a command; fails the test when the command fails."""
    environment = os.environ | {"REDOCLY_TELEMETRY": "off", "NO_COLOR": "1", "CI": "true"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{Path(command[0]).name} says:\n{output[-60_000:]}"
    return output


@pytest.fixture(scope="session")
def tools(worker_name: str) -> Tools:
    """Installed once for each lock file (and each xdist worker that needs them)."""
    name = "openapi-tools" if worker_name == "main" else f"openapi-tools-{worker_name}"
    folder = CACHE / name
    lock = (HERE / "package-lock.json").read_bytes()
    marker = folder / "installed.lock"
    if not marker.is_file() or marker.read_bytes() != lock:
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / file, folder / file)
        run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
        marker.write_bytes(lock)
    return Tools(folder)


@dataclass
class RunningHub:
    """A hub behind a real uvicorn, with a few rows, and its admin's token."""

    url: str
    admin: Person


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _serve(database_url: str, url: str) -> Iterator[None]:
    environment = os.environ | {
        "HUB_ENVIRONMENT": "development",
        "HUB_SECRET_KEY": SECRET,
        "HUB_PUBLIC_URL": url,
        "HUB_DATABASE_URL": database_url,
        "HUB_RATE_LIMIT": "1000000/minute",
        "HUB_SIGN_IN_RATE_LIMIT": "1000000/minute",
        "HUB_ACCESS_TOKEN_TTL": "3600",
        "HUB_LOG_LEVEL": "error",
    }
    CACHE.mkdir(exist_ok=True)
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "uvicorn", "--factory", "backend_hub.app:create_app"]
    command += ["--port", port, "--no-access-log"]
    with (CACHE / "openapi-hub.log").open("w") as log:  # read it when a test finds a 500
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(200):
            time.sleep(0.1)
            try:
                httpx.get(f"{url}/health/ready").raise_for_status()
                break
            except httpx.HTTPError:
                assert server.poll() is None, "uvicorn stopped"
        yield
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="session")
async def running_hub(settings: Settings, worker_name: str) -> AsyncIterator[RunningHub]:
    """Its database has the migrations' schema, and what a few people wrote over the API."""
    name = f"hub_openapi_{os.getpid()}_{worker_name}"
    database_url = await make_database(settings.database_url, name)
    await asyncio.to_thread(upgrade, database_url)
    url = f"http://127.0.0.1:{_free_port()}"
    serving = _serve(database_url, url)
    await asyncio.to_thread(next, serving)
    database = Database(settings, database_url)
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            yield RunningHub(url, await _seed(Hub(client, database)))
    finally:
        await database.dispose()
        await asyncio.to_thread(next, serving, None)


async def _seed(hub: Hub) -> Person:
    """A few rows of each kind; the admin who could change all of them."""
    admin = await hub.person("demo", Role.admin)
    member = await hub.person("member")
    await admin.create("/topics", {"slug": "databases", "name": "Databases"})
    for form in (link(topic="databases", tags=["python"]), code_sample(), project()):
        post = await member.create("/resources", form)
        await admin.create(f"/posts/{post['id']}/comments", {"body": "Thank you."})
        assert (await admin.put(f"/posts/{post['id']}/vote", {"value": 1})).status_code == 200
    return admin
