"""Smoke test: of a running container (BASE_URL=...), or of the Dockerfile's CMD without Docker."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path


def get(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)


def wait_until_healthy(base: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            get(f"{base}/health")
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def check(base: str) -> None:
    wait_until_healthy(base)
    print("health:", get(f"{base}/health")["status"])
    print("message:", get(base)["message"])


def command_of(dockerfile: Path) -> list[str]:
    """The last CMD in exec form; the shell form may swallow SIGTERM, so it is not accepted."""
    return json.loads(re.findall(r"^CMD (\[.*\])$", dockerfile.read_text(), re.MULTILINE)[-1])


def main() -> None:
    if base := os.environ.get("BASE_URL"):
        return check(base.rstrip("/"))

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        command_of(Path(__file__).with_name("Dockerfile")),
        env={**os.environ, "PORT": str(port)}, stderr=subprocess.DEVNULL,
    )
    try:
        check(f"http://127.0.0.1:{port}")
        process.send_signal(signal.SIGTERM)  # what `docker stop` sends
        print("exit code after SIGTERM:", process.wait(timeout=15))
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
