"""A load client for where wrk is not: one process, keep-alive connections, every answer compared.

    python -m bench.client LOAD.json CONNECTIONS SECONDS

It needs more CPU than wrk, so a fast server is measured lower. Compare figures of one client only.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import httptools

try:
    import uvloop
except ImportError:  # Windows
    uvloop = None


class Load:
    """The requests, one after the other, and what came back."""

    def __init__(self, work: dict[str, Any], seconds: float) -> None:
        self.work = work
        self.sent, self.wrong, self.answered = work["first"], 0, 0
        self.milliseconds: list[float] = []
        self.ends = time.perf_counter() + seconds
        self.same = {body.encode() for body in work["same"]} if work["same"] else None
        self.holds = (work["holds"] or "").encode()
        self.static = None if work["varies"] else self._render(0)

    def next(self) -> bytes:
        self.sent += 1
        return self.static or self._render(self.sent - 1)

    def _render(self, n: int) -> bytes:
        work = self.work
        ids = work["ids"]
        head = "".join(f"{name}: {value}\r\n" for name, value in work["headers"].items())
        body = work["body"] or ""
        parts = []
        for part in (work["path"], head, body):
            part = part.replace("{n}", str(n))
            if ids:
                part = part.replace("{id}", ids[n % len(ids)])
                part = part.replace("{value}", "-1" if n // len(ids) % 2 else "1")
            parts.append(part)
        path, head, body = parts
        length = f"Content-Length: {len(body.encode())}\r\n" if work["body"] is not None else ""
        return (
            f"{work['method']} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}{length}\r\n{body}"
        ).encode()

    def judge(self, status: int, body: bytes, since: float) -> None:
        self.answered += 1
        self.milliseconds.append((time.perf_counter() - since) * 1e3)
        right = status == self.work["status"] and (self.same is None or body in self.same)
        if not right or self.holds not in body:
            self.wrong += 1


class Connection(asyncio.Protocol):
    """One request after the other; httptools calls the methods that begin with `on_`."""

    def __init__(self, load: Load, ended: asyncio.Future[None]) -> None:
        self.load, self.ended = load, ended
        self.body: list[bytes] = []
        self.since = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.body.clear()
        self.since = time.perf_counter()
        if self.since < self.load.ends:
            self.transport.write(self.load.next())
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.load.judge(self.parser.get_status_code(), b"".join(self.body), self.since)
        asyncio.get_running_loop().call_soon(self._send)

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None or time.perf_counter() < self.load.ends:
            self.load.wrong += 1
        if not self.ended.done():
            self.ended.set_result(None)


async def run(work: dict[str, Any], connections: int, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    load = Load(work, seconds)
    began = time.perf_counter()
    ends = [loop.create_future() for _ in range(connections)]
    for ended in ends:
        await loop.create_connection(
            lambda ended=ended: Connection(load, ended), "127.0.0.1", work["port"]
        )
    await asyncio.gather(*ends)
    times = sorted(load.milliseconds) or [0.0]
    return {
        "requests": load.answered,
        "seconds": time.perf_counter() - began,
        "wrong": load.wrong,
        "sent": load.sent,
        "p50": times[len(times) // 2],
        "p99": times[len(times) * 99 // 100],
    }


def main() -> None:
    file, connections, seconds = sys.argv[1:]
    work = json.loads(Path(file).read_text(encoding="utf-8"))
    runner = uvloop.run if uvloop is not None else asyncio.run
    found = runner(run(work, int(connections), float(seconds)))
    print("BENCH", json.dumps(found))


if __name__ == "__main__":
    main()
