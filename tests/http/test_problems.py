"""Every refusal is a problem document, says what to do, and repeats nothing that was sent."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from backend_hub.app import create_app
from backend_hub.http.routing import HubRoute
from backend_hub.settings import Settings
from backend_hub.users.models import Role
from tests.conftest import http_client
from tests.hub import Hub, link

MISSING = "/resources/00000000-0000-7000-8000-000000000000"
MARK = "zqxjkvw"
"""Sent as a value everywhere: it must not come back."""


def check_problem(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    problem = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    for header in ("RateLimit", "X-Content-Type-Options"):
        assert header in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "form", "headers", "status", "code"),
    [
        ("GET", "/nothing", None, {}, 404, "not_found"),
        ("GET", MISSING, None, {}, 404, "not_found"),
        ("PUT", "/resources", {}, {}, 405, "method_not_allowed"),
        ("POST", "/resources", {"kind": MARK}, {}, 422, "validation_failed"),
        ("PATCH", "/users/me", {"bio": MARK}, {}, 428, "precondition_required"),
        ("PATCH", "/users/me", {"bio": "x"}, {"If-Match": f'"{MARK}"'}, 412, "precondition_failed"),
        ("GET", "/accounts", None, {}, 403, "forbidden"),
        ("GET", "/users/me", None, {"Authorization": f"Bearer {MARK}"}, 401, "invalid_token"),
        ("GET", "/users/me", None, {"Authorization": f"Basic {MARK}"}, 401, "invalid_token"),
        ("GET", "/users/me", None, {"Host": f"[{MARK}"}, 400, "bad_request"),
        ("GET", "/users/me", None, {"Host": f"a b{MARK}"}, 400, "bad_request"),
        ("GET", f"/resources?level={MARK}", None, {}, 422, "validation_failed"),
        ("GET", f"/resources?limit={MARK}", None, {}, 422, "validation_failed"),
        ("GET", f"/resources/{MARK}", None, {}, 422, "validation_failed"),
        ("GET", f"/users/{MARK}", None, {}, 404, "not_found"),
        ("POST", "/auth/register", {"username": MARK}, {}, 422, "validation_failed"),
    ],
)
async def test_every_refusal_is_a_problem_that_repeats_no_input(
    hub: Hub,
    method: str,
    path: str,
    form: Any,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    ann = await hub.person("ann")
    answer = await ann.request(method, path, json=form, headers=headers)
    check_problem(answer, status, code)
    assert MARK not in answer.text


async def test_a_refused_password_and_address_are_not_repeated(hub: Hub) -> None:
    form = {
        "username": "ann",
        "email": f"{MARK}..@example.org",
        "password": f"{MARK}",
        "display_name": MARK * 20,
    }
    answer = await hub.visitor.post("/auth/register", form)
    check_problem(answer, 422, "validation_failed")
    assert MARK not in answer.text
    fields = {error["loc"][-1] for error in answer.json()["errors"]}
    assert {"email", "display_name"} <= fields


@pytest.mark.parametrize(
    "body", [b"{", b"", b"\xff", b'{"kind": NaN}', b"[" * 100_000, b'"\\ud800"', b"1e400"]
)
async def test_a_body_that_is_no_json_is_a_problem(hub: Hub, body: bytes) -> None:
    ann = await hub.person("ann")
    headers = {"Content-Type": "application/json"}
    answer = await ann.request("POST", "/resources", content=body, headers=headers)
    assert answer.status_code in {400, 422}, answer.text
    check_problem(answer, answer.status_code, answer.json()["code"])


async def test_a_conflict_names_what_it_conflicts_with(hub: Hub) -> None:
    ann = await hub.person("ann")
    first = await ann.create("/resources", link())
    again = await ann.post("/resources", link())
    check_problem(again, 409, "duplicate_url")
    assert again.json()["existing"]["id"] == first["id"]


@pytest.fixture
async def broken_app(settings: Settings, test_database: Any, app: FastAPI) -> FastAPI:
    """The app with a route that fails."""
    broken = create_app(settings, test_database)
    broken.state.tokens = app.state.tokens
    router = APIRouter(route_class=HubRoute)

    @router.get("/fails")
    @router.get("/api/v1/fails")
    async def fails() -> None:
        raise RuntimeError(f"the secret is {MARK}")

    broken.include_router(router)
    return broken


async def test_a_mistake_of_ours_is_a_500_that_tells_nothing(
    hub: Hub, broken_app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    async with http_client(broken_app) as client:
        answer = await client.get("/api/v1/fails", headers={"Origin": "https://app.example"})
        check_problem(answer, 500, "internal_error")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert MARK not in answer.text
        page = await client.get("/fails", headers={"Accept": "text/html"})
        assert page.status_code == 500
        assert "<h1>Internal error</h1>" in page.text
        assert MARK not in page.text
        assert (await client.get("/health/live")).status_code == 200


async def test_the_retry_link_does_not_come_from_the_host_header(hub: Hub) -> None:
    ann = await hub.person("ann", Role.admin)
    for number in range(2):
        await ann.create("/resources", link(f"Guide {number}"))
    answer = await hub.visitor.get("/resources?limit=1", headers={"Host": "evil.example"})
    assert answer.headers["Link"].startswith("</api/v1/resources?limit=1&cursor=")
    location = await ann.post("/resources", link("Third"), headers={"Host": "evil.example"})
    assert "evil" not in str(location.headers)
