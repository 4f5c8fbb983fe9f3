"""What no schema can say: which texts this hub handed out, and which it has seen before."""

import re
from itertools import count
from typing import Any

import schemathesis

CURSOR = re.compile(r"[A-Za-z0-9_-]{0,1000}")
KEYS = count()


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case, kwargs: Any) -> None:
    """A cursor is the hub's own, and an Idempotency-Key serves one request: none is made up.

    Only well-formed ones are taken away; ill-formed ones must be refused.
    """
    query, headers = case.query or {}, case.headers or {}
    for name in ("cursor", "after"):
        if isinstance(query.get(name), str) and CURSOR.fullmatch(query[name]):
            del query[name]
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(r"[\x21-\x7e]{1,200}", key):
        headers["Idempotency-Key"] = f"key-{next(KEYS)}"
    if query.get("sort") == "relevance":  # of what, only q says
        query.setdefault("q", "index")
