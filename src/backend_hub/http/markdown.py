"""Markdown to safe HTML, once, when a text is written."""

import functools

import anyio
import anyio.to_thread
import nh3
from anyio import CapacityLimiter
from markdown_it import MarkdownIt

from backend_hub.errors import Unprocessable

TIME_LIMIT = 3.0
"""Seconds; a text that takes longer was made to be slow."""

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


@functools.cache
def _threads() -> CapacityLimiter:
    return CapacityLimiter(2)


def render(markdown: str) -> str:
    """Rendered and sanitised HTML; links carry `rel="nofollow ugc noopener"`."""
    return nh3.clean(
        _markdown.render(markdown),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow ugc noopener",
        strip_comments=True,
    )


async def render_markdown(markdown: str) -> str:
    """`render` off the event loop; raises Unprocessable when it takes too long."""
    try:
        with anyio.fail_after(TIME_LIMIT):
            return await anyio.to_thread.run_sync(
                render, markdown, limiter=_threads(), abandon_on_cancel=True
            )
    except TimeoutError:
        raise Unprocessable("The text is too complicated to render", loc=("body", "body")) from None
