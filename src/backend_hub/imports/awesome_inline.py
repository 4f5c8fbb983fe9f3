"""Inline content of an awesome list: Markdown tokens and raw HTML as one flat list of pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.common.utils import unescapeAll
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline import image as image_rule
from markdown_it.token import Token

MAX_NESTING = 60
MAX_IMAGE_NESTING = 5


class Piece(NamedTuple):
    """A run of inline content; `md` is its Markdown, `text` what a reader sees."""

    kind: Literal["text", "open", "close", "code", "image", "link", "break"]
    md: str
    text: str
    line: int
    url: str = ""
    alt: str = ""
    image: bool = False  # a link around an image only
    badge: bool = False  # ... that comes from a badge service


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        """Accept every scheme: a javascript: link is reported, not silently turned into text."""
        return True


def _shallow_image(state: StateInline, silent: bool) -> bool:
    # Each image parses its alt text again: unbounded nesting is quadratic and overflows the stack.
    depth = state.env.get("image_depth", 0)
    if depth >= MAX_IMAGE_NESTING:
        return False
    state.env["image_depth"] = depth + 1
    try:
        return image_rule(state, silent)
    finally:
        state.env["image_depth"] = depth


def _make_parser() -> MarkdownIt:
    parser = _Markdown("commonmark", {"maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.disable("text_join")  # keeps the source form of escapes and entities
    parser.inline.ruler.at("image", _shallow_image)
    return parser


MARKDOWN = _make_parser()

# Attribute values stop at < and > so that a tag never scans past the next one (linear time).
TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[A-Za-z][A-Za-z0-9-]*)"
    r"(?P<attrs>(?:[^<>\"']|\"[^\"<>]*\"|'[^'<>]*')*)>"
)
_ATTR = re.compile(r"(?<![A-Za-z-])([A-Za-z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
# What CommonMark refuses but the author meant: [text](url with spaces) and [text] (url).
_BROKEN_LINK = re.compile(
    r"(?<!\\)(!?)\[([^\[\]]{0,300})\] ?\(\s*(https?://(?:[^()\[\]]|\([^()\[\]]{0,200}\)){1,2000})\)",
    re.IGNORECASE,
)
_BARE_URL = re.compile(
    r"(?<![A-Za-z0-9])(?:https?://(?=\w)|(?<![/.@])www\.(?=\w))[^\s<>|。，、；：）】」』》]+",
    re.IGNORECASE,
)
_BADGE_HOST = re.compile(
    r"shields\.io|badge|travis-ci|codecov\.io|coveralls|circleci\.com|appveyor|snyk\.io|awesome\.re",
    re.IGNORECASE,
)


def attributes(attrs: str) -> dict[str, str]:
    """Attributes of a raw tag, entities decoded."""
    return {
        m[1].lower(): unescapeAll(m[2] or m[3] or m[4] or "").strip() for m in _ATTR.finditer(attrs)
    }


def normalize_url(url: str) -> str:
    """Percent-encode as markdown-it does its own links."""
    return MARKDOWN.normalizeLink(url.strip())


def _destination(url: str) -> str:
    depth = 0
    for char in url:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            return f"<{url}>"
    return f"<{url}>" if depth or " " in url else url


def _trim_bare(raw: str) -> str:
    """Drop what the sentence added after a bare URL: punctuation, a bracket it did not open."""
    depth = 0
    for index, char in enumerate(raw):
        depth += (char == "(") - (char == ")")
        if depth < 0:
            raw = raw[:index]
            break
    return raw.rstrip("?!.,:;*_~'\"]}\\")


def _bare_links(raw: str, line: int) -> Iterable[Piece]:
    position = 0
    for match in _BARE_URL.finditer(raw):
        shown = _trim_bare(match[0])
        if match.start() > position:
            before = raw[position : match.start()]
            yield Piece("text", before, unescapeAll(before), line)
        text = unescapeAll(shown)
        url = normalize_url(text if "://" in text else f"http://{text}")
        yield Piece("link", shown, text, line, url)
        position = match.start() + len(shown)
    if position < len(raw):
        yield Piece("text", raw[position:], unescapeAll(raw[position:]), line)


def split_text(raw: str, line: int) -> Iterable[Piece]:
    """Text pieces with the bare URLs and the links CommonMark refused as links."""
    position = 0
    for match in _BROKEN_LINK.finditer(raw):
        yield from _bare_links(raw[position : match.start()], line)
        position = match.end()
        text = unescapeAll(match[2])
        if match[1]:
            yield Piece("image", "", "", line, alt=text)
        else:
            url = normalize_url(unescapeAll(match[3]))
            md = f"[{match[2]}]({_destination(url)})" if text.strip() else ""
            yield Piece("link", md, text.strip(), line, url)
    yield from _bare_links(raw[position:], line)


class Builder:
    """Collects pieces from either source; a link swallows what it holds."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.pieces: list[Piece] = []
        self._raw: list[str] = []
        self._raw_line = line
        self._outer: list[Piece] = []
        self._link: tuple[str, bool, bool, int] | None = None  # url, autolink, from HTML, line

    def text(self, md: str) -> None:
        if not self._raw:
            self._raw_line = self.line
        self._raw.append(md)

    def add(self, piece: Piece) -> None:
        self._flush()
        self.pieces.append(piece)

    def line_break(self) -> None:
        self.add(Piece("break", " ", " ", self.line))

    def image(self, alt: str, src: str) -> None:
        self.add(Piece("image", "", "", self.line, alt=alt, badge=bool(_BADGE_HOST.search(src))))

    def open_link(self, url: str, *, auto: bool = False, html: bool = False) -> None:
        self.close_link()
        self._flush()
        url = f"https:{url}" if url.startswith("//") else url
        self._link = (url, auto, html, self.line)
        self._outer, self.pieces = self.pieces, []

    @property
    def in_html_link(self) -> bool:
        return self._link is not None and self._link[2]

    def close_link(self) -> None:
        if self._link is None:
            return
        self._flush()
        (url, auto, html, line), inner = self._link, self.pieces
        self._link, self.pieces = None, self._outer
        images = [p for p in inner if p.kind == "image"]
        text = plain(inner)
        label = render(inner)
        if html:
            label = re.sub(r"(?<!\\)([\[\]])", r"\\\1", label)
        md = f"<{url}>" if auto else f"[{label}]({_destination(url)})"
        alt = " ".join(p.alt for p in images if p.alt)
        badge = bool(images) and all(p.badge for p in images)
        is_image = bool(images) and not text
        self.pieces.append(Piece("link", md if text else "", text, line, url, alt, is_image, badge))

    def tag(self, match: re.Match[str]) -> None:
        """An inline HTML tag: links, images and line breaks matter, the rest is dropped."""
        name, attrs = match["name"].lower(), attributes(match["attrs"])
        if name == "a" and match["close"]:
            if self.in_html_link:
                self.close_link()
        elif name == "a" and "href" in attrs:
            self.open_link(normalize_url(attrs["href"]), html=True)
        elif name == "img":
            self.image(attrs.get("alt", ""), attrs.get("src", ""))
        elif name == "br":
            self.line_break()

    def finish(self) -> list[Piece]:
        self.close_link()
        self._flush()
        return self.pieces

    def _flush(self) -> None:
        if not self._raw:
            return
        raw, self._raw = "".join(self._raw), []
        if self._link is None:
            self.pieces.extend(split_text(raw, self._raw_line))
        else:
            self.pieces.append(Piece("text", raw, unescapeAll(raw), self._raw_line))


def flatten(tokens: Sequence[Token], line: int) -> list[Piece]:
    """Pieces of a markdown-it inline token's children; `line` is its first source line."""
    builder = Builder(line)
    for token in tokens:
        if token.type == "text":
            builder.text(token.content)
        elif token.type == "text_special":
            builder.text(token.markup)
        elif token.type in ("softbreak", "hardbreak"):
            builder.line_break()
            builder.line += 1
        elif token.type == "code_inline":
            pad = " " if token.content[:1] == "`" or token.content[-1:] == "`" else ""
            md = f"{token.markup}{pad}{token.content}{pad}{token.markup}"
            builder.add(Piece("code", md, token.content, builder.line))
        elif token.type == "image":
            builder.image(plain(flatten(token.children or (), line)), str(token.attrs["src"]))
        elif token.type == "link_open":
            builder.open_link(str(token.attrs["href"]), auto=token.info == "auto")
        elif token.type == "link_close":
            if not builder.in_html_link:
                builder.close_link()
        elif token.type == "html_inline":
            if match := TAG.match(token.content):
                builder.tag(match)
            builder.line += token.content.count("\n")
        elif token.nesting:
            kind: Literal["open", "close"] = "open" if token.nesting > 0 else "close"
            builder.add(Piece(kind, token.markup, "", builder.line))
    return builder.finish()


def inline_pieces(md: str) -> list[Piece]:
    """Pieces of a fragment of Markdown."""
    return [p for token in MARKDOWN.parseInline(md) for p in flatten(token.children or (), 0)]


def plain(pieces: Iterable[Piece]) -> str:
    """What a reader sees, images aside, whitespace collapsed."""
    return " ".join("".join(p.text for p in pieces).split())


def _balanced(pieces: Sequence[Piece]) -> list[Piece]:
    """Without the emphasis marks that are empty or whose other half was cut off."""
    keep, opened, content = [True] * len(pieces), list[tuple[int, int]](), 0
    for index, piece in enumerate(pieces):
        if piece.kind == "open":
            opened.append((index, content))
        elif piece.kind == "close":
            start, before = opened.pop() if opened else (index, content)
            keep[start] = keep[index] = content > before
        elif piece.md:
            content += 1
    for start, _ in opened:
        keep[start] = False
    return [piece for piece, kept in zip(pieces, keep, strict=True) if kept]


def render(pieces: Sequence[Piece]) -> str:
    """Markdown on one line, images dropped."""
    md = "".join(piece.md for piece in _balanced(pieces))
    return " ".join(md.replace("&nbsp;", " ").split())
