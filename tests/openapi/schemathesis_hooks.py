"""What no schema can say: which texts this hub handed out, and which it has seen before."""

import re
from itertools import count
from typing import Any

import schemathesis
from schemathesis.core.jsonschema.patterns import update_quantifier
from schemathesis.specs.openapi import converter
from schemathesis.specs.openapi.coverage import _operation

CURSOR = re.compile(r"[A-Za-z0-9_-]{0,3000}")
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
KEYS = count()
LONG = 2000
"""Characters; beyond them a length stays out of the pattern."""


def _fold_short(pattern: str, shortest: int | None, longest: int | None) -> str:
    """The pattern with the lengths in it, as Schemathesis writes it, unless the text is long.

    `[^\\x00]{0,60000}` is compiled for every schema that holds it, a second each time: that was
    three quarters of a run. The two bounds mean the same side by side.
    """
    return pattern if (longest or 0) > LONG else update_quantifier(pattern, shortest, longest)


for user in (converter, _operation):
    vars(user)["update_quantifier"] = _fold_short


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "0")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(member) for key, member in value.items()}
    return [_without_nul(member) for member in value] if isinstance(value, list) else value


def _is_strong_in_the_schema(password: Any) -> bool:
    return isinstance(password, str) and 15 <= len(password) <= 256 and "\x00" not in password


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case[Any], kwargs: Any) -> None:
    """A cursor is the hub's own, and an Idempotency-Key serves one request: none is made up.

    Only well-formed ones are taken away; ill-formed ones must be refused.
    """
    query: dict[str, Any] = case.query or {}
    headers: Any = case.headers if case.headers is not None else {}
    for name in ("cursor", "after"):
        if isinstance(query.get(name), str) and CURSOR.fullmatch(query[name]):
            del query[name]
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(r"[\x21-\x7e]{1,200}", key):
        headers["Idempotency-Key"] = f"key-{next(KEYS)}"
    case.body = _without_nul(case.body)  # PostgreSQL holds none, and no schema says so
    body: Any = case.body
    title = body.get("title") if isinstance(body, dict) else None
    if isinstance(title, str) and 3 <= len(title) <= 200 and len(" ".join(title.split())) < 3:
        body["title"] = "A title"  # white space is not counted
    if isinstance(body, dict) and _is_strong_in_the_schema(body.get("password")):
        body["password"] = "seven calm otters swim"  # common ones are refused
    if isinstance(body, dict) and "@" in str(body.get("email", "")):
        body["email"] = "ada@example.org"  # names that the DNS reserves are refused
    for name in ("topic", "parent"):
        if (
            isinstance(body, dict)
            and isinstance(body.get(name), str)
            and SLUG.fullmatch(body[name])
        ):
            body[name] = None  # no schema knows which topics there are
    if query.get("sort") == "relevance":  # of what, only q says
        query.setdefault("q", "index")
