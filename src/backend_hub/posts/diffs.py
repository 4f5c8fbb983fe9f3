"""The difference between two contents, field by field."""

import difflib
import functools
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter

from backend_hub.posts.content import as_texts
from backend_hub.posts.schemas import FieldDiff


def diff_contents(before: dict[str, Any], after: dict[str, Any]) -> list[FieldDiff]:
    """One entry for each field that differs, in the form of `diff -u`."""
    old, new = as_texts(before), as_texts(after)
    return [
        FieldDiff(
            field=name,
            before=old.get(name),
            after=new.get(name),
            unified=_unified(name, old.get(name, ""), new.get(name, "")),
        )
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _unified(name: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm=""
    )
    return "\n".join(lines)


@functools.cache
def _threads() -> CapacityLimiter:
    return CapacityLimiter(2)


async def diff(before: dict[str, Any], after: dict[str, Any]) -> list[FieldDiff]:
    """`diff_contents` off the event loop."""
    return await anyio.to_thread.run_sync(diff_contents, before, after, limiter=_threads())
