"""Every code sample of the catalogue runs and prints what it says.

A sample runs in a copy of its folder, as the `[check]` table of its `sample.toml` says. Packages
are installed once and kept in `.cache/samples`, by name of the set; delete the folder for newer
ones. Databases that a sample needs are the test server's, the machine's own, or started here.
What the machine lacks skips a sample with the reason. In CI, which sets the variable `CI` and
installs Node.js, Chromium and Redis, that is a failure; MariaDB is used where it is up.
"""

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from backend_hub.settings import Settings
from tests.conftest import make_database

CHECKOUT = Path(__file__).parents[2]
CACHE = CHECKOUT / ".cache" / "samples"
FOLDERS = sorted((CHECKOUT / "src" / "backend_hub" / "catalogue").glob("*/*/sample"))
INSTALL_TIMEOUT, RUN_TIMEOUT = 600, 90
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Sample:
    """A sample's folder, and how it is checked."""

    folder: Path
    key: str
    expected_output: str
    command: list[str]
    pip: list[str]
    npm: list[str]
    services: list[str]


def read_sample(folder: Path) -> Sample:
    fields = tomllib.loads((folder / "sample.toml").read_text("utf-8"))
    return Sample(folder, fields["key"], fields["expected_output"], **fields["check"])


SAMPLES = [read_sample(folder) for folder in FOLDERS]


@pytest.fixture(scope="module")
async def database_url(settings: Settings, worker_name: str) -> str:
    """An empty database for the samples, in the form that libpq and asyncpg take."""
    name = f"samples_{os.getpid()}_{worker_name}"
    url = await make_database(settings.database_url, name)
    return url.replace("postgresql+asyncpg://", "postgresql://").replace("ssl=", "sslmode=")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The machine's Redis; else one of our own, on a free port and without a file."""
    if answers(6379):
        yield "redis://127.0.0.1:6379/0"
        return
    program, port = need("redis-server"), free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    folder = tmp_path_factory.mktemp("redis")
    with subprocess.Popen([program, *options], cwd=folder, stdout=subprocess.DEVNULL) as server:
        wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"
        server.terminate()


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(sample, id=sample.key, marks=pytest.mark.xdist_group(sample.key))
        for sample in SAMPLES
    ],
)
def test_every_sample_prints_what_it_says(
    sample: Sample, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    copy = tmp_path / "sample"
    hidden = shutil.ignore_patterns("__pycache__", "sample.toml")
    shutil.copytree(sample.folder, copy, ignore=hidden)
    environment = {
        "PATH": os.pathsep.join([str(python_packages(sample.pip)), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if sample.npm:
        (copy / "node_modules").symlink_to(node_packages(sample.npm))
    if sample.command[0] == "node":
        need("node")
    for service in sample.services:
        environment |= service_variables(service, request)
    done = subprocess.run(
        sample.command,
        cwd=copy,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=RUN_TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == sample.expected_output.strip(), done.stderr


def test_there_is_a_sample_for_every_technique() -> None:
    assert len(SAMPLES) == len(list((FOLDERS[0].parents[2]).glob("*/*/topic.toml"))) > 20


# --- what samples need


def need(program: str) -> str:
    """Where a program is; without it the sample is skipped, or fails in CI."""
    found = shutil.which(program)
    return found or lack(f"this sample needs {program}")


def lack(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and in CI every sample runs")
    pytest.skip(reason)


def service_variables(service: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables by which a sample finds a service."""
    if service == "postgresql":
        return {"DATABASE_URL": request.getfixturevalue("database_url")}
    if service == "redis":
        return {"REDIS_URL": request.getfixturevalue("redis_url")}
    if service == "chromium":
        return browser_variables()
    assert service == "mariadb"
    host = os.environ.get("MARIADB_HOST", "127.0.0.1")
    port = os.environ.get("MARIADB_PORT", "3306")
    if not answers(int(port), host):
        pytest.skip(f"this sample needs MariaDB on {host}:{port}")
    return {
        "MARIADB_HOST": host,
        "MARIADB_PORT": port,
        "MARIADB_USER": os.environ.get("MARIADB_USER", "root"),
        "MARIADB_PASSWORD": os.environ.get("MARIADB_PASSWORD", ""),
        "MARIADB_DATABASE": os.environ.get("MARIADB_DATABASE", "test"),
    }


def browser_variables() -> dict[str, str]:
    """The machine's Chromium; else the one that npm's Playwright downloads, once."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return {"CHROMIUM_PATH": found}
    browsers = {"PLAYWRIGHT_BROWSERS_PATH": str(CACHE / "browsers")}
    playwright = node_packages(["playwright"]) / ".bin" / "playwright"
    with locked("browsers"):
        run([str(playwright), "install", "chromium"], env={**os.environ, **browsers})
    return browsers


def python_packages(names: list[str]) -> Path:
    """The `bin` folder of an environment with these packages."""

    def install(folder: Path) -> None:
        uv = [sys.executable, "-m", "uv"]
        run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        if names:
            python = str(folder / "bin" / "python")
            run([*uv, "pip", "install", "--quiet", "--python", python, *names])

    return cached("python", [*names, sys.version], install) / "bin"


def node_packages(names: list[str]) -> Path:
    """A `node_modules` folder with these packages."""

    def install(folder: Path) -> None:
        folder.mkdir()
        flags = ["--no-audit", "--no-fund", "--no-save", "--loglevel=error", "--prefix"]
        run([need("npm"), "install", *flags, str(folder), *names], cwd=folder)

    return cached("node", names, install) / "node_modules"


def cached(kind: str, names: list[str], install: Any) -> Path:
    """The folder of a set of packages, installed when it is not there yet."""
    digest = hashlib.sha256("\n".join([kind, *sorted(names)]).encode()).hexdigest()[:16]
    folder = CACHE / digest
    with locked(digest):
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            install(folder)
            (folder / ".complete").touch()
    return folder


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One worker at a time; the others wait."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command: list[str], **options: Any) -> None:
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=INSTALL_TIMEOUT, **options
    )
    assert done.returncode == 0, done.stderr


def answers(port: int, host: str = "127.0.0.1") -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while not answers(port):
        assert time.monotonic() < deadline, f"nothing answers on port {port}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
