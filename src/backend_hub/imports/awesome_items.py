"""The rules that turn one list item or table row into resources.

The resource is the first http(s) link whose text has a letter or a digit; a link around an image
counts only where there is no such link. Links that follow it directly, joined by a comma, a slash,
a bar or "and", are resources too. Every further link stays in the description, as Markdown, and is
listed in `extra_links`; there, a link that is not http(s) becomes text and is reported.
A label that says nothing ("link", "website", a URL) gives way to the text before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from backend_hub.imports.awesome_inline import Piece, inline_pieces, plain, render

MAX_TITLE = 200
MAX_DESCRIPTION = 10_000

ANCHOR, RELATIVE, EMPTY = "anchor link", "relative link", "empty link"
BADGE, NO_TEXT, NO_LINK = "badge or image link", "link without text", "no link"

# Labels that name nothing: what follows the link may serve as the title, too.
_EMPTY_LABELS = frozenset(
    ["", "link", "links", "here", "this", "url", "more", "click here", "read more", "this link"]
)
# Labels that name a side of something: only what precedes the link is a better title.
_SIDE_LABELS = frozenset(
    [
        "website",
        "web site",
        "site",
        "web",
        "webpage",
        "page",
        "homepage",
        "home page",
        "home",
        "docs",
        "doc",
        "documentation",
        "github",
        "gitlab",
        "bitbucket",
        "source",
        "source code",
        "code",
        "repo",
        "repository",
        "demo",
        "live demo",
        "download",
        "pdf",
        "epub",
        "html",
        "video",
        "slides",
        "paper",
        "blog",
        "article",
        "official site",
        "official website",
        "project page",
        "npm",
        "pypi",
        "playground",
        "example",
        "examples",
        "wiki",
        "twitter",
        "discord",
        "slack",
        "web archive",
        "archive",
    ]
)
_JOINERS = frozenset(["", ",", "/", "|", "&", "+", "·", "•", ";", "and", "or", ", and", ", or"])
_SHORTCODE = re.compile(r"(?<![\w:]):[a-z0-9_+-]{1,60}:(?![\w:])")
_EMOJI = (
    "\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff\u3030\u303d\ufe0f\u200d\u20e3"
    "\U0001f000-\U0001faff\U000e0020-\U000e007f"
)
_EMOJI_START = re.compile(rf"^[{_EMOJI}\s]+")
_EMOJI_END = re.compile(rf"[{_EMOJI}]")
_TASK_BOX = re.compile(r"^\s*\[[ xX]\]\s+")
_NUMBER = re.compile(r"^[\d\s.)(#]*$")
_SEPARATOR = re.compile(r"(?<=\S)(?:\s(?:-{1,2}|=>)\s|\s?[–—]\s?|:\s|:$)")
_LEAD = " \t-–—:|,;.)]·•~=>…"


class Entry(NamedTuple):
    title: str
    url: str
    description: str
    line: int
    extra_links: tuple[tuple[str, str], ...]


class Reading(NamedTuple):
    """What one item held: resources, links left out with the reason, its name when a group."""

    entries: list[Entry]
    dropped: list[tuple[Piece, str]]
    name: str


def link_problem(url: str) -> str | None:
    """Why a URL cannot be a resource, or None."""
    if re.match(r"https?://[^/\s?#]", url, re.IGNORECASE):
        return None
    if not url:
        return EMPTY
    if url.startswith("#"):
        return ANCHOR
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
    if scheme is None:
        return RELATIVE
    return f"unsupported URL: {scheme[1].lower()[:20]}"


def has_words(text: str) -> bool:
    return any(char.isalnum() for char in text)


def clean_title(text: str) -> str:
    """One line without emoji at its ends, :shortcodes: and trailing separators."""
    whole = " ".join(text.split())
    title = " ".join(_SHORTCODE.sub(" ", whole).split())
    title = _EMOJI_START.sub("", title)
    end = len(title)
    while end and (title[end - 1] in " :|–—·•" or _EMOJI_END.match(title[end - 1])):
        end -= 1
    title = title[:end].removesuffix(" -").lstrip(" |:–—·•")
    return (title or whole)[:MAX_TITLE].strip()


def split_name(md: str) -> tuple[str, str]:
    """A name and what follows the first dash or colon: "macOS - Apple's system"."""
    match = _SEPARATOR.search(md)
    if match is None:
        return clean_title(plain(inline_pieces(md))), ""
    name = clean_title(plain(inline_pieces(md[: match.start()])).strip("*_`"))
    return name, md[match.end() :].lstrip(_LEAD)


def label_weight(label: str) -> int:
    """0 a title, 1 a side of something, 2 nothing at all."""
    key = " ".join(re.sub(r"[^\w\s]", " ", label.lower()).split())
    if key in _EMPTY_LABELS or not has_words(label):
        return 2
    return int(key in _SIDE_LABELS or "://" in label or label.lower().startswith("www."))


def unlink(pieces: Sequence[Piece]) -> tuple[list[Piece], list[tuple[Piece, str]]]:
    """Pieces with the links that are not http(s) turned into text, and those links."""
    kept, dropped = [], list[tuple[Piece, str]]()
    for piece in pieces:
        reason = link_problem(piece.url) if piece.kind == "link" else None
        kept.append(_as_text(piece) if reason else piece)
        if reason:
            dropped.append((piece, reason))
    return kept, dropped


def _as_text(link: Piece) -> Piece:
    label = link.md[1 : link.md.rfind("](")] if link.md.startswith("[") else link.text
    return Piece("text", label if link.text else "", link.text, link.line)


def _without_badges(pieces: list[Piece]) -> tuple[list[Piece], list[tuple[Piece, str]]]:
    """Keep an image link only where it is the only one (a badge: only beside words)."""
    links = [(index, p) for index, p in enumerate(pieces) if p.kind == "link"]
    keep = -1
    if not any(p.text for _, p in links):
        named = has_words(plain(pieces))
        usable = [i for i, p in links if (named or not p.badge) and (named or has_words(p.alt))]
        keep = next((i for i in usable if not pieces[i].badge), usable[0] if usable else -1)
    gone = {i for i, p in links if not p.text and i != keep}
    dropped = [(pieces[i], BADGE if pieces[i].image else NO_TEXT) for i in sorted(gone)]
    return [p for index, p in enumerate(pieces) if index not in gone], dropped


def _is_lead_in(pieces: Sequence[Piece]) -> bool:
    """Whether what precedes a link is decoration: emoji, an icon, a number, brackets."""
    text = _SHORTCODE.sub(" ", plain(pieces))
    return not has_words(text) or bool(_NUMBER.match(text))


def _chain(pieces: Sequence[Piece], main: int) -> list[int]:
    """The links a reader takes for resources of their own: [A](u1), [B](u2) and [C](u3)."""
    before = plain(pieces[:main])
    chain, start = [main], main + 1
    if not _is_lead_in(pieces[:main]) and before[-1:] not in ":-–—":
        return chain
    for index in range(main + 1, len(pieces)):
        piece = pieces[index]
        if piece.kind in ("code", "image"):
            break
        if piece.kind == "link":
            if plain(pieces[start:index]).lower() not in _JOINERS or label_weight(piece.text):
                break
            chain.append(index)
            start = index + 1
    return chain


def links_of(pieces: Sequence[Piece]) -> tuple[tuple[str, str], ...]:
    return tuple((p.text or p.alt, p.url) for p in pieces if p.kind == "link")


def tidy(md: str) -> str:
    md = re.sub(r"\(\s{0,9}\)", "", md)
    return md.lstrip(_LEAD).strip()[:MAX_DESCRIPTION].strip()


def _named_by_text(pieces: Sequence[Piece], main: int, label: str) -> tuple[str, str] | None:
    """Title and description where the link's own label is no title."""
    weight = label_weight(label)
    before, after = render(pieces[:main]), render(pieces[main + 1 :])
    if weight and not _is_lead_in(pieces[:main]):
        title, rest = split_name(before.rstrip("([ "))
        if not (rest or not after or after[0] in _LEAD + "("):
            return title, tidy(f"{before} {label} {after}")
        opener = "(" if before.endswith("(") else ""
        return title, tidy(" ".join([rest, opener + after.lstrip(" ,;|/")]).strip())
    if has_words(after) and weight == 2:
        title, rest = split_name(after.lstrip(_LEAD))
        if rest or not pieces[main].image or not has_words(pieces[main].alt):
            return title, tidy(rest)
    return None


def _after(pieces: Sequence[Piece], first: int, last: int) -> str:
    """What follows the links, without the quote that closes around them."""
    md = render(pieces[last + 1 :])
    return tidy(md[1:] if md[:1] in ('"', "”", "»", "'") and plain(pieces[:first]) else md)


def _entries(pieces: list[Piece]) -> list[Entry]:
    links = [i for i, p in enumerate(pieces) if p.kind == "link"]
    worded = [i for i in links if has_words(pieces[i].text)]
    main = (worded or [i for i in links if pieces[i].text] or links)[0]
    chain = _chain(pieces, main)
    chained = set(chain)
    extra_links = links_of([p for i, p in enumerate(pieces) if i not in chained])
    label = pieces[main].text
    named = _named_by_text(pieces, main, label) if len(chain) == 1 else None
    if named:
        label, description = named
    elif _is_lead_in(pieces[:main]):
        description = _after(pieces, main, chain[-1])
    else:
        shown = [_as_text(p) if i in chained else p for i, p in enumerate(pieces)]
        description = tidy(render(shown))
    entries = []
    for index in chain:
        link = pieces[index]
        title = clean_title(label if index == main else link.text)
        title = title or clean_title(link.alt) or link.url[:MAX_TITLE]
        entries.append(Entry(title, link.url, description, link.line, extra_links))
    return entries


def read_item(pieces: Sequence[Piece]) -> Reading:
    """The resources of one list item, or of anything written like one."""
    kept, dropped = unlink(pieces)
    kept, badges = _without_badges(_without_box(kept))
    dropped += badges
    if any(p.kind == "link" for p in kept):
        return Reading(_entries(kept), dropped, "")
    return Reading([], dropped, split_name(render(kept).lstrip(_LEAD))[0])


def _without_box(pieces: list[Piece]) -> list[Piece]:
    """Without the box of a task item."""
    if not pieces or not (box := _TASK_BOX.match(pieces[0].md)):
        return pieces
    first = pieces[0]
    rest = first.md[box.end() :]
    return [first._replace(md=rest, text=first.text[len(first.text) - len(rest) :]), *pieces[1:]]


def starts_with_link(pieces: Sequence[Piece]) -> str | None:
    """What follows the link a line starts with; None where it starts with anything else."""
    for index, piece in enumerate(pieces):
        if piece.kind == "link":
            usable = link_problem(piece.url) is None and has_words(piece.text)
            return plain(pieces[index + 1 :]) if usable else None
        if has_words(_SHORTCODE.sub(" ", piece.text)):
            return None
    return None
