"""The document as a file, the tools that check it, and a hub for them to talk to."""

import asyncio
import json
import os
import shutil
import subprocess
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
from tests.conftest import make_database
from tests.hub import Hub, Person, code_sample, link, project
from tests.serving import serving

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


@pytest.fixture(scope="session")
async def served_database(settings: Settings, worker_name: str) -> str:
    url = await make_database(settings.database_url, f"openapi_{os.getpid()}_{worker_name}")
    await asyncio.to_thread(upgrade, url)
    return url


@pytest.fixture(scope="session")
def served_url(served_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("openapi-hub")  # its log says what a 500 was
    with serving(served_database, folder, access_token_ttl="3600") as url:
        yield url


@pytest.fixture(scope="session")
async def running_hub(
    served_url: str, served_database: str, settings: Settings
) -> AsyncIterator[RunningHub]:
    """Its database has the migrations' schema, and what a few people wrote over the API."""
    database = Database(settings, served_database)
    async with httpx.AsyncClient(base_url=served_url) as client:
        yield RunningHub(served_url, await _seed(Hub(client, database)))
    await database.dispose()


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
