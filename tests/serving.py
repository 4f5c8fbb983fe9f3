"""A hub in a process of its own, for clients that speak over a socket."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import SECRET

ROOT = Path(__file__).parents[1]
START_WITHIN = 60
"""Seconds."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nginx_command(folder: Path, site: str) -> list[str]:
    """What runs nginx with a server block, and all of its files in a folder of the test."""
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"user root;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\ndaemon off;\n"
        "events {}\nhttp {\ninclude /etc/nginx/mime.types;\naccess_log off;\n"
        f"{places}{site}\n}}\n"
    )
    return ["nginx", "-c", str(main), "-p", str(folder)]


@contextmanager
def serving(
    database_url: str, folder: Path, url: str = "", port: int = 0, **settings: str
) -> Iterator[str]:
    """The hub as people run it, away from anybody's .env; its URL.

    `port` is that of the hub itself, where `url` is the address of a proxy before it. What it
    prints is in `hub.log` of the folder.
    """
    url = url or f"http://127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "HUB_ENVIRONMENT": "development",
        "HUB_SECRET_KEY": SECRET,
        "HUB_PUBLIC_URL": url,
        "HUB_DATABASE_URL": database_url,
        "HUB_RATE_LIMIT": "1000000/minute",
        "HUB_SIGN_IN_RATE_LIMIT": "1000000/minute",
        "HUB_LOG_LEVEL": "warning",
        **{f"HUB_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "backend_hub.app:create_app"]
    command += ["--port", str(port or url.rpartition(":")[2]), "--no-access-log"]
    with (
        (folder / "hub.log").open("w") as log,
        subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log) as process,
    ):
        try:
            wait_for(url, process)
            yield url
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the hub did not start within {START_WITHIN} s")
