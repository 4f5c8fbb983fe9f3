"""Who may call, from where: host names, origins, and the headers that protect browsers."""

from typing import Any

import pytest
from fastapi import FastAPI

from backend_hub.app import create_app
from backend_hub.settings import Settings
from tests.conftest import http_client
from tests.hub import Hub

PREFLIGHT = {
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization, if-match",
}


def variant(app: FastAPI, settings: Settings, test_database: Any, **changes: Any) -> FastAPI:
    """The app under other settings, with the database and keys of the first."""
    other = create_app(settings.model_copy(update=changes), test_database)
    other.state.tokens = app.state.tokens
    return other


async def test_an_allowed_origin_may_read_the_answer_and_its_headers(hub: Hub) -> None:
    answer = await hub.visitor.get("/resources", headers={"Origin": "https://app.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    exposed = answer.headers["Access-Control-Expose-Headers"]
    for name in ("ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "X-Request-ID"):
        assert name in exposed.split(", ")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://app.example", "https://app.example.evil.example", "null"],
)
async def test_other_origins_may_not(hub: Hub, origin: str) -> None:
    answer = await hub.visitor.get("/resources", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers
    path = "/resources"
    refused = await hub.visitor.request("OPTIONS", path, headers={**PREFLIGHT, "Origin": origin})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_request")
    assert "Access-Control-Allow-Origin" not in refused.headers
    own = {**PREFLIGHT, "Origin": "https://app.example"}
    allowed = await hub.visitor.request("OPTIONS", path, headers=own)
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "PATCH" in allowed.headers["Access-Control-Allow-Methods"]
    assert allowed.headers["Access-Control-Allow-Headers"] == "authorization, if-match"


async def test_refusals_can_be_read_by_the_origin_too(hub: Hub) -> None:
    answer = await hub.visitor.get("/users/me", headers={"Origin": "https://app.example"})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"


async def test_open_cors_never_goes_with_credentials(
    hub: Hub, app: FastAPI, settings: Settings, test_database: Any
) -> None:
    wide = variant(app, settings, test_database, cors_origins=["*"])
    async with http_client(wide) as client:
        answer = await client.get("/api/v1/resources", headers={"Origin": "https://any.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_every_answer_has_the_security_headers(hub: Hub) -> None:
    for path in ("/resources", "/nothing", "/health/live", "/resources?x=1"):
        headers = (await hub.visitor.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Referrer-Policy"]
        assert "Strict-Transport-Security" not in headers


async def test_https_is_demanded_where_the_hub_is_reached_by_it(
    hub: Hub, app: FastAPI, settings: Settings, test_database: Any
) -> None:
    secure = variant(app, settings, test_database, public_url="https://hub.example")
    async with http_client(secure) as client:
        answer = await client.get("/health/live")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=63072000")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("hub.example", 200),
        ("HUB.example:8000", 200),
        ("a.below.example", 200),
        ("below.example", 400),
        ("evil.example", 400),
        ("hub.example.evil.example", 400),
        ("hub.example:x", 400),
        ("[::1", 400),
        ("hub.example/path", 400),
        ("user@hub.example", 400),
    ],
)
async def test_the_hub_answers_to_its_own_names_only(
    hub: Hub, app: FastAPI, settings: Settings, test_database: Any, host: str, status: int
) -> None:
    named = variant(app, settings, test_database, allowed_hosts=["hub.example", "*.below.example"])
    async with http_client(named) as client:
        answer = await client.get("/api/v1/resources", headers={"Host": host})
    assert answer.status_code == status
    if status == 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
