"""`make bench`: the hub and its peers do the same work, one after the other.

The server is on one core, the load on the other. All are run three times, in rounds; each figure
is the median of the three. The ratio is to the limit, raw uvicorn and asyncpg, in the same round:
the machine's speed changes from minute to minute. One wrong answer, and nothing is printed.
"""

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil

from bench import load, servers, works
from bench.database import clean, prepare, server

ROUNDS = 3
RUNS = 2
"""Of a work in a round; the first is to warm up."""
Figures = dict[str, tuple[float, float]]
"""Requests per second, and the server's CPU microseconds per request, of each work."""


class Wrong(Exception):
    """An answer that is not right."""


def signed_in(peer: servers.Peer, username: str) -> str:
    answer = load.ask(servers.PORT, peer.sign_in(username))
    if answer.status != 200:
        raise Wrong(f"{peer.name} does not sign in: {answer.status} {answer.body[:300]!r}")
    token: str = json.loads(answer.body)["access_token"]
    return token


def measure(
    peer: servers.Peer, url: str, right: works.Expected, chosen: list[str], seconds: float
) -> Figures:
    """Each chosen work of a peer; reads first. Raises Wrong."""
    environment = servers.environment(peer, url)
    found = {}
    with load.serving(peer.command, environment, servers.PORT, peer.paths.health) as process:
        loads = peer.loads(right, lambda name: signed_in(peer, name))
        if "W5" in chosen:
            etag = load.ask(servers.PORT, loads["W1"]).etag
            loads["W5"] = replace(loads["W5"], headers={"If-None-Match": etag})
        for name, wanted in loads.items():
            if name in chosen:
                found[name] = _measure_one(peer, process, url, right, (name, wanted), seconds)
    if set(chosen) & set(works.WRITES):
        asyncio.run(clean(url))
    return found


def _measure_one(
    peer: servers.Peer,
    process: psutil.Process,
    url: str,
    right: works.Expected,
    work: tuple[str, load.Load],
    seconds: float,
) -> tuple[float, float]:
    name, wanted = work
    answered = 0

    def checked(number: int) -> str:
        """One answer, looked into; raises Wrong."""
        answer = load.ask(servers.PORT, replace(wanted, first=number))
        right_status = answer.status == wanted.status
        if not right_status or not works.is_right(right, name, number, answer.status, answer.body):
            raise Wrong(
                f"{peer.name} answers {name} wrongly: {answer.status} {answer.body[:3000]!r}"
            )
        return answer.body.decode()

    if name in works.WRITES:
        checked(0)
    else:  # then every answer is one of those that were looked into
        bodies = [checked(number) for number in range(len(wanted.ids) or 1)]
        wanted = replace(wanted, same=bodies)
    if not seconds:
        return math.nan, math.nan
    first = replace(wanted, first=0)
    for length in (min(seconds, 1), seconds):
        load.settle(process)
        began = load.cpu_seconds(process)
        run = load.run(servers.PORT, first, length)
        if run.wrong:
            raise Wrong(f"{peer.name} gave {run.wrong} wrong answers of {run.requests} to {name}")
        first = replace(first, first=run.sent)
        answered += run.requests
    if not run.requests:
        raise Wrong(f"{peer.name} answers no {name} within {seconds} s: use longer runs")
    cpu = (load.cpu_seconds(process) - began) * 1e6 / run.requests
    if name not in works.WRITES:
        checked(0)
    elif not _all_written(url, name, answered, first):
        raise Wrong(f"{peer.name} did not write what its {answered} answers to {name} say")
    return run.rate, cpu


def _all_written(url: str, name: str, answered: int, ended: load.Load) -> bool:
    """Whether what was answered is in the database, whole and once.

    Of each run the answers to the last requests were not waited for; a few more came of looking.
    wrk makes one request a run that it does not send.
    """
    found = asyncio.run(works.written(url, name))
    if found is None:
        return False
    if name == "W8":
        return min(len(ended.ids), answered) - RUNS <= found <= len(ended.ids)
    return answered <= found <= answered + 3 + RUNS * load.CONNECTIONS


def table(rounds: list[dict[str, Figures]], chosen: list[str]) -> str:
    """In Markdown: the ratio to the limit, requests per second, CPU of the server."""
    lines = [f"| server | {' | '.join(chosen)} |", "|---" * (len(chosen) + 1) + "|"]
    for name in rounds[0]:
        cells = [_cell(rounds, name, work) for work in chosen]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{name}: {works.WORKS[name]}" for name in chosen)])


def _cell(rounds: list[dict[str, Figures]], name: str, work: str) -> str:
    found = [results[name][work] for results in rounds]
    rate, cpu = (median(figures) for figures in zip(*found, strict=True))
    shown = f"({rate:,.0f}/s, {cpu:,.0f} us)"
    if LIMIT not in rounds[0]:
        return shown
    ratios = [results[name][work][0] / results[LIMIT][work][0] for results in rounds]
    return f"{median(ratios):.2f} {shown}"


LIMIT = "raw uvicorn + asyncpg"


def _names(known: list[str]) -> object:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not of {', '.join(known)}")
        return [name for name in known if name in names]

    return parse


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="questions (100,000)")
    parser.add_argument("--seconds", type=float, default=2, help="of one run (2); 0: only look")
    works_of, peers_of = _names(list(works.WORKS)), _names(servers.KEYS)
    parser.add_argument("--works", type=works_of, default=list(works.WORKS), help="W1,W5")  # type: ignore[arg-type]
    parser.add_argument("--peers", type=peers_of, default=servers.KEYS, help="hub,raw")  # type: ignore[arg-type]
    parser.add_argument("--database-url", default=os.environ.get("DATABASE_URL", ""))
    parser.add_argument("--data-dir", type=Path, default=Path(".cache/bench-postgres"))
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    rounds: list[dict[str, Figures]] = []
    with (
        server(options.database_url, options.data_dir) as any_url,
        tempfile.TemporaryDirectory() as folder,
    ):
        url = asyncio.run(prepare(any_url, options.rows))
        right = asyncio.run(works.expected(url))
        wanted = [peer for peer in servers.peers(folder) if peer.key in options.peers]
        wanted = [peer for peer in wanted if peer.install()]
        for number in range(ROUNDS if options.seconds else 1):
            rounds.append({})
            for peer in wanted:
                print(f"{number + 1}: {peer.name} ...", file=sys.stderr, flush=True)
                try:
                    found = measure(peer, url, right, options.works, options.seconds)
                except Wrong as error:
                    sys.exit(f"bench: {error}")
                rounds[-1][peer.name] = found
    if not options.seconds:
        print("Every answer is right.")
        return
    client = "wrk" if load.has_wrk(options.seconds) else "bench.client"
    print(f"\n{options.rows:,} questions, {load.CONNECTIONS} connections of {client}\n")
    print(table(rounds, options.works))


if __name__ == "__main__":
    main()
