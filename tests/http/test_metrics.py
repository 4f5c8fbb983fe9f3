"""What Prometheus reads, and who may read it."""

import json
import re
import time
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from backend_hub.app import create_app, lifespan
from backend_hub.errors import ConfigurationError
from backend_hub.settings import Settings, load_settings
from tests.conftest import http_client
from tests.hub import Hub
from tests.program.conftest import Program, program

__all__ = ["program"]

TOKEN = "scrape-me-softly"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def measured(settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Without the delivery of mails, which takes a connection whenever it looks for one."""
    monkeypatch.setattr("backend_hub.app.delivers", lambda _settings: False)
    changes = {"database_url": database_url, "metrics_token": TOKEN}
    return create_app(load_settings(**(settings.model_dump() | changes)))


def value(page: str, sample: str) -> float:
    """Of one line, such as `hub_pool_size`."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", page, re.MULTILINE)
    assert found, f"{sample} is missing in\n{page}"
    return float(found[1])


async def test_requests_are_counted_by_route_never_by_path(measured: FastAPI) -> None:
    async with lifespan(measured), http_client(measured) as client:
        labels = '{method="GET",route="/api/v1/questions/{question_id}",status="404"}'
        for _ in range(3):
            await client.get("/api/v1/questions/01890000-0000-7000-8000-000000000001")
        await client.get("/api/v1/nowhere-to-be-found")
        await client.request("BREW", "/api/v1/questions")
        page = (await client.get("/metrics", headers=HEADERS)).text
        assert value(page, f"hub_requests_total{labels}") == 3
        duration = 'hub_request_seconds_count{method="GET",route="/api/v1/questions/{question_id}"}'
        assert value(page, duration) == 3
        assert "nowhere-to-be-found" not in page
        assert "BREW" not in page
        assert "01890000" not in page
        assert value(page, "hub_pool_size") == measured.state.settings.database_pool_size
        assert value(page, "hub_pool_in_use") == 0
        assert value(page, "hub_events") >= 0


async def test_only_the_token_opens_the_metrics(measured: FastAPI, hub: Hub) -> None:
    async with lifespan(measured), http_client(measured) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic \xff"}):
            refused = await client.get("/metrics", headers=httpx.Headers(headers, "latin-1"))
            assert refused.status_code == 401
            assert "hub_" not in refused.text
        assert (await client.get("/metrics", headers=HEADERS)).status_code == 200
        assert (await client.post("/metrics", headers=HEADERS)).status_code == 405
    assert (await hub.client.get("/metrics", headers=HEADERS)).status_code in {401, 404}
    assert (await hub.client.get("/metrics")).status_code == 404, "off without a token"


def test_a_short_token_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="HUB_METRICS_TOKEN"):
        load_settings(environment="development", metrics_token="short")


def read_metrics(program: Program) -> str:
    return httpx.get(f"{program.url}/metrics", headers=HEADERS).text


def test_two_workers_answer_for_each_other(program: Program) -> None:
    program.environment["HUB_METRICS_TOKEN"] = TOKEN
    program.start("--no-seed", "--workers", "2")
    deadline = time.monotonic() + 30  # the second worker may come up after the first answers
    while value(read_metrics(program), "hub_pool_size") < 20 and time.monotonic() < deadline:
        time.sleep(0.1)
    for _ in range(30):  # a new connection each time: both get some
        assert httpx.get(f"{program.url}/health/live").status_code == 200
    pages = [read_metrics(program) for _ in range(6)]
    labels = '{method="GET",route="/health/live",status="200"}'
    assert {value(page, f"hub_requests_total{labels}") for page in pages} == {30}
    assert value(pages[0], "hub_pool_size") == 20, "two workers, ten connections each"


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = json.loads((Path(__file__).parents[2] / "deploy/grafana.json").read_text())
    asked = " ".join(t["expr"] for panel in dashboard["panels"] for t in panel["targets"])
    names = set(re.findall(r"hub_\w+", asked))
    suffixes = ("", "_total", "_bucket", "_sum", "_count")
    served = {m.name + end for m in REGISTRY.collect() for end in suffixes}
    assert names
    assert names <= served
