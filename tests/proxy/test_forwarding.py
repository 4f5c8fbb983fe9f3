"""What a proxy passes on: seen by two servers that say what reached them."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.proxy.sites import PROXIES, Front, running


class Echo:
    """A server that answers with the header that it got, or hangs up when it is `broken`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.strip().split("\r\n")
        self.asked.append(request.split()[0])
        if not self.broken:
            fields = [line.partition(": ") for line in lines]
            body = json.dumps([[name.lower(), value] for name, _, value in fields]).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def echoes() -> AsyncIterator[tuple[list[Echo], tuple[int, int]]]:
    """Two of them, and their ports."""
    pair = [Echo(), Echo()]
    servers = [await asyncio.start_server(echo.answer, "127.0.0.1", 0) for echo in pair]
    one, two = (server.sockets[0].getsockname()[1] for server in servers)
    try:
        yield pair, (one, two)
    finally:
        for server in servers:
            server.close()


@pytest.mark.parametrize("proxy", PROXIES)
async def test_what_a_client_claims_about_itself_never_arrives(proxy: str, tmp_path: Path) -> None:
    forged = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "http",
        "Idempotency-Key": "passed on",
    }
    async with echoes() as (_, ports):
        front = Front(tmp_path, ports)
        with running(proxy, front):
            async with front.client() as client:
                got = (await client.get("/", headers=forged)).json()
    wanted = {
        "host": f"localhost:{front.secure}",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "https",
        "idempotency-key": "passed on",
    }
    assert sorted(pair for pair in got if pair[0] in wanted) == sorted(map(list, wanted.items()))


@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_read_is_tried_again_and_a_write_that_was_taken_is_not(
    proxy: str, tmp_path: Path
) -> None:
    async with echoes() as ((one, two), ports):
        front = Front(tmp_path, ports)
        with running(proxy, front):
            async with front.client() as client:
                one.broken = True
                read = [(await client.get("/")).status_code for _ in range(4)]
                assert (read, one.asked[:1]) == ([200] * 4, ["GET"])

                two.broken = True
                posted = await client.post("/", json={})
                assert (posted.status_code, posted.headers["Retry-After"]) == (503, "2")
                assert posted.json()["code"] == "unavailable"
                assert Counter(one.asked + two.asked)["POST"] == 1
