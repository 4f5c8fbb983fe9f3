"""What a merged resource will say: the one place that decides it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MergeConflict:
    """Two texts that people have to bring together: the resource's, and the proposal's."""

    current: dict[str, Any]
    proposed: dict[str, Any]


def merged_content(
    base: dict[str, Any], current: dict[str, Any], proposed: dict[str, Any]
) -> dict[str, Any] | MergeConflict:
    """The proposal when the resource still says what the proposal was written against."""
    if current == base:
        return proposed
    return MergeConflict(current, proposed)
