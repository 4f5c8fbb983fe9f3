"""The hub and its peers: how each is installed and started, and which requests its works are."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlencode

from backend_hub.http.cursors import encode_cursor
from bench.database import PASSWORD, VOTER, WRITER
from bench.load import HOST, Load
from bench.peers.sql import STATEMENTS
from bench.works import QUESTION, TITLE, VARIANTS, Expected

HERE = Path(__file__).parent / "peers"
CACHE = Path(".cache")
MODULES = CACHE / "bench-peers"
VENV = CACHE / "bench-venv"
NODE_FILES = ("package.json", "writes.js", "express.js", "fastify.js")
SECRET = "of-a-bench-that-keeps-no-secrets-0123456789"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
UNREACHED = "100000000/minute"
"""Limits that count every request and refuse none."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


PORT = _free_port()
"""Where every server listens, one after the other."""


@dataclass(frozen=True)
class Paths:
    """Where a server has its works; the peers' paths."""

    questions: str = "/questions"
    search: str = "/search?q=needle"
    resources: str = "/resources?topic=topic-1"
    votes: str = "/posts/{id}/vote"
    sign_in: str = "/sign-in"
    health: str = "/health"
    deep: Callable[[str], str] = "/questions?before={}".format


def _deep(before: str) -> str:
    return f"/api/v1/questions?cursor={encode_cursor('newest', [before])}"


HUB_PATHS = Paths(
    questions="/api/v1/questions",
    search="/api/v1/search?q=needle&facets=false",
    resources="/api/v1/resources?topic=topic-1",
    votes="/api/v1/posts/{id}/vote",
    sign_in="/api/v1/auth/token",
    health="/health/live",
    deep=_deep,
)


@dataclass(frozen=True)
class Peer:
    """A server and how it is started."""

    key: str
    name: str
    command: list[str]
    paths: Paths = Paths()
    environment: dict[str, str] = field(default_factory=dict)
    install: Callable[[], bool] = lambda: True
    """Brings what it needs; False where that is not possible."""

    def sign_in(self, username: str) -> Load:
        body = urlencode({"username": username, "password": PASSWORD}, safe="{}")
        return Load(self.paths.sign_in, "POST", FORM, body, holds="access_token")

    def loads(self, right: Expected, token: Callable[[str], str]) -> dict[str, Load]:
        """Of each work, its request; `token` signs a person in."""
        paths = self.paths
        ids = [item[0] for item in right.newest[:VARIANTS]]
        return {
            "W1": Load(paths.questions),
            "W2": Load(f"{paths.questions}/{ids[0]}"),
            "W3": Load(paths.search),
            "W1v": Load("{id}", ids=[paths.deep(before) for before in ids]),
            "W2v": Load(f"{paths.questions}/{{id}}", ids=ids),
            "W3v": Load(
                paths.search.replace("needle", "needle+or+absent{id}"),
                ids=[str(number) for number in range(VARIANTS)],
            ),
            "W5": Load(paths.questions, status=304),
            "W6": Load(paths.deep(right.before)),
            "W7": Load(paths.health),
            "W9": Load(paths.resources),
            "W4": Load(
                paths.questions,
                "POST",
                {**JSON, "Authorization": f"Bearer {token(WRITER)}", "Idempotency-Key": "key-{n}"},
                json.dumps(QUESTION),
                201,
                holds=TITLE,
            ),
            "W8": Load(
                paths.votes,
                "PUT",
                {**JSON, "Authorization": f"Bearer {token(VOTER)}"},
                '{"value": {value}}',
                holds='"score"',
                ids=right.voted,
            ),
            "W10": replace(self.sign_in("{id}"), ids=right.members),
        }


def _npm() -> bool:
    if shutil.which("npm") is None:
        print("Without npm there is no Express and no Fastify.")
        return False
    MODULES.mkdir(parents=True, exist_ok=True)
    wanted = HERE / NODE_FILES[0]
    fresh = (MODULES / wanted.name).exists() and (
        (MODULES / wanted.name).read_bytes() == wanted.read_bytes()
    )
    for file in NODE_FILES:
        shutil.copy(HERE / file, MODULES)
    if not fresh or not (MODULES / "node_modules").exists():
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
        subprocess.run(install, cwd=MODULES, check=True)
    return True


def _pip() -> bool:
    """The virtual environment of the peers: theirs are not the hub's dependencies."""
    wanted, done = HERE / "requirements.txt", VENV / "requirements.txt"
    if not done.exists() or done.read_bytes() != wanted.read_bytes():
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([VENV / "bin/python", *install, "-r", wanted], check=True)
        shutil.copy(wanted, done)
    return True


def _uvicorn(key: str, name: str, app: str) -> Peer:
    options = ["--port", str(PORT), "--no-access-log", "--log-level", "warning"]
    return Peer(key, name, [sys.executable, "-m", "uvicorn", app, *options])


def _node(key: str, name: str) -> Peer:
    return Peer(key, name, ["node", str((MODULES / f"{key}.js").resolve())], install=_npm)


def _gunicorn(key: str, name: str, app: str) -> Peer:
    options = ["--bind", f"{HOST}:{PORT}", "--worker-class", "gthread", "--threads", "10"]
    options += ["--keep-alive", "60", "--log-level", "warning"]
    python = str((VENV / "bin/python").absolute())
    return Peer(key, name, [python, "-m", "gunicorn", *options, app], install=_pip)


def hub(folder: str, *options: str) -> Peer:
    """The hub as it is served, with all of its layers on."""
    environment = {
        "HUB_ENVIRONMENT": "development",
        "HUB_DATA_DIR": folder,
        "HUB_SECRET_KEY": SECRET,
        "HUB_LOG_FORMAT": "json",
        "HUB_RATE_LIMIT": UNREACHED,
        "HUB_SIGN_IN_RATE_LIMIT": UNREACHED,
        "HUB_ACCESS_TOKEN_TTL": "3600",
    }
    command = [sys.executable, "-c", "from backend_hub.cli import main; main()", "serve"]
    command += ["--no-seed", "--port", str(PORT), *options]
    return Peer("hub", "Backend Hub", command, HUB_PATHS, environment)


def peers(folder: str) -> list[Peer]:
    """The limit first, then the hub, then the others."""
    return [
        _uvicorn("raw", "raw uvicorn + asyncpg", "bench.peers.raw:app"),
        hub(folder),
        _uvicorn("fastapi", "FastAPI + SQLModel, textbook", "bench.peers.fastapi_sqlmodel:app"),
        _node("express", "Express + pg"),
        _node("fastify", "Fastify + pg"),
        _gunicorn("flask", "Flask + SQLAlchemy", "bench.peers.flask_sqlalchemy:app"),
        _gunicorn("django", "Django + REST framework", "bench.peers.django_rest:app"),
    ]


KEYS = [peer.key for peer in peers("")]


def environment(peer: Peer, url: str) -> dict[str, str]:
    source = str(Path(__file__).parents[1])
    path = [source, f"{source}/src", *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "DATABASE_URL": url,
        "PORT": str(PORT),
        "BENCH_SECRET": SECRET,
        "BENCH_SQL": json.dumps(STATEMENTS),
        "NODE_ENV": "production",
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "",  # an installed server has been compiled
        **peer.environment,
    }
