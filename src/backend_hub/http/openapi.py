"""The OpenAPI document: what every operation has in common is added in one place."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from backend_hub.http.problems import MEDIA_TYPE, Problem
from backend_hub.settings import Settings

DESCRIPTION = """\
The self-hosted home of a community that learns backend development.

**Try it.** Every *GET* works without an account. To write, press **Authorize** and sign in; on a
development hub the name and password of the demo account are printed at start.

* Errors are [problem documents](https://www.rfc-editor.org/rfc/rfc9457): switch on `code`.
* Lists are pages: follow `next_cursor`, or the `Link` header, until it is absent.
* Every item has an `ETag`; changing it takes that tag in `If-Match` (412 when somebody was
  faster, 428 without one).
* A creating POST with an `Idempotency-Key` is safe to send again.
* `PATCH` is a merge patch: what is absent stays, `null` clears.
"""

TAGS = [
    ("resources", "Links, code samples and projects, with every revision of each."),
    ("questions", "Ask, answer, accept; close what is off topic or a duplicate."),
    ("contributions", "Propose a resource or a change to one; review and merge what others do."),
    ("search", "Across resources, questions and answers."),
    ("posts", "What all posts share: votes, comments, bookmarks, revisions."),
    ("topics", "The tree that posts are sorted into."),
    ("tags", "Words that posts are found by, and their synonyms."),
    ("users", "People and their posts."),
    ("auth", "Registration and tokens."),
    ("accounts", "Roles and states of accounts, for admins."),
    ("events", "The log of everything that happens."),
    ("health", "For load balancers."),
]

PROBLEMS = {
    400: "The body could not be read.",
    401: "The access token is missing or not valid.",
    403: "You may not do this; for a missing scope `WWW-Authenticate` names it.",
    404: "It does not exist, or you may not see it.",
    409: "It conflicts with the current state; `code` says how.",
    412: "Somebody changed it meanwhile: read it again.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    422: "The request is not valid; `errors` says where.",
    428: "If-Match is missing.",
    429: "Too many requests: wait for `Retry-After` seconds.",
    500: "The hub made a mistake; quote the `request_id`.",
    503: "The database is busy or restarting: try again after `Retry-After` seconds.",
}
RATE_LIMIT_HEADERS = {
    "RateLimit": "What is left of the limit, and for how long.",
    "RateLimit-Policy": "The limit.",
}
HEADERS: dict[str, tuple[str, str]] = {
    "X-Request-ID": ("The id of this request, in every log line.", r"^[A-Za-z0-9._-]{8,128}$"),
    **{name: (text, r"^.{1,200}$") for name, text in RATE_LIMIT_HEADERS.items()},
}
X_RATE_LIMITS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def problem_statuses(method: str, operation: dict[str, Any]) -> list[int]:
    """Every refusal that an operation can give, from what it takes."""
    parameters = {(p["in"], p["name"]) for p in operation.get("parameters", [])}
    statuses = {429, 500, 503}
    if "requestBody" in operation:
        statuses |= {400, 408, 413, 422}
    if parameters or method == "get":
        statuses |= {422}
    if operation.get("security"):
        statuses |= {401} if _optional(operation) else {401, 403}
    if any(where == "path" for where, _ in parameters):
        statuses |= {404}
    if ("header", "If-Match") in parameters:
        statuses |= {409, 412, 428}
    if ("header", "Idempotency-Key") in parameters or method in {"put", "post"}:
        statuses |= {409}
    return sorted(statuses)


def _optional(operation: dict[str, Any]) -> bool:
    return {} in operation["security"]


def build_openapi(app: FastAPI, settings: Settings) -> dict[str, Any]:
    document = get_openapi(
        title=settings.name,
        version=app.version,
        summary="Resources, code samples, projects, questions and contributions.",
        description=DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS],
        servers=[{"url": settings.issuer, "description": "This hub."}],
        contact={"name": settings.name, "url": settings.contact_url},
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs")
    schemas["Problem"] = problem
    document["components"]["responses"] = _problem_responses()
    document["components"]["headers"] = _headers()
    for path in document["paths"].values():
        for method, operation in path.items():
            _complete(method, operation)
    for schema in schemas.values():
        _tidy(schema)
    return document


def _problem_responses() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        f"Problem{status}": {
            "description": text,
            "headers": _header_refs(limited=True, retry=status in {429, 503}),
            "content": content,
        }
        for status, text in PROBLEMS.items()
    }


def _headers() -> dict[str, Any]:
    headers: dict[str, Any] = {
        name: {"description": text, "schema": _text(pattern)}
        for name, (text, pattern) in HEADERS.items()
    }
    number = {"type": "integer", "format": "int32", "minimum": 0, "maximum": 2**31 - 1}
    for name in (*X_RATE_LIMITS, "Retry-After"):
        headers[name] = {"description": "See RateLimit.", "schema": number}
    headers["Retry-After"]["description"] = "Seconds to wait."
    for name, text in (
        ("ETag", "Send it in If-Match to change, in If-None-Match to read again."),
        ("Location", "Where the new item is."),
        ("Link", 'The next page, as `<...>; rel="next"` (RFC 8288).'),
    ):
        headers[name] = {"description": text, "schema": _text(r"^.{1,2000}$")}
    return headers


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, "maxLength": 2_000}


def _header_refs(*, limited: bool, retry: bool = False) -> dict[str, Any]:
    names = ["X-Request-ID"]
    names += [*RATE_LIMIT_HEADERS, *X_RATE_LIMITS] if limited else []
    names += ["Retry-After"] if retry else []
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _complete(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for status, response in responses.items():
        if not status.startswith("2"):
            continue
        headers = _header_refs(limited=True)
        if "content" in response and status in {"200", "201"}:
            headers["ETag"] = {"$ref": "#/components/headers/ETag"}
        if status == "201":
            headers["Location"] = {"$ref": "#/components/headers/Location"}
        if any(p["name"] == "cursor" for p in operation.get("parameters", [])):
            headers["Link"] = {"$ref": "#/components/headers/Link"}
        response["headers"] = headers | response.get("headers", {})
    for status in problem_statuses(method, operation):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/Problem{status}"})
    if method == "get":
        responses["304"] = {
            "description": "You have it already (`If-None-Match`).",
            "headers": _header_refs(limited=True),
        }
    operation["responses"] = dict(sorted(responses.items()))


def _tidy(schema: dict[str, Any]) -> None:
    """Say in the document what Pydantic leaves out: the length of ids and dates."""
    for member in _walk(schema):
        if member.get("format") == "uuid":
            member.setdefault("maxLength", 36)
        if member.get("format") == "date-time":
            member.setdefault("maxLength", 40)


def _walk(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)
