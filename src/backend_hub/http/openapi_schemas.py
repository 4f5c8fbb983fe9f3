"""The schemas of the OpenAPI document: the bounds and the names that Pydantic leaves out."""

import re
from collections.abc import Iterator
from typing import Any

FREE_OF_NUL = r"^[^\u0000]*$"
"""What holds for every text of the hub: PostgreSQL keeps no NUL, and the hub refuses it."""
FREE_OF_NUL_NOT_BLANK = r"^[^\u0000]*[^\u0000\s][^\u0000]*$"
INT32, INT64 = (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1)
LENGTHS = {"uuid": 36, "date-time": 40}
PREFIX = "#/components/schemas/"


def schemas_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every schema, each before those inside it."""
    components = document["components"]
    for schema in components["schemas"].values():
        yield from nested(schema)
    for header in components.get("headers", {}).values():
        yield from nested(header["schema"])
    for path in document["paths"].values():
        for operation in path.values():
            for holder in _holders(operation):
                yield from nested(holder["schema"])


def _holders(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parameters and the contents of an operation, which hold its schemas."""
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    contents = [media for body in bodies for media in body.get("content", {}).values()]
    for holder in [*operation.get("parameters", []), *contents]:
        if "schema" in holder:
            yield holder


def nested(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and those inside it; its examples and its property names are not schemas."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key in ("properties", "$defs", "patternProperties"):
        for member in schema.get(key, {}).values():
            yield from nested(member)
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for member in schema.get(key, []):
            yield from nested(member)
    for key in ("items", "additionalProperties", "contentSchema", "itemSchema"):
        yield from nested(schema.get(key))


def tidy(document: dict[str, Any]) -> None:
    """Bound every schema, drop the titles that repeat a name, and give readable names."""
    for schema in schemas_of(document):
        schema.pop("title", None)
        if schema.get("type") == "string":
            _bound_text(schema)
        elif schema.get("type") == "integer":
            _bound_integer(schema)
        elif schema.get("type") == "number":
            schema.setdefault("format", "double")
    _rename(document)


def _bound_text(schema: dict[str, Any]) -> None:
    if schema.get("format") in LENGTHS:
        schema.setdefault("maxLength", LENGTHS[schema["format"]])
    if not schema.keys() & {"format", "pattern", "enum", "const"}:
        schema["pattern"] = FREE_OF_NUL
    elif schema.get("pattern") == r"\S":
        schema["pattern"] = FREE_OF_NUL_NOT_BLANK


def _bound_integer(schema: dict[str, Any]) -> None:
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if values:
        schema["minimum"], schema["maximum"] = min(values), max(values)
    low, high = schema.get("minimum", INT64[0]), schema.get("maximum", INT64[1])
    schema["format"] = "int32" if low >= INT32[0] and high <= INT32[1] else "int64"


def _readable(name: str) -> str:
    """`Page_TopicRead_` becomes `TopicReadPage`, `Body_issue_token` becomes `IssueTokenForm`."""
    if page := re.fullmatch(r"Page_(\w+)_", name):
        return f"{page[1]}Page"
    if form := re.fullmatch(r"Body_(\w+)", name):
        return "".join(word.title() for word in form[1].split("_")) + "Form"
    return name


def _rename(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    names = {name: _readable(name) for name in schemas}
    document["components"]["schemas"] = {names[name]: schemas[name] for name in sorted(schemas)}
    for schema in schemas_of(document):
        if (name := schema.get("$ref", "").removeprefix(PREFIX)) in names:
            schema["$ref"] = PREFIX + names[name]


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter: one that is absent is not sent, and none is ever null."""
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**options[0], **rest}
