"""Request ids and traces reach every log line; secrets reach none."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from backend_hub.logs import configure_logging
from backend_hub.settings import Settings
from tests.hub import PASSWORD, Hub

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@dataclass
class Log:
    """What was logged, and how it is formatted."""

    format: str
    stream: io.StringIO

    @property
    def text(self) -> str:
        return self.stream.getvalue()


@pytest.fixture(params=["json", "console"])
def log(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Log]:
    """Everything is logged, at DEBUG, into memory."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    changes = {"log_level": "debug", "log_format": request.param}
    configure_logging(settings.model_copy(update=changes))
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    stream = io.StringIO()
    handler.setStream(stream)
    yield Log(request.param, stream)
    root.handlers = handlers
    root.setLevel(level)


def access_lines(log: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.splitlines()]
    return [line for line in lines if line["event"] == "request"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abcd1234", True),
        ("A-b_c.1" * 10, True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("short", False),
        ("has space in it", False),
        ("new\tline-12345", False),
        ("<script>alert(1)</script>", False),
    ],
)
async def test_a_valid_request_id_is_kept_and_another_is_replaced(
    hub: Hub, given: str, kept: bool
) -> None:
    for path in ("/resources", "/nothing"):
        answer = await hub.visitor.get(path, headers={"X-Request-ID": given})
        assert (answer.headers["X-Request-ID"] == given) is kept
        assert len(answer.headers["X-Request-ID"]) >= 8


@pytest.mark.parametrize("log", ["json"], indirect=True)
@pytest.mark.parametrize(
    ("traceparent", "valid"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"01-{TRACE}-{PARENT}-00", True),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}", False),
        ("nonsense", False),
    ],
)
async def test_the_trace_is_in_the_log(hub: Hub, log: Log, traceparent: str, valid: bool) -> None:
    headers = {"traceparent": traceparent, "X-Request-ID": "request-1"}
    await hub.visitor.get("/resources", headers=headers)
    (line,) = access_lines(log.text)
    expected = (TRACE, PARENT) if valid else (None, None)
    assert (line.get("trace_id"), line.get("parent_id")) == expected
    assert (line["request_id"], line["status"], line["method"]) == ("request-1", 200, "GET")
    assert line["path"] == "/api/v1/resources"


async def test_no_log_line_holds_a_token_or_a_password(hub: Hub, log: Log) -> None:
    ann = await hub.person("ann")
    form = {"grant_type": "refresh_token", "refresh_token": ann.refresh_token}
    refreshed = (await hub.visitor.request("POST", "/auth/token", data=form)).json()
    await hub.visitor.request("POST", "/auth/token", data={"username": "ann", "password": PASSWORD})
    await ann.get("/users/me")
    await ann.post("/auth/sign-out")
    refused = {**form, "refresh_token": refreshed["refresh_token"]}
    assert (await hub.visitor.request("POST", "/auth/token", data=refused)).status_code == 401
    assert log.text.count("/api/v1/auth/token") >= 4
    secrets = [PASSWORD, ann.access_token, ann.refresh_token]
    secrets += [refreshed["access_token"], refreshed["refresh_token"], "$argon2"]
    for secret in secrets:
        assert secret not in log.text
        assert secret.split(".")[-1] not in log.text


async def test_a_path_cannot_forge_a_log_line(hub: Hub, log: Log) -> None:
    await hub.client.get("/%0aforged line%0d%1b[31m%e2%80%a8end")
    await hub.client.get("/%1b[31mred")
    assert "\x1b[31mred" not in log.text
    found = [line for line in log.text.splitlines() if "forged" in line]
    assert len(found) == 1
    assert "request_id" in found[0]
    assert "\x1b[31m\u2028" not in log.text
    assert found[0].count("\\n") >= 1


async def test_a_line_names_who_asked_and_the_whole_route(hub: Hub, log: Log) -> None:
    ann = await hub.person("ann")
    await ann.get("/users/me")
    await hub.visitor.get("/topics")
    if log.format != "json":
        return
    *_, hers, visitors = access_lines(log.text)
    assert (hers["actor"], hers["route"]) == (ann.id, "/api/v1/users/me")
    assert (visitors["actor"], visitors["route"]) == (None, "/api/v1/topics")
    assert {"request_id", "status", "milliseconds"} <= hers.keys()
