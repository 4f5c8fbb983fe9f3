"""Rate limits per account and per address, told in headers, shared through Redis."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import redis.asyncio
from fastapi import FastAPI

from backend_hub.app import create_app
from backend_hub.http.rate_limits import network_of
from backend_hub.settings import Settings
from tests.hub import Hub

REDIS = "redis://127.0.0.1:6379/5"


class Limited:
    """Apps under tight limits, called from any address."""

    def __init__(self, app: FastAPI, settings: Settings, database: Any) -> None:
        self.parts = (app, settings, database)

    def app(self, **changes: Any) -> FastAPI:
        app, settings, database = self.parts
        tight = {"rate_limit": "5/minute", "sign_in_rate_limit": "3/minute", **changes}
        other = create_app(settings.model_copy(update=tight), database)
        other.state.tokens = app.state.tokens
        return other

    @staticmethod
    def client(app: FastAPI, address: str = "192.0.2.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://testserver")


@pytest.fixture
def limited(hub: Hub, app: FastAPI, settings: Settings, test_database: Any) -> Limited:
    return Limited(app, settings, test_database)


async def statuses(client: httpx.AsyncClient, times: int, **kwargs: Any) -> list[int]:
    return [(await client.get("/api/v1/resources", **kwargs)).status_code for _ in range(times)]


async def test_every_answer_tells_what_is_left(limited: Limited) -> None:
    app = limited.app()
    for left, path in enumerate(["/api/v1/nothing", "/api/v1/users/me", "/api/v1/resources"][::-1]):
        answer = await limited.client(app).get(path)
        assert answer.headers["RateLimit-Policy"] == '"default";q=5;w=60'
        name, remaining, reset = answer.headers["RateLimit"].split(";")
        assert (name, remaining) == ('"default"', f"r={4 - left}")
        assert 1 <= int(reset.removeprefix("t=")) <= 60
        assert answer.headers["X-RateLimit-Limit"] == "5"
        assert answer.headers["X-RateLimit-Remaining"] == str(4 - left)
        assert 1 <= int(answer.headers["X-RateLimit-Reset"]) <= 60


async def test_too_many_requests_from_one_address_are_refused(limited: Limited) -> None:
    app = limited.app()
    client = limited.client(app)
    assert await statuses(client, 5) == [200] * 5
    refused = await client.get("/api/v1/resources")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit"].startswith('"default";r=0;')
    assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
    assert await statuses(limited.client(app, "192.0.2.2"), 1) == [200]
    assert (await client.get("/health/live")).status_code == 200


async def test_an_account_has_a_limit_of_its_own_wherever_it_calls_from(
    hub: Hub, limited: Limited
) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    app = limited.app()
    assert await statuses(limited.client(app), 6) == [200] * 5 + [429]
    for person in (ann, bob):
        first, second = limited.client(app), limited.client(app, "192.0.2.9")
        assert await statuses(first, 3, headers=person.headers) == [200] * 3
        assert await statuses(second, 3, headers=person.headers) == [200] * 2 + [429]


async def test_a_made_up_token_does_not_evade_the_limit_of_the_address(limited: Limited) -> None:
    client = limited.client(limited.app())
    for number in range(5):
        headers = {"Authorization": f"Bearer made.up.{number}"}
        assert await statuses(client, 1, headers=headers) == [401]
    assert await statuses(client, 1, headers={"Authorization": "Bearer an.other.one"}) == [429]


@pytest.mark.parametrize("path", ["/api/v1/auth/token", "/api/v1/auth/%74oken"])
async def test_sign_ins_have_a_tighter_limit(hub: Hub, limited: Limited, path: str) -> None:
    ann = await hub.person("ann")
    client = limited.client(limited.app())
    form = {"username": "ann", "password": "a wrong guess"}
    answers = [await client.post(path, data=form, headers=ann.headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429]
    assert answers[3].headers["RateLimit-Policy"] == '"sign-in";q=3;w=60'
    assert await statuses(client, 1) == [200]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:0:0:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_whoever_holds_a_network_of_ipv6_counts_once(address: str, counted: str) -> None:
    assert network_of(address) == counted


@pytest.fixture
async def store() -> AsyncIterator[str]:
    """A real Redis, emptied of what the test counted."""
    client = redis.asyncio.Redis.from_url(REDIS)
    await client.flushdb()
    yield REDIS
    await client.flushdb()
    await client.aclose()


async def test_two_processes_share_the_count(limited: Limited, store: str) -> None:
    address = f"test-{uuid.uuid4()}"
    apps = [limited.app(redis_url=store) for _ in range(2)]
    first, second = (limited.client(app, address) for app in apps)
    assert await statuses(first, 3) == [200] * 3
    assert await statuses(second, 3) == [200] * 2 + [429]
    assert await statuses(first, 1) == [429]
    for app in apps:
        await close_store(app)


async def close_store(app: FastAPI) -> None:
    layer: Any = app.middleware_stack
    while not hasattr(layer, "shared"):
        layer = layer.app
    await layer.shared.storage.bridge.storage.aclose()


async def test_a_store_that_is_down_stops_nobody_but_each_process_still_counts(
    limited: Limited,
) -> None:
    client = limited.client(limited.app(redis_url="redis://127.0.0.1:1/0"))
    started = time.monotonic()
    assert await statuses(client, 6) == [200] * 5 + [429]
    assert time.monotonic() - started < 3


async def test_a_store_that_hangs_slows_one_request_and_not_all(limited: Limited) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        app = limited.app(redis_url=f"redis://127.0.0.1:{port}/0")
        started = time.monotonic()
        assert await statuses(limited.client(app), 5) == [200] * 5
        assert time.monotonic() - started < 2
        await close_store(app)
