"""How the hub grows: rows, depth, workers, connections; memory and start-up time.

python -m bench.growth                    # 100,000 questions against 1,000,000
python -m bench.growth --rows 2000 20000 --seconds 1
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil

from bench import load, servers, works
from bench.__main__ import Wrong, signed_in
from bench.database import prepare, server

READS = ("W1", "W2", "W3", "W6")
RUNS = 3


@dataclass
class Hub:
    """A hub that serves a database."""

    process: psutil.Process
    loads: dict[str, load.Load]
    ready: float
    """Seconds from the command to the first answer."""

    def rate(self, work: str, seconds: float, connections: int = load.CONNECTIONS) -> load.Run:
        """The run with the median rate; raises Wrong."""
        wanted = self.loads[work]
        load.run(servers.PORT, wanted, min(1, seconds), connections)
        runs = [load.run(servers.PORT, wanted, seconds, connections) for _ in range(RUNS)]
        for run in runs:
            if run.wrong or not run.requests:
                raise Wrong(f"{run.wrong} wrong answers of {run.requests} to {work}")
        return sorted(runs, key=lambda run: run.rate)[RUNS // 2]


@contextmanager
def served(url: str, right: works.Expected, workers: int = 1) -> Iterator[Hub]:
    """The hub with so many processes: one on a core of its own, several on all cores."""
    with tempfile.TemporaryDirectory() as folder:
        hub = servers.hub(folder, "--workers", str(workers))
        environment = servers.environment(hub, url)
        began = time.perf_counter()
        with load.serving(
            hub.command, environment, servers.PORT, "/health/ready", workers
        ) as process:
            ready = time.perf_counter() - began
            loads = hub.loads(right, lambda name: signed_in(hub, name))
            for name in READS:
                loads[name] = _checked(loads[name], name, right)
            yield Hub(process, loads, ready)


def _checked(wanted: load.Load, name: str, right: works.Expected) -> load.Load:
    """The load whose every answer is the one that was looked into; raises Wrong."""
    answer = load.ask(servers.PORT, wanted)
    if not works.is_right(right, name, 0, answer.status, answer.body):
        raise Wrong(f"{name} is answered wrongly: {answer.status} {answer.body[:500]!r}")
    return replace(wanted, same=[answer.body.decode()])


def memory(process: psutil.Process) -> list[tuple[float, float]]:
    """RSS and PSS of each process that serves, in MiB; PSS counts shared pages in parts."""
    found = []
    for one in load.family(process):
        full = one.memory_full_info()
        found.append((full.rss / 2**20, getattr(full, "pss", full.rss) / 2**20))
    return found


def rows_and_depth(url_of: dict[int, str], seconds: float) -> list[list[str]]:
    rates: dict[tuple[str, int], float] = {}
    for rows, url in url_of.items():
        right = asyncio.run(works.expected(url))
        with served(url, right) as hub:
            for work in READS:
                rates[work, rows] = hub.rate(work, seconds).rate
    few, many = url_of
    lines = [
        _line(f"{work}: {works.WORKS[work]}", f"{few:,} rows", f"{many:,} rows", *pair)
        for work in READS
        for pair in [(rates[work, few], rates[work, many])]
    ]
    for rows in url_of:
        pair = rates["W1", rows], rates["W6", rows]
        lines.append(_line(f"the deep page at {rows:,} rows", "page 1 (W1)", "deep (W6)", *pair))
    return lines


def processes_and_connections(url: str, seconds: float, connections: int) -> list[list[str]]:
    right = asyncio.run(works.expected(url))
    lines = []
    with served(url, right) as hub:
        for work in ("W1", "W7"):
            hub.loads["W7"] = replace(hub.loads["W7"], same=None)
            one, many = hub.rate(work, seconds, 1), hub.rate(work, seconds, connections)
            lines.append(
                _line(f"{work} by connections", "1", str(connections), one.rate, many.rate)
            )
            lines.append(
                [f"{work} by connections: p99", f"{one.p99:,.1f} ms", f"{many.p99:,.1f} ms", ""]
            )
        single = hub.rate("W1", seconds).rate
        used = memory(hub.process)[0]
        first, ready = "one worker after load: RSS, PSS", hub.ready
        lines.append([first, *(f"{size:,.0f} MiB" for size in used), ""])
    with served(url, right, 2) as hub:
        both = hub.rate("W1", seconds).rate
        lines.append(_line("W1 by workers, on all cores", "1 (its core)", "2", single, both))
        serving = sorted(memory(hub.process))[-2:]
        for number, (rss, pss) in enumerate(serving, 1):
            name = f"worker {number} of two after load: RSS, PSS"
            lines.append([name, f"{rss:,.0f} MiB", f"{pss:,.0f} MiB", ""])
    times = [ready]
    for _ in range(RUNS - 1):
        with served(url, right) as hub:
            times.append(hub.ready)
    lines.append(["ready, on a warm database", f"{median(times):.2f} s", "", ""])
    return lines


def _line(name: str, one: str, other: str, first: float, second: float) -> list[str]:
    return [name, f"{one}: {first:,.0f}/s", f"{other}: {second:,.0f}/s", f"{second / first:.2f}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--rows", type=int, nargs=2, default=[100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=2, help="of one run (2)")
    parser.add_argument("--connections", type=int, default=200, help="against one (200)")
    parser.add_argument("--database-url", default=os.environ.get("DATABASE_URL", ""))
    parser.add_argument("--data-dir", type=Path, default=Path(".cache/bench-postgres"))
    options = parser.parse_args(arguments)
    with server(options.database_url, options.data_dir) as any_url:
        url_of = {rows: asyncio.run(prepare(any_url, rows)) for rows in options.rows}
        try:
            lines = rows_and_depth(url_of, options.seconds)
            lines += processes_and_connections(
                url_of[options.rows[0]], options.seconds, options.connections
            )
        except Wrong as error:
            sys.exit(f"bench: {error}")
    print("\n| growth | one | other | ratio |\n|---|---|---|---|")
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
