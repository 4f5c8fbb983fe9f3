"""What signing people in costs: `python -m bench.tokens [seconds]`

The check of a bearer token, cold and cached, beside a whole list request; and token calls a
second of a hub of its own under 16 clients that refresh, with the lag of its event loop.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from backend_hub.app import create_app, lifespan
from backend_hub.auth.tokens import TokenService
from backend_hub.embedded import embedded_postgres
from backend_hub.logs import configure_logging
from backend_hub.migrate import upgrade
from backend_hub.settings import load_settings
from bench.servers import UNREACHED

PASSWORD = "seven calm otters swim"
CLIENTS = 16
CHECKS = 2_000
LAG_EVERY = 0.005
"""Seconds between two looks at the loop's lag."""


def microseconds(check: Callable[[str], object], tokens: list[str]) -> float:
    began = time.process_time()
    for token in tokens:
        check(token)
    return (time.process_time() - began) * 1e6 / len(tokens)


def check_alone(service: TokenService, token: str) -> tuple[float, float]:
    """Microseconds of CPU for a token that was not seen before, and for one that was."""
    claims = service.verify(token)
    fresh = [service.issue(claims.subject, claims.family_id, [], 600) for _ in range(CHECKS)]
    return microseconds(service.verify, fresh), microseconds(service.verify, fresh)


async def list_request(client: httpx.AsyncClient, headers: dict[str, str]) -> float:
    """Microseconds of CPU of a list request in this process, the client's part with it."""
    began = time.process_time()
    for _ in range(CHECKS // 4):
        assert (await client.get("/api/v1/questions", headers=headers)).status_code == 200
    return (time.process_time() - began) * 1e6 / (CHECKS // 4)


async def refresh(client: httpx.AsyncClient, token: str, until: float) -> int:
    """Refresh as fast as one client can; gives how often."""
    calls = 0
    while time.perf_counter() < until:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        answer = await client.post("/api/v1/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        token, calls = answer.json()["refresh_token"], calls + 1
    return calls


async def watch_lag(lags: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(LAG_EVERY)
        lags.append((time.perf_counter() - began - LAG_EVERY) * 1e3)


async def measure(url: str, folder: str, seconds: float) -> None:
    limits = {"rate_limit": UNREACHED, "sign_in_rate_limit": UNREACHED}
    settings = load_settings(
        database_url=url,
        data_dir=Path(folder),
        public_url="http://hub",
        log_level="error",
        allowed_hosts=["*"],
        **limits,
    )
    configure_logging(settings)
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=transport, base_url="http://hub") as client,
    ):
        form = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}
        await client.post("/api/v1/auth/register", json=form)
        signed_in = {"username": "ann", "password": PASSWORD}
        answers = [
            (await client.post("/api/v1/auth/token", data=signed_in)).json() for _ in range(CLIENTS)
        ]
        token = answers[0]["access_token"]
        cold, cached = check_alone(app.state.tokens, token)
        visitor = await list_request(client, {})
        member = await list_request(client, {"Authorization": f"Bearer {token}"})
        print(f"check of a token: {cold:.1f} us cold, {cached:.1f} us cached")
        print(f"list request: {visitor:.0f} us of a visitor, {member:.0f} us with a token")
        print(f"share of the cached check in it: {100 * cached / member:.1f} %")
        lags: list[float] = []
        watching = asyncio.create_task(watch_lag(lags))
        until = time.perf_counter() + seconds
        calls = await asyncio.gather(
            *(refresh(client, answer["refresh_token"], until) for answer in answers)
        )
        watching.cancel()
        p50, p99 = statistics.quantiles(lags, n=100)[49], statistics.quantiles(lags, n=100)[98]
        print(
            f"{CLIENTS} clients refresh: {sum(calls) / seconds:.0f} calls/s,"
            f" loop lag {p50:.1f} ms median, {p99:.1f} ms p99"
        )


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        embedded_postgres(Path(folder), durable=False) as server,
    ):
        upgrade(server.url)
        asyncio.run(measure(server.url, folder, seconds))


if __name__ == "__main__":
    main()
