"""The program itself, started as a person starts it, in an empty folder of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.serving import free_port

PROGRAM = Path(sys.executable).with_name("backend-hub")
START_WITHIN = 60.0
"""Seconds; the first start makes a cluster, migrates and seeds on a busy machine."""


@dataclass
class Program:
    """`backend-hub` in a folder, with an environment that holds nothing of the tests'."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "output.log").read_text()

    def _environment(self) -> dict[str, str]:
        hidden = ("HUB_", "DATABASE_URL", "TEST_DATABASE_URL", "PYTEST")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        return clean | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"} | self.environment

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [str(PROGRAM), *arguments],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, *arguments: str) -> "Program":
        """`backend-hub serve`, until it is ready."""
        with (self.folder / "output.log").open("w") as log:
            self.process = subprocess.Popen(
                [str(PROGRAM), "serve", "--port", str(self.port), *arguments],
                cwd=self.folder,
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=2).status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.log)

    def stop(self, number: int) -> int:
        """Send a signal and wait for the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def postgres(self) -> int | None:
        """The pid of the embedded PostgreSQL, if it runs."""
        try:
            pid = int((self.folder / ".hub/postgres/postmaster.pid").read_text().split()[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return None
        return pid

    def clean_up(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if (pid := self.postgres()) is not None:
            os.kill(pid, signal.SIGQUIT)
            while self.postgres() is not None:
                time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def program() -> Iterator[Program]:
    folder = Path(tempfile.mkdtemp(prefix="hub-program-"))
    folder.chmod(0o755)  # as root PostgreSQL runs under an account of its own, which passes here
    program = Program(folder)
    try:
        yield program
    finally:
        program.clean_up()
