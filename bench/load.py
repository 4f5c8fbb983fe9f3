"""Servers on one core, load on the other, and single requests to look at answers."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

HOST = "127.0.0.1"
CONNECTIONS = 32
LOG = Path(".cache/bench.log")
SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Load:
    """One kind of request and its right answer.

    In path, headers and body `{n}` is the request's number, `{id}` one of the ids, and `{value}`
    1 in the first round over the ids, -1 in the second, and so on.
    """

    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    status: int = 200
    same: list[str] | None = None
    """Of every answer the body is one of these."""
    holds: str | None = None
    """What is in every answer's body."""
    ids: list[str] = field(default_factory=list)
    first: int = 0
    """The number of the first request."""

    @property
    def varies(self) -> bool:
        texts = (self.path, self.body or "", *self.headers.values())
        return any(mark in text for text in texts for mark in ("{n}", "{id}", "{value}"))

    def request(self) -> tuple[str, dict[str, str], bytes | None]:
        """Path, headers and body of the first request."""

        def filled(text: str) -> str:
            later = bool(self.ids) and self.first // len(self.ids) % 2
            text = text.replace("{n}", str(self.first)).replace("{value}", "-1" if later else "1")
            return text.replace("{id}", self.ids[self.first % len(self.ids)] if self.ids else "")

        body = None if self.body is None else filled(self.body).encode()
        return filled(self.path), {k: filled(v) for k, v in self.headers.items()}, body


@dataclass(frozen=True)
class Run:
    """What a run of a client found; times in milliseconds."""

    requests: int
    seconds: float
    wrong: int
    sent: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    etag: str


def ask(port: int, load: Load) -> Answer:
    """The answer to one request."""
    path, headers, body = load.request()
    url = f"http://{HOST}:{port}{path}"
    request = urllib.request.Request(url, body, headers, method=load.method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return Answer(response.status, response.read(), response.headers.get("ETag", ""))
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), error.headers.get("ETag", ""))


def pinned(core: int) -> list[str]:
    """The prefix that keeps a program on one core, where there are two."""
    if shutil.which("taskset") is None or (os.cpu_count() or 1) < 2:
        return []
    return ["taskset", "-c", str(core)]


@contextmanager
def serving(
    command: list[str], environment: dict[str, str], port: int, health: str, cores: int = 1
) -> Iterator[psutil.Process]:
    """The server while it runs, on the first core (or on all)."""
    LOG.parent.mkdir(exist_ok=True)
    prefix = pinned(0) if cores == 1 else []
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            [*prefix, *command], env={**os.environ, **environment}, stdout=log, stderr=log
        )
    try:
        _wait_for(port, health, process)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_for(port: int, health: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(3_000):
        try:
            if ask(port, Load(health)).status == 200:
                return
        except OSError:
            pass
        if process.poll() is not None:
            sys.exit(f"bench: {process.args!r} ended; see {LOG}")
        time.sleep(0.02)
    sys.exit(f"bench: {health} does not answer; see {LOG}")


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def cpu_seconds(process: psutil.Process) -> float:
    """What a server's processes have used so far."""
    times = [one.cpu_times() for one in family(process)]
    return sum(time.user + time.system for time in times)


def settle(process: psutil.Process) -> None:
    """Wait until a server is idle: it still works on what the last run did not wait for."""
    before, deadline = -math.inf, time.monotonic() + 10
    while (now := cpu_seconds(process)) - before > 0.01:
        if time.monotonic() > deadline:
            sys.exit(f"bench: {process.name()} works on without any load; see {LOG}")
        before = now
        time.sleep(0.2)


def has_wrk(seconds: float) -> bool:
    """wrk knows whole seconds only."""
    return shutil.which("wrk") is not None and float(seconds).is_integer()


def run(port: int, load: Load, seconds: float, connections: int = CONNECTIONS) -> Run:
    """One run on the last core, by wrk where it is installed."""
    values = {**asdict(load), "varies": load.varies, "port": port}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "load"
        if has_wrk(seconds):
            file.write_bytes(b"return " + _lua(values))
            command = ["wrk", "-t1", f"-c{connections}", f"-d{int(seconds)}s", "-s", str(SCRIPT)]
            command += ["--timeout", "10s", "--latency", f"http://{HOST}:{port}/"]
        else:
            file.write_text(json.dumps(values), encoding="utf-8")
            command = [sys.executable, "-m", "bench.client", str(file), str(connections)]
            command += [str(seconds)]
        environment = {**os.environ, "BENCH_LOAD": str(file)}
        done = subprocess.run(
            [*pinned((os.cpu_count() or 1) - 1), *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"^BENCH (.*)$", done.stdout, re.MULTILINE)
    if found is None:
        sys.exit(f"bench: the load client failed:\n{done.stdout}{done.stderr}")
    return Run(**json.loads(found[1]))


def _lua(value: Any) -> bytes:
    """The value as a Lua expression."""
    if value is None:
        return b"nil"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        return str(value).encode()
    if isinstance(value, str):
        safe = (
            chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:03d}"
            for byte in value.encode()
        )
        return f'"{"".join(safe)}"'.encode()
    if isinstance(value, list):
        return b"{" + b", ".join(_lua(item) for item in value) + b"}"
    items = (b"[" + _lua(key) + b"] = " + _lua(item) for key, item in value.items())
    return b"{" + b", ".join(items) + b"}"
