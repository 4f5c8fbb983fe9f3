"""Schemathesis makes up requests from the document, and holds the answers against it."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from tests.openapi.conftest import HERE, RunningHub, run

CONFIG = HERE / "schemathesis.toml"
ROOT = HERE.parents[1]
# All checks in all phases. Each operation gets its examples, every bound of its schema and some
# made-up requests; then chains of operations.
OPTIONS = ("--checks", "all", "--generation-deterministic", "--warnings", "off", "--no-color")


async def explore(url: str, examples: int, *options: str) -> None:
    """Run it; every failure is in the message, with a curl command that shows it."""
    command: list[str | Path] = [
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        CONFIG,
        "run",
    ]
    limits = ("--max-examples", str(examples), "--request-timeout", "20")
    await asyncio.to_thread(
        run, [*command, f"{url}/openapi.json", *OPTIONS, *limits, *options], ROOT
    )


async def test_what_anyone_may_call_keeps_the_documents_promises(
    running_hub: RunningHub, document: dict[str, Any]
) -> None:
    chosen = []
    for path in document["paths"].values():
        for operation in path.values():
            if {} in operation["security"]:
                chosen += ["--include-operation-id", operation["operationId"]]
    await explore(running_hub.url, 10, *chosen)


async def test_what_an_admin_may_call_keeps_the_documents_promises(
    running_hub: RunningHub,
) -> None:
    token = running_hub.admin.headers["Authorization"]
    # Signing out would end the token of all requests that follow.
    options = ("--header", f"Authorization: {token}", "--exclude-operation-id", "sign_out")
    await explore(running_hub.url, 10, *options)
