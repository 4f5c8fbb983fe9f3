"""What a person types into the search box: words, and qualifiers such as `tag:sql`.

The words stay as they are, for PostgreSQL's `websearch_to_tsquery`, which refuses nothing. A
qualifier that the hub does not know (`std::vector`, `https://...`) is a word, and so is all that
stands in quotes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from backend_hub.errors import Unprocessable
from backend_hub.resources.models import Level

MAX_QUALIFIERS = 20
MAX_SCORE = 1_000_000_000

_PIECE = re.compile(
    r"""(?:^|(?<=\s))(?P<minus>-?)(?P<name>[A-Za-z]+):(?P<value>"[^"]*"(?=\s|$)|[^\s"]*)
      | "[^"]*"?       # a phrase; the last one may be left open
      | [^\s"]+        # a word, up to the quotes that may follow it
      | \s+""",
    re.VERBOSE,
)
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TAG = re.compile(r"[a-z0-9][a-z0-9+#.]*(-[a-z0-9+#.]+)*")
_USERNAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}")
_RANGE = re.compile(r"(?P<sign>>=|<=|>|<|=?)(?P<low>[^.<>=]+)(\.\.(?P<high>[^.<>=]+))?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"-?[0-9]{1,10}")


class SearchKind(StrEnum):
    """What can be searched for; a resource is a link, a code sample or a project."""

    resource = "resource"
    link = "link"
    code_sample = "code_sample"
    project = "project"
    question = "question"
    answer = "answer"


class State(StrEnum):
    accepted = "accepted"
    answered = "answered"
    unanswered = "unanswered"
    closed = "closed"
    open = "open"


@dataclass(frozen=True)
class Interval:
    """From `low` up to, but not including, `high`; None is no bound."""

    low: Any
    high: Any


@dataclass(frozen=True)
class Qualifier:
    name: str
    value: Any
    negated: bool = False


@dataclass(frozen=True)
class Query:
    words: str
    qualifiers: tuple[Qualifier, ...]


def _text(pattern: re.Pattern[str], longest: int) -> Callable[[str], str]:
    def read(value: str) -> str:
        value = value.lower()
        if len(value) > longest or not pattern.fullmatch(value):
            raise ValueError("is not one")
        return value

    return read


def _one_of(kinds: type[StrEnum]) -> Callable[[str], str]:
    def read(value: str) -> str:
        try:
            return kinds(value.lower()).value
        except ValueError:
            raise ValueError(f"is one of {', '.join(kinds)}") from None

    return read


def _interval(
    parse: Callable[[str], Any], after: Callable[[Any], Any]
) -> Callable[[str], Interval]:
    """`>3`, `>=3`, `<3`, `<=3`, `3` and `3..10`, which includes both."""

    def read(value: str) -> Interval:
        found = _RANGE.fullmatch(value)
        if found is None or (found["sign"] and found["high"]):
            raise ValueError("is written as 3, >3, >=3, <3, <=3 or 3..10")
        low = parse(found["low"])
        match found["sign"]:
            case ">":
                return Interval(after(low), None)
            case ">=":
                return Interval(low, None)
            case "<":
                return Interval(None, low)
            case "<=":
                return Interval(None, after(low))
        return Interval(low, after(parse(found["high"]) if found["high"] else low))

    return read


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text) or abs(int(text)) > MAX_SCORE:
        raise ValueError(f"takes whole numbers up to {MAX_SCORE}")
    return int(text)


def _day(text: str) -> datetime:
    """The beginning of a day, in UTC."""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError("takes dates such as 2026-01-31") from None
    if not 1900 <= day.year <= 3000:
        raise ValueError("takes years from 1900 to 3000")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


_language = _text(_LANGUAGE, 35)
READERS: dict[str, Callable[[str], Any]] = {
    "tag": _text(_TAG, 40),
    "kind": _one_of(SearchKind),
    "author": _text(_USERNAME, 30),
    "topic": _text(_SLUG, 120),
    "level": _one_of(Level),
    "lang": _language,
    "language": _language,
    "is": _one_of(State),
    "score": _interval(_number, lambda number: number + 1),
    "created": _interval(_day, lambda day: day + timedelta(days=1)),
}


def parse(text: str) -> Query:
    """Split what was typed; raises Unprocessable for a qualifier whose value makes no sense."""
    words: list[str] = []
    qualifiers: list[Qualifier] = []
    for piece in _PIECE.finditer(text):
        name = (piece["name"] or "").lower()
        if name in READERS:
            qualifiers.append(_qualifier(name, piece["value"], bool(piece["minus"])))
            words.append(" ")
        else:
            words.append(piece[0])
    if len(qualifiers) > MAX_QUALIFIERS:
        raise _refusal(f"At most {MAX_QUALIFIERS} qualifiers")
    return Query("".join(words).strip(), tuple(qualifiers))


def _qualifier(name: str, written: str, negated: bool) -> Qualifier:
    value = written.removeprefix('"').removesuffix('"')
    try:
        read = READERS[name](value)
    except ValueError as error:
        raise _refusal(f"{name}: {error}; put it in quotes to search for the words") from None
    return Qualifier("lang" if name == "language" else name, read, negated)


def _refusal(message: str) -> Unprocessable:
    return Unprocessable(message, loc=("query", "q"))
