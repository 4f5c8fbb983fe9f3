"""The OpenAPI document: what every operation has in common is added in one place."""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from backend_hub.http.openapi_examples import add_examples
from backend_hub.http.openapi_schemas import tidy, without_null
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
    ("account", "Your own sign-ins, apps and tokens; your data, and the end of your account."),
    ("auth", "Registration and tokens."),
    ("clients", "Apps that people sign in to through the hub (OAuth 2.1, OpenID Connect)."),
    ("identity-providers", "Whom people sign in with (GitHub, any OpenID provider), for admins."),
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
TEXT = r"^[\x20-\x7e]{1,2000}$"
HEADERS: dict[str, tuple[str, str]] = {
    "X-Request-ID": ("The id of this request, in every log line.", r"^[A-Za-z0-9._-]{8,128}$"),
    "RateLimit": ("What is left of the limit, and for how long; none under /health.", TEXT),
    "RateLimit-Policy": ("The limit; none under /health.", TEXT),
    "Access-Control-Allow-Origin": (
        "Your origin, when the hub's settings or a registered app name it; otherwise absent.",
        r"^(\*|https?://[\x21-\x7e]{1,250})$",
    ),
    "ETag": ("Send it in If-Match to change, in If-None-Match to read again.", TEXT),
    "Location": ("Where the new item is.", TEXT),
    "Link": ('The next page, as `<...>; rel="next"` (RFC 8288).', TEXT),
    "WWW-Authenticate": ("How to sign in, or which scope is missing (RFC 6750).", TEXT),
    "Idempotency-Replayed": ("`true`: this is the answer to the first request.", r"^true$"),
}
NUMBERS = {
    "x-ratelimit-limit": "Requests a window.",
    "x-ratelimit-remaining": "Requests left.",
    "x-ratelimit-reset": "Seconds until the window ends.",
    "Retry-After": "Seconds to wait.",
}
EVERYWHERE = (
    *("X-Request-ID", "Access-Control-Allow-Origin", "RateLimit", "RateLimit-Policy"),
    *("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
)
SUCCESS = {
    "200": "Done: here it is.",
    "201": "Created; `Location` names it.",
    "202": "Taken; what follows comes by mail.",
    "204": "Done; there is nothing to show.",
}
STREAM = "text/event-stream"
STREAM_EXAMPLE = "event: answer.accepted\nid: WyJsb2ciLDksOV0\ndata: {...}\n\n"
METHODS = ("get", "put", "post", "patch", "delete")


def build_openapi(
    app: FastAPI, settings: Settings, *, anonymous: Collection[str] = ()
) -> dict[str, Any]:
    """The document; `anonymous` names the operations that need no sign-in."""
    document = get_openapi(
        title=settings.name,
        version=app.version,
        summary="Resources, code samples, projects, questions and contributions.",
        description=DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS],
        servers=[_server(settings)],
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
    for path, operations in document["paths"].items():
        document["paths"][path] = {m: operations[m] for m in METHODS if m in operations}
        for method, operation in operations.items():
            _complete(method, operation, open_to_all=operation["operationId"] in anonymous)
    tidy(document)
    add_examples(app, document)
    return document


def _server(settings: Settings) -> dict[str, Any]:
    kind = "local development" if settings.development else "production"
    return {"url": settings.issuer, "description": f"This hub ({kind}).", "x-internal": False}


def _problem_responses() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    more = {
        401: ("WWW-Authenticate",),
        403: ("WWW-Authenticate",),
        409: ("Retry-After",),
        429: ("Retry-After",),
        503: ("Retry-After",),
    }
    return {
        f"Problem{status}": {
            "description": text,
            "headers": _header_refs(*more.get(status, ())),
            "content": content,
        }
        for status, text in PROBLEMS.items()
    }


def _headers() -> dict[str, Any]:
    texts = {
        name: {
            "description": text,
            "schema": {"type": "string", "pattern": pattern, "maxLength": 2_000},
        }
        for name, (text, pattern) in HEADERS.items()
    }
    number = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
    return texts | {
        name: {"description": text, "schema": dict(number)} for name, text in NUMBERS.items()
    }


def _header_refs(*more: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*EVERYWHERE, *more)}


def _complete(method: str, operation: dict[str, Any], *, open_to_all: bool) -> None:
    for parameter in operation.get("parameters", []):
        parameter["schema"] = without_null(parameter["schema"])
        parameter["schema"].pop("description", None)  # the parameter has it
        if parameter["name"] == "If-Match":
            parameter["required"] = True  # 428 without it
        if parameter["in"] == "path":
            parameter.setdefault("description", f"The {parameter['name'].replace('_', ' ')}.")
    if open_to_all:
        # FastAPI knows no optional security: an empty requirement says that it is.
        operation["security"] = [{}, *operation.get("security", [])]
    responses = operation["responses"]
    responses.pop("422", None)
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    streams = STREAM in responses.get("200", {}).get("content", {})
    for status, response in responses.items():
        if status.startswith("2"):
            _complete_success(status, response, names)
    for status in problem_statuses(method, operation):
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    if method == "get" and not streams:
        responses["304"] = {
            "description": "You have it already (`If-None-Match`).",
            "headers": _header_refs("ETag"),
        }
    operation["responses"] = dict(sorted(responses.items()))


def _complete_success(status: str, response: dict[str, Any], parameters: set[str]) -> None:
    if response["description"] == "Successful Response":
        response["description"] = SUCCESS.get(status, response["description"])
    if STREAM in response.get("content", {}):
        # FastAPI describes the events as OpenAPI 3.2 does, in a document of 3.1.
        schema = {"type": "string", "maxLength": 2**31 - 1, "pattern": r"^[^\u0000]*$"}
        response["content"][STREAM] = {"schema": schema, "example": STREAM_EXAMPLE}
    more = ["ETag"] if "application/json" in response.get("content", {}) else []
    more += ["Location"] if status == "201" else []
    more += ["Link"] if "cursor" in parameters else []
    more += ["Idempotency-Replayed"] if "Idempotency-Key" in parameters else []
    response["headers"] = _header_refs(*more) | response.get("headers", {})


def problem_statuses(method: str, operation: dict[str, Any]) -> list[int]:
    """Every refusal that an operation can give, from what it takes.

    422 is never missing: each route refuses a query parameter that it does not know.
    """
    parameters = {(p["in"], p["name"]) for p in operation.get("parameters", [])}
    security = operation.get("security", [])
    statuses = {422, 429, 500, 503}
    if "requestBody" in operation:
        statuses |= {400, 408, 413}
    if any(security):
        statuses |= {401}
    if {} not in security or method != "get":  # the operators may close what is open to all
        statuses |= {401, 403}
    if any(where == "path" for where, _ in parameters):
        statuses |= {404}
    if ("header", "If-Match") in parameters:
        statuses |= {409, 412, 428}
    if ("header", "Idempotency-Key") in parameters or method in {"put", "post"}:
        statuses |= {409}
    return sorted(statuses)
