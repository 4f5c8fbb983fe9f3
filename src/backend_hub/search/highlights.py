"""Snippets: what matches in a text, marked, and safe to put into a page."""

import html
import re
from typing import Any

from sqlalchemy import ColumnElement, cast, func, literal_column
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlmodel import col

from backend_hub.posts.models import Post

# Private-use characters mark a match until the text is escaped; a text's own are removed first.
START, STOP = "\ue000", "\ue001"
LONGEST = 20_000
"""Characters of a body's HTML that are looked through; more would cost 20 ms a hit."""

_SELECT = f"StartSel={START}, StopSel={STOP}"
TITLE = f"{_SELECT}, HighlightAll=true"
FRAGMENTS = f'{_SELECT}, MaxFragments=2, MaxWords=24, MinWords=8, FragmentDelimiter=" \u2026 "'
BEGINNING = 240
_CUT_CHARACTER = re.compile(r"&[^;\s]*$")


def _literal(text: str) -> ColumnElement[str]:
    return literal_column(f"'{text}'")


def _without_marks(text: ColumnElement[str]) -> ColumnElement[str]:
    # `translate` goes through the text character by character, and takes five times as long.
    for mark in (START, STOP):
        text = func.replace(text, _literal(mark), _literal(""))
    return text


def plain_text() -> ColumnElement[str]:
    """A body without its tags, its characters still escaped.

    Rendered blocks end with a line feed, so that removing a tag joins no words.
    """
    beginning = func.left(col(Post.body_html), literal_column(str(LONGEST)))
    tag = _literal("<[^>]*>?")
    return _without_marks(func.regexp_replace(beginning, tag, _literal(""), _literal("g")))


def highlighted(
    text: ColumnElement[str], query: ColumnElement[Any] | None, options: str
) -> ColumnElement[str]:
    """The text with its matches between START and STOP; without a query its beginning."""
    if query is None:
        return func.left(text, literal_column(str(BEGINNING)))
    config = cast(col(Post.search_config), REGCONFIG)
    return func.ts_headline(config, text, query, _literal(options))


def title_highlighted(title: Any, query: ColumnElement[Any] | None) -> ColumnElement[str]:
    return highlighted(_without_marks(title), query, TITLE)


def marked(text: str) -> str:
    """Escaped, whatever it holds, with `<mark>` around what was found."""
    return html.escape(text).replace(START, "<mark>").replace(STOP, "</mark>")


def marked_html(text: str) -> str:
    """The same for a text whose characters are escaped already."""
    return marked(html.unescape(_CUT_CHARACTER.sub("", " ".join(text.split()))))
