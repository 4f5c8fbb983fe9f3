"""Turning an item of an awesome list into the content of a link."""

import re
from urllib.parse import urlsplit

from pydantic import ValidationError

from backend_hub.imports.awesome import Item
from backend_hub.resources.models import LinkType
from backend_hub.resources.schemas import LinkContent

MAX_TITLE, MIN_TITLE = 200, 3
MAX_BODY = 50_000
_VIDEO_HOSTS = frozenset({"youtube.com", "youtu.be", "vimeo.com", "m.youtube.com"})
_CODE_HOSTS = frozenset({"github.com", "gitlab.com", "codeberg.org", "bitbucket.org"})
_DOCS_HOST = re.compile(r"^(docs?|documentation)\.|\.readthedocs\.(io|org)$")
_DOCS_TITLE = re.compile(r"\b(documentation|reference manual|api reference)\b", re.IGNORECASE)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+.!|~-])")


def link_content(item: Item, language: str, license_id: str) -> LinkContent | str:
    """The content, or the reason why the hub cannot hold it."""
    try:
        return LinkContent(
            kind="link",
            title=_title(item),
            url=item.url,
            link_type=link_type(item.url, item.title),
            body=_body(item),
            language=language,
            license=license_id,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{first['loc'][0]} {first['msg'].removeprefix('Value error, ')}"


def link_type(url: str, title: str) -> LinkType:
    """A careful guess: only what the address or the title says."""
    host = (urlsplit(url).hostname or "").removeprefix("www.")
    if host in _VIDEO_HOSTS:
        return LinkType.video
    if _DOCS_HOST.search(host) or _DOCS_TITLE.search(title):
        return LinkType.documentation
    if host in _CODE_HOSTS:
        return LinkType.tool
    return LinkType.article


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, cut after a word."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[limit // 2 :] else head).rstrip() + "…"


def _title(item: Item) -> str:
    """Short names such as Go or R get the site's, for a title has at least three characters."""
    title = " ".join(item.title.split())
    if len(title) < MIN_TITLE:
        title = f"{title} ({urlsplit(item.url).hostname})"
    return shorten(title, MAX_TITLE)


def _body(item: Item) -> str:
    """The description, and what would be lost: the item above it and links it does not show."""
    paragraphs = [item.description.strip() or _escape(item.title)]
    if item.parent:
        paragraphs.append(f"Listed with {_escape(item.parent)}.")
    lost = [link for link in item.extra_links if link[1] not in paragraphs[0]]
    if lost:
        paragraphs.append(
            "See also: " + ", ".join(f"[{_escape(label)}](<{url}>)" for label, url in lost)
        )
    return "\n\n".join(paragraphs)[:MAX_BODY]


def _escape(text: str) -> str:
    """Text that Markdown shows as it is (CommonMark 2.4)."""
    return _MARKDOWN.sub(r"\\\1", text)
