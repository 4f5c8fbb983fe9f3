"""`python -m bench.cpu`: CPU of the hub a request, as so many times that of the limit.

Both run in this process, behind uvicorn's own protocol with a transport in memory, and take turns:
a busy machine slows both, and the ratio says what wrk cannot. PostgreSQL's work is not in it.

With `--replay` PostgreSQL is not asked: the hub's Python is left, in the shortest of many turns.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from uvicorn.config import Config
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from backend_hub.db import Database
from backend_hub.http.protocol import HubProtocol
from backend_hub.leases import Lease, Leases
from backend_hub.logs import configure_logging
from backend_hub.settings import get_settings
from backend_hub.worker import serve
from bench import servers, works
from bench.database import VOTER, WRITER, clean
from bench.load import HOST, Load

CONNECTIONS = 16
ROUNDS = 9
REPLAYED = 500
WORKS = [name for name in works.WORKS if name != "W10"]  # all of which is Argon2


class Memory(asyncio.Transport):
    """Keeps what is written, and says when an answer is complete."""

    def __init__(self, protocol: type[HttpToolsProtocol], *arguments: Any) -> None:
        super().__init__({"peername": (HOST, 5555), "sockname": (HOST, servers.PORT)})
        self.written: list[bytes] = []
        self.protocol = protocol(*arguments)
        self.protocol.connection_made(self)

    def write(self, data: Any) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    async def ask(self, request: bytes) -> bytes:
        self.written.clear()
        self.protocol.data_received(request)
        cycle = self.protocol.cycle
        finished, complete = asyncio.Event(), cycle.on_response
        cycle.on_response = lambda: (complete(), finished.set())
        await finished.wait()
        return b"".join(self.written)


class Served:
    """An app behind uvicorn's protocol."""

    def __init__(
        self, peer: servers.Peer, app: Any, protocol: type[HttpToolsProtocol], first: int
    ) -> None:
        self.peer, self.protocol = peer, protocol
        self.config = Config(app, log_config=None, access_log=False)
        self.config.load()
        self.lifespan = LifespanOn(self.config)
        self.asked = first
        """The number of the last request: those of the other side are not asked again."""

    async def start(self, right: works.Expected) -> None:
        await self.lifespan.startup()
        arguments = (self.config, ServerState(), self.lifespan.state)
        self.connections = [Memory(self.protocol, *arguments) for _ in range(CONNECTIONS)]
        tokens = {name: await self._signed_in(name) for name in (WRITER, VOTER)}
        self.loads = self.peer.loads(right, tokens.__getitem__)
        head = await self.connections[0].ask(_request(self.loads["W1"]))
        tags = [line for line in head.split(b"\r\n") if line.startswith(b"etag: ")]
        etag = tags[0].partition(b": ")[2].decode()
        self.loads["W5"] = replace(self.loads["W5"], headers={"If-None-Match": etag})

    async def _signed_in(self, username: str) -> str:
        answer = await self.connections[0].ask(_request(self.peer.sign_in(username)))
        body = answer[answer.index(b"{") : answer.rindex(b"}") + 1]  # the limit sends it in chunks
        token: str = json.loads(body)["access_token"]
        return token

    async def microseconds(self, work: str, requests: int) -> float:
        """CPU of one request."""
        load = self.loads[work]
        right = b"HTTP/1.1 %d " % load.status

        async def ask_often(connection: Memory) -> None:
            for _ in range(requests // CONNECTIONS):
                self.asked += 1
                answer = await connection.ask(_request(replace(load, first=self.asked)))
                if not answer.startswith(right):
                    raise ValueError(answer)

        before = time.process_time()
        await asyncio.gather(*(ask_often(connection) for connection in self.connections))
        return (time.process_time() - before) * 1e6 / (requests // CONNECTIONS * CONNECTIONS)


class Replay:
    """What PostgreSQL answers to the hub's statements, kept while it is asked and then given again."""

    def __init__(self) -> None:
        self.asking = True
        self.answers: dict[str, Any] = {}
        take, ask = Leases.take, Database._ask

        async def taken(leases: Leases) -> Any:
            return await take(leases) if self.asking else None

        async def asked(database: Database, lease: Lease, sql: str, arguments: Any) -> Any:
            if self.asking:
                self.answers[sql] = await ask(database, lease, sql, arguments)
            return self.answers[sql]

        Leases.take = taken  # type: ignore[method-assign]
        Database._ask = asked  # type: ignore[method-assign]

    async def measure(self, hub: Served, url: str, chosen: list[str]) -> None:
        await hub.start(await works.expected(url))
        for work in chosen:
            self.asking = True
            await hub.microseconds(work, CONNECTIONS)
            self.asking = False
            turns = [await hub.microseconds(work, 4 * CONNECTIONS) for _ in range(REPLAYED)]
            print(f"{work}: {min(turns):.0f} us")
        await hub.lifespan.shutdown()


def _request(load: Load) -> bytes:
    path, headers, body = load.request()
    if body is not None:
        headers = {**headers, "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{load.method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n".encode() + (body or b"")


async def compare(limit: Served, hub: Served, url: str, chosen: list[str], requests: int) -> None:
    right = await works.expected(url)
    for side in (limit, hub):
        await side.start(right)
    for work in sorted(chosen, key=works.WRITES.__contains__):  # reads find nothing new
        turns = [
            (await limit.microseconds(work, requests), await hub.microseconds(work, requests))
            for _ in range(ROUNDS + 1)
        ][1:]
        least = [min(side) for side in zip(*turns, strict=True)]
        times = median(ours / theirs for theirs, ours in turns)
        print(f"{work}: limit {least[0]:.0f} us, hub {least[1]:.0f} us, {times:.1f} times")
    for side in (limit, hub):
        await side.lifespan.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cpu", description=__doc__)
    parser.add_argument("--works", nargs="+", default=WORKS, choices=WORKS)
    parser.add_argument("--requests", type=int, default=320, help="of one turn")
    parser.add_argument("--replay", action="store_true", help="without PostgreSQL")
    options = parser.parse_args()
    url = os.environ["DATABASE_URL"]  # of a database that `python -m bench` filled
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        limit, hub = servers.peers(folder)[:2]
        os.environ |= servers.environment(limit, url) | servers.environment(hub, url)
        sys.stderr = nowhere  # the log, which is written all the same
        configure_logging(get_settings())
        raw = import_module("bench.peers.raw")  # it reads the environment
        sides = (
            Served(limit, raw.app, HttpToolsProtocol, 0),
            Served(hub, serve(), HubProtocol, 1_000_000),
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if options.replay:
                runner.run(Replay().measure(sides[1], url, options.works))
            else:
                runner.run(compare(*sides, url, options.works, options.requests))
            runner.run(clean(url))


if __name__ == "__main__":
    main()
