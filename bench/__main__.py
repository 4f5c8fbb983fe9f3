"""`make bench`: the hub and its peers do the same work, one after the other.

The server is on one core, wrk on the other. Each figure is the median of three runs; the ratio is
to the limit, raw uvicorn and asyncpg. Nothing is printed for a peer with a wrong answer.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from backend_hub import embedded
from bench import load, works
from bench.database import prepare
from bench.peers import sql

HERE = Path(__file__).parent
MODULES = Path(".cache/bench-peers")
RUNS = 3
SECRET = "of-a-bench-that-keeps-no-secrets-0123456789"
PORT = 8391
STATEMENTS = {name: getattr(sql, name) for name in ("SUMMARIES", "WHOLE", "SEARCH", "RESOURCES")}


@dataclass(frozen=True)
class Peer:
    """A server, and where it answers."""

    name: str
    command: list[str]
    prefix: str = ""
    health: str = "/health"
    environment: dict[str, str] = field(default_factory=dict)

    def paths(self, right: works.Expected) -> dict[str, str]:
        """Of each work that it does."""
        return {
            "W1": f"{self.prefix}/questions",
            "W2": f"{self.prefix}/questions/{right.question}",
            "W3": f"{self.prefix}/search?q=needle",
            "W5": f"{self.prefix}/questions",
            "W7": self.health,
            "W9": f"{self.prefix}/resources?topic=topic-1",
        }


def uvicorn(name: str, app: str) -> Peer:
    options = ["--port", str(PORT), "--no-access-log", "--log-level", "warning"]
    return Peer(name, [sys.executable, "-m", "uvicorn", app, *options])


def node(name: str, file: str) -> Peer:
    return Peer(name, ["node", str((MODULES / file).resolve())])


def peers(folder: str) -> list[Peer]:
    """The limit first, then the hub as it is served, then the others."""
    hub = {
        "HUB_ENVIRONMENT": "development",
        "HUB_DATA_DIR": folder,
        "HUB_SECRET_KEY": SECRET,
        "HUB_LOG_FORMAT": "json",
        "HUB_RATE_LIMIT": "100000000/minute",  # counted, never reached
    }
    serve = ["-c", "from backend_hub.cli import main; main()", "serve", "--no-seed"]
    listed = [
        uvicorn("raw uvicorn + asyncpg", "bench.peers.raw:app"),
        Peer(
            "Backend Hub",
            [sys.executable, *serve, "--port", str(PORT)],
            "/api/v1",
            "/health/live",
            hub,
        ),
        uvicorn("FastAPI + SQLModel, textbook", "bench.peers.fastapi_sqlmodel:app"),
    ]
    if shutil.which("npm") is None:
        print("Without npm there is no Express and no Fastify.")
        return listed
    MODULES.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "express.js", "fastify.js"):
        shutil.copy(HERE / "peers" / file, MODULES)
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
    subprocess.run(install, cwd=MODULES, check=True)
    return [*listed, node("Express + pg", "express.js"), node("Fastify + pg", "fastify.js")]


def measure(
    peer: Peer, url: str, right: works.Expected, options: argparse.Namespace
) -> dict[str, tuple[float, float]]:
    """Requests per second, and the server's CPU microseconds per request, of each work."""
    environment = {
        "DATABASE_URL": url,
        "PORT": str(PORT),
        "BENCH_SQL": json.dumps(STATEMENTS),
        **peer.environment,
    }
    base = f"http://127.0.0.1:{PORT}"
    checks = works.checks(right)
    found = {}
    with load.serving(peer.command, environment, base + peer.health) as pid:
        etag = load.get(base + peer.paths(right)["W1"])[2]
        for name, path in peer.paths(right).items():
            if name not in options.works or (name == "W5" and not etag):
                continue
            headers = {"If-None-Match": etag} if name == "W5" else {}
            if not checks[name](*load.get(base + path, headers)[:2]):
                sys.exit(f"bench: {peer.name} answers {name} wrongly")
            load.requests_per_second(base + path, 1, headers)
            before = load.cpu_seconds(pid)
            rates = [
                load.requests_per_second(base + path, options.seconds, headers) for _ in range(RUNS)
            ]
            cpu = (load.cpu_seconds(pid) - before) * 1e6 / (sum(rates) * options.seconds)
            if not checks[name](*load.get(base + path, headers)[:2]):
                sys.exit(f"bench: {peer.name} answers {name} wrongly after the load")
            found[name] = (median(rates), cpu)
    return found


def show(results: dict[str, dict[str, tuple[float, float]]], chosen: list[str]) -> None:
    """A Markdown table: requests per second, ratio to the limit, CPU of the server."""
    limit = next(iter(results.values()))
    print(f"\n| server | {' | '.join(chosen)} |\n|{'---|' * (len(chosen) + 1)}")
    for name, found in results.items():
        cells = []
        for work in chosen:
            if work not in found:
                cells.append("")
                continue
            rate, cpu = found[work]
            ratio = f"{rate / limit[work][0]:.2f}" if work in limit else "-"
            cells.append(f"{ratio} ({rate:,.0f}/s, {cpu:,.0f} us)")
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n" + "\n".join(f"{name}: {works.WORKS[name]}" for name in chosen))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="questions")
    parser.add_argument("--quick", action="store_true", help="1,000 questions, runs of a second")
    parser.add_argument("--seconds", type=int, default=5, help="of one run")
    parser.add_argument("--works", nargs="+", default=list(works.WORKS), choices=works.WORKS)
    parser.add_argument("--only", nargs="+", default=[], help="words of the names of peers")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.seconds = 1_000, 1
    if shutil.which("wrk") is None:
        sys.exit("bench: install wrk first (apt-get install wrk)")
    server = None
    if not (address := os.environ.get("DATABASE_URL", "")):
        server = embedded.start(Path(".cache/bench-postgres").resolve())
        address = server.url
    try:
        url = asyncio.run(prepare(address.replace("+asyncpg", ""), options.rows))
        right = asyncio.run(works.expected(url))
        with tempfile.TemporaryDirectory() as folder:
            results = {}
            for peer in peers(folder):
                wanted = [word for word in options.only if word.lower() in peer.name.lower()]
                if options.only and not wanted and not peer.name.startswith("raw"):
                    continue
                print(f"{peer.name} ...", flush=True)
                results[peer.name] = measure(peer, url, right, options)
        show(results, options.works)
    finally:
        if server is not None:
            embedded.stop(server)


if __name__ == "__main__":
    main()
