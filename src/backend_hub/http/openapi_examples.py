"""Examples for every parameter and every body of the OpenAPI document.

A field's own `examples` win; what has none is found by its name here, or follows from its schema.
"""

import copy
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from backend_hub.http.cursors import encode_cursor
from backend_hub.http.openapi_schemas import PREFIX

EXAMPLE_IDS = {
    name: f"01990000-0000-7000-8000-{number:012}"
    for number, name in enumerate(
        [
            *("resource_id", "question_id", "answer_id", "comment_id", "contribution_id"),
            *("review_id", "user_id", "post_id", "id", "session_id", "pat_id"),
        ],
        start=1,
    )
}
"""By the name of a parameter; a development hub has these things (imports/demo.py)."""
EXAMPLE_CLIENT = "study-planner"
EXAMPLE_IDS["duplicate_of_id"] = EXAMPLE_IDS["post_id"]
BY_NAME: dict[str, Any] = {
    "If-Match": "*",
    "Idempotency-Key": "5f0c1d7e-1b1f-4a57-9d0c-3f1c5f1f7a10",
    "topic": "databases",
    "slug": "databases",
    "parent": "databases",
    "name": "python",
    "tag": "python",
    "author": "demo",
    "username": "demo",
    "language": "en",
    "number": 1,
    "cursor": encode_cursor("newest", [EXAMPLE_IDS["id"]]),
    "after": encode_cursor("log", [0, 0]),
    "q": "index",
    "prefix": "py",
    "type": "resource.",
    "title": "Indexes, and when they help",
    "body": "An index makes reads *faster* and writes slower.",
    "content": "print('hello')\n",
    "summary": "Clearer wording",
    "reason": "It says the same as another one.",
    "comment": "Good work: one small thing is left.",
    "tags": ["python"],
}
MISSING: Any = object()


def add_examples(app: FastAPI, document: dict[str, Any]) -> None:
    """Complete every operation: nothing that a client must send is without an example."""
    schemas = document["components"]["schemas"]
    given = _given_examples(app)
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                _exemplify(parameter, schemas)
            for media in operation.get("requestBody", {}).get("content", {}).values():
                if operation["operationId"] in given:
                    media["examples"] = copy.deepcopy(given[operation["operationId"]])
                elif "examples" not in media and "example" not in media:
                    media["example"] = body_example(media["schema"], schemas)


def _given_examples(app: FastAPI) -> dict[str, Any]:
    """The `openapi_examples` of each body; FastAPI drops every null in them, and they matter."""
    given = {}
    for context in iter_route_contexts(app.routes):
        body = getattr(context, "body_field", None)
        if examples := getattr(getattr(body, "field_info", None), "openapi_examples", None):
            given[str(context.name)] = examples
    return given


def _exemplify(parameter: dict[str, Any], schemas: dict[str, Any]) -> None:
    """What must be sent is filled in by Swagger UI (`example`); what may be is only shown."""
    schema = parameter["schema"]
    example = _value(parameter["name"], schema, schemas)
    if example is MISSING:
        return
    if parameter.get("required"):
        parameter["example"] = example
        schema.pop("examples", None)
    elif "$ref" not in schema:
        schema["examples"] = [example]
    else:
        parameter["schema"] = {**schema, "examples": [example]}


def _value(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    for option in (schema, _resolved(schema, schemas)):
        if option.get("examples"):
            return option["examples"][0]
    return _derived(name, schema, schemas)


def _derived(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """An example that follows from the schema, from the name, or from the default."""
    schema = _resolved(schema, schemas)
    for option in schema.get("anyOf", []) + schema.get("oneOf", []):
        if option.get("type") != "null":
            return _value(name, option, schemas)
    if schema.get("format") == "uuid":
        return EXAMPLE_IDS.get(name, EXAMPLE_IDS["id"])
    if "enum" in schema or "const" in schema:
        return [*schema.get("enum", []), schema.get("const")][0]
    if name == "limit":
        return schema["default"]
    if name in BY_NAME:
        return BY_NAME[name]
    if "default" in schema:
        return schema["default"]
    if schema.get("type") == "object":
        return body_example(schema, schemas)
    if schema.get("type") == "array":
        item = _value(name, schema["items"], schemas)
        return MISSING if item is MISSING else [item]
    return {"integer": schema.get("minimum", 1), "boolean": True}.get(schema["type"], MISSING)


def body_example(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """What must be sent, and what has an example of its own; of a patch at least one field."""
    schema = _resolved(schema, schemas)
    if "examples" in schema:
        return dict(schema["examples"][0])
    for option in schema.get("oneOf", schema.get("anyOf", [])):
        return body_example(option, schemas)
    members = schema.get("properties", {})
    required = schema.get("required", [])
    example = {
        name: _value(name, member, schemas)
        for name, member in members.items()
        if name in required or "examples" in member
    }
    if len(example) < schema.get("minProperties", 0):
        example = {
            name: _value(name, member, schemas)
            for name, member in list(members.items())[: schema["minProperties"]]
        }
    return {name: value for name, value in example.items() if value is not MISSING}


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    target: dict[str, Any] = schemas[schema["$ref"].removeprefix(PREFIX)]
    return target
