"""What the document says of every operation, whoever added it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from openapi_schema_validator import OAS31Validator

from backend_hub.access import ACCESS
from backend_hub.app import create_app
from backend_hub.http.openapi_schemas import schemas_of
from backend_hub.settings import Settings
from tests.conftest import SECRET

Operation = tuple[str, str, dict[str, Any]]


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Method, path and operation."""
    for path, members in document["paths"].items():
        for method, operation in members.items():
            yield method, path, operation


def faults(document: dict[str, Any], check: Any) -> list[str]:
    """The operations that fail a check, by their ids."""
    return [o["operationId"] for m, p, o in operations(document) if not check(m, p, o)]


def test_two_builds_are_the_same_byte_for_byte(settings: Settings) -> None:
    first, second = (json.dumps(create_app(settings).openapi()) for _ in range(2))
    assert first == second


def test_every_route_is_in_it_once_under_its_own_name(
    settings: Settings, document: dict[str, Any]
) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert sorted(ids) == sorted(ACCESS)
    app = create_app(settings)
    routes = {
        (method.lower(), context.path_format)
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute) and context.original_route.include_in_schema
        for method in context.methods or ()
    }
    assert routes == {(method, path) for method, path, _ in operations(document)}


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}

    def described(_method: str, _path: str, operation: dict[str, Any]) -> bool:
        return (
            0 < len(operation.get("summary", "")) <= 60
            and len(operation.get("description", "")) > 10
            and len(operation["tags"]) == 1
            and set(operation["tags"]) <= tags
        )

    assert faults(document, described) == []
    assert {tag for _, _, o in operations(document) for tag in o["tags"]} <= tags


WITHOUT_TOKEN = {f"/api/v1/auth/{name}" for name in ("token", "forgot", "reset", "verify-email")}


def test_it_says_who_may_ask(document: dict[str, Any]) -> None:
    def as_in_the_table(_method: str, path: str, operation: dict[str, Any]) -> bool:
        rule, security = ACCESS[operation["operationId"]], operation["security"]
        if rule.audience == "anyone":
            takes_token = path.startswith("/api/") and path not in WITHOUT_TOKEN
            return bool(security == ([{}, {"hub": []}] if takes_token else [{}]))
        return bool(security == [{"hub": [rule.scope] if rule.scope else []}])

    assert faults(document, as_in_the_table) == []


def test_every_parameter_and_body_has_an_example_that_its_schema_takes(
    document: dict[str, Any],
) -> None:
    components = {"components": document["components"]}
    bad = []
    for method, path, operation in operations(document):
        held = [(p["name"], p) for p in operation.get("parameters", [])]
        held += [("body", m) for m in operation.get("requestBody", {}).get("content", {}).values()]
        for name, holder in held:
            examples = [example["value"] for example in holder.get("examples", {}).values()]
            examples += [holder["example"]] if "example" in holder else []
            examples += holder["schema"].get("examples", [])
            validator = OAS31Validator({**holder["schema"], **components})
            if not examples or not all(validator.is_valid(example) for example in examples):
                bad.append((method, path, name, examples))
    assert bad == []


def test_every_operation_names_its_refusals(document: dict[str, Any]) -> None:
    def complete(method: str, path: str, operation: dict[str, Any]) -> bool:
        statuses = set(operation["responses"])
        wanted = {"422", "429", "500", "503"}
        streams = "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
        wanted |= {"304"} if method == "get" and not streams else set()
        wanted |= {"400", "413"} if "requestBody" in operation else set()
        wanted |= {"404"} if "{" in path else set()
        wanted |= {"401", "403"} if {} not in operation["security"] else set()
        return wanted <= statuses and bool(statuses & {"200", "201", "202", "204"})

    assert faults(document, complete) == []
    for name, response in document["components"]["responses"].items():
        assert set(response["content"]) == {"application/problem+json"}, name
        assert {"X-Request-ID", "RateLimit", "x-ratelimit-limit"} <= response["headers"].keys()


def test_every_schema_is_bounded(document: dict[str, Any]) -> None:
    """Objects of requests refuse what they do not know; answers stay open, for fields are added."""
    needed = {
        "string": ({"maxLength", "enum", "const"}, {"format", "pattern", "enum", "const"}),
        "integer": ({"minimum"}, {"maximum"}, {"format"}),
        "number": ({"minimum"}, {"maximum"}, {"format"}),
        "array": ({"maxItems"}, {"items"}),
    }
    unbounded = [
        schema
        for schema in schemas_of(document)
        for keys in needed.get(schema.get("type", ""), ())
        if not schema.keys() & keys
    ]
    assert unbounded == []


def test_bodies_refuse_what_they_do_not_know(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def reached(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        for option in schema.get("oneOf", schema.get("anyOf", [])):
            yield from reached(option)
        if schema.get("type") == "object":
            yield schema

    def closed(_method: str, _path: str, operation: dict[str, Any]) -> bool:
        content = operation.get("requestBody", {}).get("content", {})
        json_body = content.get("application/json", {}).get("schema", {})
        return all(body.get("additionalProperties") is False for body in reached(json_body))

    assert faults(document, closed) == []


def test_names_are_readable(document: dict[str, Any]) -> None:
    names = document["components"]["schemas"]
    assert [name for name in names if not name.isalnum()] == []
    assert "ResourceSummaryPage" in names


@pytest.mark.parametrize("environment", ["development", "production"])
def test_it_names_its_server_and_its_operators(settings: Settings, environment: str) -> None:
    update = {"environment": environment, "public_url": "https://hub.example.org/"}
    document = create_app(settings.model_copy(update=update)).openapi()
    (server,) = document["servers"]
    assert (server["url"], server["x-internal"]) == ("https://hub.example.org", False)
    assert environment in server["description"]
    assert document["info"]["contact"]["url"] == settings.contact_url
    assert document["info"]["license"]["identifier"] == "MIT"
    assert SECRET not in json.dumps(document)
