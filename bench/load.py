"""Load on a server by wrk, and single requests to look at its answers."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONNECTIONS = 32
LOG = Path(".cache/bench.log")


def pinned(core: int) -> list[str]:
    """The prefix that keeps a program on one core, where there are two."""
    if shutil.which("taskset") is None or (os.cpu_count() or 1) < 2:
        return []
    return ["taskset", "-c", str(core)]


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, str]:
    """Status, body and ETag."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read(), response.headers.get("ETag", "")
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers.get("ETag", "")


@contextmanager
def serving(command: list[str], environment: dict[str, str], health: str) -> Iterator[int]:
    """The server while it runs, on the first core; gives its process id."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            [*pinned(0), *command], env={**os.environ, **environment}, stdout=log, stderr=log
        )
    try:
        _wait_for(health, process)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(health: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            if get(health)[0] == 200:
                return
        except OSError:
            pass
        if process.poll() is not None:
            sys.exit(f"bench: {process.args!r} ended; see {LOG}")
        time.sleep(0.1)
    sys.exit(f"bench: {health} does not answer; see {LOG}")


def requests_per_second(url: str, seconds: int, headers: dict[str, str] | None = None) -> float:
    """One run of wrk on the last core; ends the bench when an answer was an error."""
    options = [part for item in (headers or {}).items() for part in ("-H", ": ".join(item))]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *options, url]
    run = subprocess.run([*pinned(1), *command], capture_output=True, text=True, check=True)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", run.stdout)
    if rate is None or "Non-2xx" in run.stdout or "Socket errors" in run.stdout:
        sys.exit(f"bench: not every answer of {url} was right:\n{run.stdout}")
    return float(rate[1])


def cpu_seconds(pid: int) -> float:
    """What the process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
