"""`python -m bench.cpu`: CPU of the hub a request, as so many times that of the limit.

Both run in this process, behind uvicorn's own protocol with a transport in memory, and take turns:
a busy machine slows both, and the ratio says what wrk cannot. PostgreSQL's work is not in it.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from uvicorn.config import Config
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from backend_hub.app import serve
from backend_hub.http.slow_senders import HubProtocol
from backend_hub.logs import configure_logging
from backend_hub.settings import get_settings
from bench import __main__ as bench
from bench import works
from bench.peers import raw

CONNECTIONS = 16
ROUNDS = 9
HEADERS = "Host: 127.0.0.1\r\n"
LIMIT = bench.Peer("limit", [])
HUB = bench.Peer("hub", [], "/api/v1", "/health/live")
SETTINGS = {
    "HUB_ENVIRONMENT": "development",
    "HUB_SECRET_KEY": bench.SECRET,
    "HUB_LOG_FORMAT": "json",
    "HUB_RATE_LIMIT": "100000000/minute",
}


class Memory(asyncio.Transport):
    """Keeps what is written, and says when an answer is complete."""

    def __init__(self, protocol: type[HttpToolsProtocol], *arguments: Any) -> None:
        super().__init__({"peername": ("127.0.0.1", 5555), "sockname": ("127.0.0.1", bench.PORT)})
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

    def __init__(self, peer: bench.Peer, app: Any, protocol: type[HttpToolsProtocol]) -> None:
        self.peer, self.protocol = peer, protocol
        self.config = Config(app, log_config=None, access_log=False)
        self.config.load()
        self.lifespan = LifespanOn(self.config)

    async def start(self, right: works.Expected) -> None:
        await self.lifespan.startup()
        arguments = (self.config, ServerState(), self.lifespan.state)
        self.connections = [Memory(self.protocol, *arguments) for _ in range(CONNECTIONS)]
        self.paths = self.peer.paths(right)
        head = await self.connections[0].ask(self._request("W1"))
        tags = [line for line in head.split(b"\r\n") if line.startswith(b"etag: ")]
        self.etag = tags[0].partition(b": ")[2].decode() if tags else ""

    def _request(self, work: str) -> bytes:
        known = f"If-None-Match: {self.etag}\r\n" if work == "W5" else ""
        return f"GET {self.paths[work]} HTTP/1.1\r\n{HEADERS}{known}\r\n".encode()

    async def microseconds(self, work: str, requests: int) -> float:
        """CPU of one request."""
        request = self._request(work)

        async def ask_often(connection: Memory) -> None:
            for _ in range(requests // CONNECTIONS):
                await connection.ask(request)

        before = time.process_time()
        await asyncio.gather(*(ask_often(connection) for connection in self.connections))
        return (time.process_time() - before) * 1e6 / (requests // CONNECTIONS * CONNECTIONS)


async def compare(limit: Served, hub: Served, url: str, chosen: list[str], requests: int) -> None:
    right = await works.expected(url)
    for side in (limit, hub):
        await side.start(right)
    for work in chosen:
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
    parser.add_argument("--works", nargs="+", default=list(works.WORKS), choices=works.WORKS)
    parser.add_argument("--requests", type=int, default=320, help="of one turn")
    options = parser.parse_args()
    url = os.environ["DATABASE_URL"]  # of a database that `python -m bench` filled
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        hub_url = url.replace("postgresql://", "postgresql+asyncpg://")
        os.environ |= {**SETTINGS, "HUB_DATA_DIR": folder, "HUB_DATABASE_URL": hub_url}
        sys.stderr = nowhere  # the log, which is written all the same
        configure_logging(get_settings())
        limit = Served(LIMIT, raw.app, HttpToolsProtocol)
        hub = Served(HUB, serve(), HubProtocol)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(compare(limit, hub, url, options.works, options.requests))


if __name__ == "__main__":
    main()
