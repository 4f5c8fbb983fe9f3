"""Two API processes behind nginx, with the configuration of deploy/nginx.conf."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import make_database
from tests.faults.machine import people
from tests.hub import question
from tests.program.conftest import Program
from tests.proxy.nginx import Site, behind_nginx


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    url = await make_database(database_url, f"hub_behind_nginx_{os.getpid()}")
    async with behind_nginx(tmp_path, HUB_DATABASE_URL=url) as site:
        yield site


def served(hub: Program) -> int:
    return hub.log.count('"event":"request"')


async def test_two_processes_behind_nginx_are_one_hub(site: Site) -> None:
    [person] = await people(site.hubs[0], 1)
    async with site.client() as client:
        for number in range(10):  # what one process acknowledged, the other one shows
            form = question(f"Number {number}")
            asked = await client.post("/api/v1/questions", json=form, headers=person)
            assert asked.status_code == 201, asked.text
            for _ in range(2):
                assert (await client.get(asked.headers["Location"])).status_code == 200
        assert all(served(hub) > 5 for hub in site.hubs)

        forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
        assert (await client.get("/api/v1/questions", headers=forged)).status_code == 200
        large = await client.post("/api/v1/questions", content=b"x" * 1_500_000, headers=person)
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
        assert (await client.get("/metrics")).status_code == 404
        plain = await client.get(f"{site.plain}/docs")
        assert (plain.status_code, plain.headers["Location"][:5]) == (308, "https")

        await asyncio.to_thread(site.hubs[0].stop, signal.SIGTERM)
        answers = [await client.get("/api/v1/questions") for _ in range(20)]
        assert Counter(answer.status_code for answer in answers) == {200: 20}
        await asyncio.to_thread(site.hubs[0].start)
        answers = [await client.get("/api/v1/questions") for _ in range(20)]
        assert Counter(answer.status_code for answer in answers) == {200: 20}
        for hub in site.hubs:
            await asyncio.to_thread(hub.stop, signal.SIGTERM)
        away = await client.get("/api/v1/questions")
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        assert away.headers["Retry-After"] == "2"
