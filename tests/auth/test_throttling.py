"""Guessing is slow, wherever it comes from and whichever process it meets (promises 62, 65)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text, update
from sqlmodel import col, select

from backend_hub.app import create_app, lifespan
from backend_hub.auth.models import Throttle
from backend_hub.auth.throttling import (
    CODE,
    SIGN_IN_ADDRESS,
    SIGN_IN_KNOWN,
    Rule,
    TooManyTries,
    Try,
    clear,
    count_try,
    purge_old_throttles,
    reserve,
    succeed,
)
from backend_hub.db import AsyncSession, Database
from backend_hub.settings import Settings
from backend_hub.users.models import User
from tests.hub import PASSWORD, Hub
from tests.oauth.browsing import Surfer

FREE = 10
"""Guesses of an account before the first wait."""


def caller(app: Any, address: str, agent: str = "guesser/1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    headers = {"User-Agent": agent}
    return httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers)


async def guess(client: httpx.AsyncClient, name: str, password: str = "") -> httpx.Response:
    form = {"username": name, "password": password or "wrong"}
    return await client.post("/api/v1/auth/token", data=form)


async def age(hub: Hub, seconds: float) -> None:
    """As if so many seconds had passed."""
    async with hub.database.transaction() as session:
        earlier = timedelta(seconds=seconds)
        await session.execute(
            update(Throttle).values(
                tried_at=col(Throttle.tried_at) - earlier, free_at=col(Throttle.free_at) - earlier
            )
        )


@pytest.mark.parametrize("name", ["ann", "nobody"])
async def test_62_65_guesses_wait_longer_and_longer_whether_or_not_the_account_exists(
    hub: Hub, app: FastAPI, name: str
) -> None:
    await hub.person("ann")
    guesser = caller(app, "203.0.113.9")
    for _ in range(FREE):
        assert (await guess(guesser, name)).status_code == 401
    waits = []
    for _ in range(4):
        refused = await guess(guesser, f" {name.upper()} ", PASSWORD)
        assert refused.status_code == 429
        problem = refused.json()
        assert (problem["code"], problem["detail"]) == (
            "too_many_tries",
            f"Too many tries: try again in {refused.headers['Retry-After']} seconds",
        )
        waits.append(int(refused.headers["Retry-After"]))
        await age(hub, waits[-1])
        assert (await guess(guesser, name)).status_code == 401
    assert waits == [2, 4, 8, 16]


async def test_65_the_owner_is_not_locked_out_where_the_account_is_known(
    hub: Hub, app: FastAPI
) -> None:
    home = caller(app, "198.51.100.7", "Firefox")
    await hub.person("ann")
    assert (await guess(home, "ann", PASSWORD)).status_code == 200
    attacker = caller(app, "203.0.113.9")
    for _ in range(FREE + 5):
        await guess(attacker, "ann")
    assert (await guess(attacker, "ann", PASSWORD)).status_code == 429
    assert (await guess(caller(app, "203.0.113.77"), "ann", PASSWORD)).status_code == 429
    assert (await guess(home, "ann", PASSWORD)).status_code == 200
    for _ in range(FREE):  # and from there guesses are slow too
        assert (await guess(home, "ann")).status_code == 401
    assert (await guess(home, "ann", PASSWORD)).status_code == 429


async def test_65_a_browser_that_signed_in_before_is_known_wherever_it_goes(
    hub: Hub, app: FastAPI
) -> None:
    await hub.person("ann")
    browser = Surfer(caller(app, "198.51.100.7", "Firefox"))
    await browser.sign_in("ann")
    attacker = caller(app, "203.0.113.9")
    for _ in range(FREE + 1):
        await guess(attacker, "ann")
    stranger = Surfer(caller(app, "203.0.113.9", "Firefox"))
    assert (await stranger.sign_in("ann")).status_code == 429
    travelling = Surfer(caller(app, "203.0.113.9", "Firefox"))
    travelling.client.cookies = browser.client.cookies
    assert (await travelling.sign_in("ann")).status_code == 303


async def test_65_over_the_limit_the_sign_in_page_stays_a_page(hub: Hub, app: FastAPI) -> None:
    await hub.person("ann")
    browser = Surfer(caller(app, "203.0.113.9"))
    for _ in range(FREE):
        await guess(browser.client, "ann")
    refused = await browser.sign_in("ann")
    assert refused.status_code == 429
    assert refused.headers["Content-Type"].startswith("text/html")
    assert refused.headers["Retry-After"] == "2"
    assert "try again in 2 seconds" in refused.text
    assert 'name="password"' in refused.text


async def test_65_the_rate_limit_of_an_address_is_a_page_for_people(
    hub: Hub, app: FastAPI, settings: Settings, test_database: Any
) -> None:
    tight = create_app(
        settings.model_copy(update={"sign_in_rate_limit": "1/minute"}), test_database
    )
    tight.state.tokens = app.state.tokens
    client = caller(tight, "203.0.113.9")
    await client.post("/sign-in")
    for accept, kind in (("text/html", "text/html"), ("*/*", "application/problem+json")):
        refused = await client.post("/sign-in", headers={"Accept": accept})
        assert refused.status_code == 429
        assert refused.headers["Content-Type"].startswith(kind)
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.headers["RateLimit-Policy"].startswith('"sign-in"')


async def test_65_one_network_that_tries_many_accounts_is_slowed_down(
    hub: Hub, app: FastAPI
) -> None:
    sprayer = caller(app, "203.0.113.9")
    for n in range(50):
        assert (await guess(sprayer, f"person-{n}")).status_code == 401
    assert (await guess(sprayer, "person-51")).status_code == 429
    assert (await guess(caller(app, "203.0.113.10"), "person-51")).status_code == 401


async def test_65_success_clears_an_account_but_not_a_network(hub: Hub, app: FastAPI) -> None:
    """An attacker who has an account too gains nothing by signing in between."""
    await hub.person("ann")
    await hub.person("eve")
    client = caller(app, "203.0.113.9")
    for _ in range(FREE - 1):
        await guess(client, "ann")
    assert (await guess(client, "ann", PASSWORD)).status_code == 200
    for _ in range(FREE - 1):
        assert (await guess(client, "ann")).status_code == 401
    for n in range(32):
        assert (await guess(client, f"person-{n}")).status_code == 401
        if n % 8 == 0:
            assert (await guess(client, "eve", PASSWORD)).status_code == 200
    assert (await guess(client, "person-51")).status_code == 429


async def test_65_tries_are_forgotten_as_time_passes(hub: Hub) -> None:
    one = Try(Rule("test", 2, 2, 60, 10), "x")
    for _ in range(2):
        await count_try(hub.database, one)
    with pytest.raises(TooManyTries):
        await count_try(hub.database, one)
    await age(hub, 25)
    for _ in range(2):
        await count_try(hub.database, one)
    with pytest.raises(TooManyTries):
        await count_try(hub.database, one)
    await age(hub, 4 * 24 * 3600)
    async with hub.database.transaction() as session:
        await purge_old_throttles(session)
        assert (await session.exec(select(Throttle))).all() == []


async def test_a_throttle_does_not_keep_what_was_typed(hub: Hub, app: FastAPI) -> None:
    """People type passwords into the field of the name."""
    await guess(caller(app, "203.0.113.9"), "my secret password")
    async with hub.database.transaction() as session:
        kept = repr([row.model_dump() for row in (await session.exec(select(Throttle))).all()])
    assert "secret" not in kept
    assert "203.0.113.9" not in kept


@pytest.fixture
async def two(live: Hub, settings: Settings, database_url: str) -> AsyncIterator[list[FastAPI]]:
    """Two processes' worth of hub on one database."""
    apps = [
        create_app(settings.model_copy(update={"database_url": database_url})) for _ in range(2)
    ]
    async with lifespan(apps[0]), lifespan(apps[1]):
        yield apps


async def test_65_it_holds_across_processes(live: Hub, two: list[FastAPI]) -> None:
    await live.person("ann")
    clients = [caller(app, "203.0.113.9") for app in two]
    for n in range(FREE):
        assert (await guess(clients[n % 2], "ann")).status_code == 401
    assert [(await guess(client, "ann", PASSWORD)).status_code for client in clients] == [429, 429]


async def test_65_parallel_guesses_are_all_counted(live: Hub, two: list[FastAPI]) -> None:
    """At two processes at once, though every wrong guess rolls its own request back."""
    clients = [caller(app, "203.0.113.9") for app in two]
    answers = await asyncio.gather(*(guess(clients[n % 2], "nobody") for n in range(20)))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (FREE, 10)


async def test_65_two_databases_share_a_count_of_codes(
    live: Hub, settings: Settings, database_url: str
) -> None:
    """What device codes and second factors are counted with."""
    other = Database(settings, database_url)
    one = Try(CODE, "device user codes of 203.0.113.9")
    for n in range(CODE.free):
        await count_try((live.database, other)[n % 2], one)
    for database in (live.database, other):
        with pytest.raises(TooManyTries):
            await count_try(database, one)
    async with other.transaction() as session:
        await clear(session, one)
    await count_try(live.database, one)
    await other.dispose()


async def waiting(session: AsyncSession, *others: asyncio.Task[Any]) -> None:
    """Until somebody waits for a lock, or the others are done."""
    locks = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while not any(other.done() for other in others) and not await session.scalar(locks):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_two_sign_ins_of_one_account_do_not_wait_for_each_other(live: Hub) -> None:
    """One begins as the other succeeds: they take the rows in the same order, or one must die."""
    place, network = Try(SIGN_IN_KNOWN, "ann 203.0.113.9"), Try(SIGN_IN_ADDRESS, "203.0.113.9")
    await count_try(live.database, place, network)

    async def end() -> None:
        async with live.database.transaction() as ends:
            await succeed(ends, place, network)

    async with live.database.transaction() as begins:
        await reserve(begins, network)
        ending = asyncio.create_task(end())
        await waiting(begins, ending)
        await reserve(begins, place)
    await ending


async def test_a_password_that_changes_during_a_sign_in_refuses_it(live: Hub) -> None:
    """Otherwise a session of the old password would outlive the change."""
    ann = await live.person("ann")
    async with live.database.transaction() as session:
        changed = update(User).where(col(User.id) == ann.id)
        await session.execute(changed.values(password_hash="$argon2id$another"))
        signing_in = asyncio.create_task(guess(live.client, "ann", PASSWORD))
        await waiting(session, signing_in)
    assert (await signing_in).status_code == 401
