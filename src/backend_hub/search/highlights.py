"""Snippets: what matches in a text, marked, and safe to put into a page.

PostgreSQL marks and escapes, so that a page of hits comes as finished JSON.
"""

from typing import Any

from sqlalchemy import ColumnElement, Text, case, cast, func, literal_column
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlmodel import col

from backend_hub.posts.models import Post

# They mark a match in a title until it is escaped; a title's own are removed first.
START, STOP = "\ue000", "\ue001"
LONGEST = 20_000
"""Characters of a body's HTML that are looked through; more would cost 20 ms a hit."""
BEGINNING = 240
"""Characters that are shown where no word is searched for."""

TITLE = f"StartSel={START}, StopSel={STOP}, HighlightAll=true"
FRAGMENTS = (
    "StartSel=<mark>, StopSel=</mark>,"
    ' MaxFragments=2, MaxWords=24, MinWords=8, FragmentDelimiter=" \u2026 "'
)
QUOTES = {'"': "&quot;", "'": "&#x27;"}
ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", **QUOTES}


def title_highlighted(title: Any, query: ColumnElement[Any] | None) -> ColumnElement[str]:
    """A title, escaped, with `<mark>` around what the query found."""
    shown = _replaced(title, {START: "", STOP: ""})
    if query is not None:
        shown = _headline(shown, query, TITLE)
    return _replaced(shown, {**ESCAPED, START: "<mark>", STOP: "</mark>"})


def snippet(query: ColumnElement[Any] | None) -> ColumnElement[str]:
    """The parts of a body that match best, marked; without a query its beginning.

    A body's HTML has its characters escaped. Without tags no `<` and `>` are left in it: those of
    a snippet are of its marks. Rendered blocks end with a line feed, so that removing a tag joins
    no words.
    """
    html: Any = col(Post.body_html)
    # To count characters takes longer than to look up the number of bytes.
    short = func.octet_length(html) <= literal_column(str(LONGEST))
    beginning = case((short, html), else_=_cut(html, LONGEST))
    plain = _without(r"<[^>]*>?|>", beginning)
    shown = _cut(plain, BEGINNING) if query is None else _headline(plain, query, FRAGMENTS)
    # To replace single spaces, too, would take five times as long.
    on_one_line = func.btrim(_without(r"\s\s+|[\t-\r]", shown, instead=" "))
    return _replaced(on_one_line, {"&nbsp;": "\u00a0", **QUOTES})


def _cut(html: ColumnElement[str], length: int) -> ColumnElement[str]:
    """The first characters, but no part of an escaped one."""
    return _without(r"&[^;\s]*$", func.left(html, literal_column(str(length))))


def _headline(
    text: ColumnElement[str], query: ColumnElement[Any], options: str
) -> ColumnElement[str]:
    config = cast(col(Post.search_config), REGCONFIG)
    return func.ts_headline(config, text, query, _literal(options), type_=Text())


def _without(pattern: str, text: ColumnElement[str], instead: str = "") -> ColumnElement[str]:
    return func.regexp_replace(
        text, _literal(pattern), _literal(instead), _literal("g"), type_=Text()
    )


def _replaced(text: ColumnElement[str], characters: dict[str, str]) -> ColumnElement[str]:
    for old, new in characters.items():
        text = func.replace(text, _literal(old), _literal(new), type_=Text())
    return text


def _literal(text: str) -> ColumnElement[str]:
    quoted = text.replace("'", "''")
    return literal_column(f"'{quoted}'")
