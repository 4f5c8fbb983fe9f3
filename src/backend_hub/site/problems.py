"""What is wrong with a form, in words for whoever filled it in."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

WORDS = {
    "missing": "is missing",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "has characters that are not allowed",
    "too_short": "choose at least {min_length}",
}
"""For kinds of Pydantic's, whose own words are for developers."""


def problems_of(error: ValidationError, labels: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with which field of a form; what concerns several is of the last."""
    found: dict[str, str] = {}
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else list(labels)[-1]
        found.setdefault(name, f"{labels.get(name, name)}: {_words(item)}.")
    return found


def _words(item: Any) -> str:
    if item["type"].startswith("string_") and not str(item["input"]).strip():
        return WORDS["missing"]
    words = WORDS.get(item["type"])
    if words is not None:
        return words.format_map(item.get("ctx") or {})
    message: str = item["msg"].removeprefix("Value error, ")
    return message.removeprefix("the password ")
