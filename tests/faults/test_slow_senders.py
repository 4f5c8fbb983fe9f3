"""Clients that send their header or their body byte by byte."""

import asyncio
import time

import pytest

from tests.faults.conftest import Programs
from tests.faults.machine import http, people
from tests.program.conftest import Program

SLOW = 100
HEADER_SECONDS, BODY_SECONDS = 2, 3


@pytest.fixture(scope="module")
def program(programs: Programs) -> Program:
    return programs(
        HUB_REQUEST_HEADER_TIMEOUT=str(HEADER_SECONDS), HUB_REQUEST_BODY_TIMEOUT=str(BODY_SECONDS)
    ).start("--no-seed")


async def drip(port: int, begin: bytes, rest: bytes) -> tuple[bytes, float]:
    """Send `begin`, then a byte of `rest` now and then: what came back, and after how long.

    Who hears the beginning of an answer stops sending, and reads the rest until the hub closes.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(begin)
    answer = asyncio.create_task(reader.read(65_536))
    for byte in rest:
        if answer.done():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(0.1)
    got = await asyncio.wait_for(answer, 10)
    took = time.monotonic() - began
    got += await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return got, took


async def quick_requests(program: Program) -> float:
    """The slowest of fifty ordinary requests, in seconds."""
    slowest = 0.0
    async with http(program) as client:
        for _ in range(50):
            began = time.monotonic()
            assert (await client.get("/api/v1/questions")).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
    return slowest


async def test_slow_headers_are_cut_off_and_hinder_nobody(program: Program) -> None:
    rest = b"X-Slow: " + b"a" * 200
    slow = [
        asyncio.create_task(drip(program.port, b"GET /health/live HTTP/1.1\r\n", rest))
        for _ in range(SLOW)
    ]
    slowest = await quick_requests(program)
    results = await asyncio.gather(*slow)
    assert {got for got, _ in results} == {b""}
    assert max(took for _, took in results) < HEADER_SECONDS + 3
    assert slowest < 1.5
    print(f"{SLOW} slow headers cut off; the slowest other request took {slowest * 1000:.0f} ms")


async def test_slow_bodies_are_408_hold_no_connection_and_hinder_nobody(program: Program) -> None:
    [person] = await people(program, 1)
    begin = (
        "POST /api/v1/questions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: {person['Authorization']}\r\nContent-Length: 1000\r\n\r\n"
    ).encode()
    slow = [
        asyncio.create_task(drip(program.port, begin, b'{"title": "' + b"a" * 900))
        for _ in range(SLOW)
    ]
    slowest = await quick_requests(program)
    results = await asyncio.gather(*slow)
    for got, _ in results:
        assert got.startswith(b"HTTP/1.1 408 "), got
        assert b'"code":"body_too_slow"' in got
    assert max(took for _, took in results) < BODY_SECONDS + 3
    assert slowest < 1.5
    print(f"{SLOW} slow bodies 408; the slowest other request took {slowest * 1000:.0f} ms")


async def test_a_connection_outlives_the_deadline_between_its_requests(program: Program) -> None:
    async with http(program) as client:
        for _ in range(2):
            assert (await client.get("/health/live")).status_code == 200
            await asyncio.sleep(HEADER_SECONDS + 0.3)
        body = {"title": "In time", "body": "Who?"}
        assert (await client.post("/api/v1/questions", json=body)).status_code == 401
