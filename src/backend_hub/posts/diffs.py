"""The difference between two contents, field by field."""

import difflib
import functools
import itertools
from collections import Counter
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter

from backend_hub.posts.content import as_texts
from backend_hub.posts.schemas import FieldDiff

MAX_COMPARISONS = 20_000_000
"""About a second. Texts of many equal lines need more, up to minutes for 64 kB."""


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
    old, new = before.splitlines(), after.splitlines()
    if _comparisons(old, new) > MAX_COMPARISONS:
        return "\n".join(_replaced(name, old, new))
    lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm="")
    return "\n".join(lines)


def _comparisons(old: list[str], new: list[str]) -> int:
    """What difflib may do at worst: it looks at each pair of equal lines once for each match."""
    seen = Counter(new)
    return sum(seen[line] for line in old) * min(len(old), len(new))


def _replaced(name: str, old: list[str], new: list[str]) -> list[str]:
    """All between the lines that both begin with, and those that both end with, as one change."""
    pairs = list(zip(old, new, strict=False))
    start = next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs))
    rest = zip(reversed(old[start:]), reversed(new[start:]), strict=False)
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], rest))
    removed, added = old[start : len(old) - same], new[start : len(new) - same]
    return [
        f"--- a/{name}",
        f"+++ b/{name}",
        f"@@ -{start + 1},{len(removed)} +{start + 1},{len(added)} @@",
        *(f"-{line}" for line in removed),
        *(f"+{line}" for line in added),
    ]


@functools.cache
def _threads() -> CapacityLimiter:
    return CapacityLimiter(2)


async def diff(before: dict[str, Any], after: dict[str, Any]) -> list[FieldDiff]:
    """`diff_contents` off the event loop."""
    return await anyio.to_thread.run_sync(diff_contents, before, after, limiter=_threads())
