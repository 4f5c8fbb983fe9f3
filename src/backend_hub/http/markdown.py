"""Markdown to safe HTML, once, when a text is written."""

import functools
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.to_thread
import nh3
from anyio import CapacityLimiter
from markdown_it import MarkdownIt
from markdown_it.token import Token

from backend_hub.errors import Unprocessable

MAX_HTML = 1_000_000
"""Characters."""
TIME_LIMIT = 3.0
"""Seconds; a text that takes longer was made to be slow."""
SHORT = 2_000
"""Characters of a text that takes milliseconds at most, and mostly less than to ask a thread."""

# html=False: raw HTML is shown as text and never parsed. nh3 then removes what is left unknown,
# so that a mistake in one of the two is not enough for a script to pass.
_markdown = (
    MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False})
    .enable("table")
    .enable("strikethrough")
)
_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li"),
    *("pre", "code", "em", "strong", "s", "a", "img"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title"},
    "ol": {"start"},
    "code": {"class"},
}

_cleaner = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    url_schemes={"http", "https", "mailto"},
    link_rel="nofollow ugc noopener",
    strip_comments=True,
)


@functools.cache
def _threads() -> CapacityLimiter:
    return CapacityLimiter(2)


def render(markdown: str) -> str:
    """Rendered and sanitised HTML; raises TooLong. Links carry `rel="nofollow ugc noopener"`."""
    environment: dict[str, Any] = {}
    tokens = _markdown.parse(markdown, environment)
    if _repeated(tokens) > MAX_HTML:
        raise TooLong
    html: str = _markdown.renderer.render(tokens, _markdown.options, environment)
    if len(html) > MAX_HTML:
        raise TooLong
    clean = _cleaner.clean(html)
    if len(clean) > MAX_HTML:
        raise TooLong
    return clean


def _repeated(tokens: Sequence[Token]) -> int:
    """Characters of attributes: a reference that is named often repeats its address each time."""
    return sum(
        sum(len(str(value)) for value in token.attrs.values()) + _repeated(token.children or ())
        for token in tokens
    )


class TooLong(Unprocessable):
    """A few bytes of Markdown can name one long address thousands of times."""

    def __init__(self) -> None:
        super().__init__("The text is too long once it is rendered", loc=("body", "body"))


async def render_markdown(markdown: str) -> str:
    """`render`, a long text off the event loop; raises Unprocessable when it takes too long."""
    if len(markdown) <= SHORT:
        return render(markdown)
    try:
        with anyio.fail_after(TIME_LIMIT):
            return await anyio.to_thread.run_sync(
                render, markdown, limiter=_threads(), abandon_on_cancel=True
            )
    except TimeoutError:
        raise Unprocessable("The text is too complicated to render", loc=("body", "body")) from None
