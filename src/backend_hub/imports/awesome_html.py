"""Raw HTML blocks as the units a reader sees: headings, list items, table rows and lines."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from backend_hub.imports.awesome_inline import TAG, Builder, Piece, attributes

_VOID = frozenset(
    [
        "br",
        "hr",
        "img",
        "input",
        "source",
        "meta",
        "link",
        "wbr",
        "col",
        "area",
        "base",
        "embed",
        "track",
    ]
)
_BLOCKS = frozenset(
    [
        "p",
        "div",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "td",
        "th",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "br",
        "center",
        "details",
        "summary",
        "section",
        "article",
        "header",
        "footer",
        "blockquote",
        "nav",
        "main",
        "aside",
    ]
)
_ITEMS = frozenset(["li", "dt", "dd"])
_CELLS = frozenset(["td", "th"])
_TOKEN = re.compile(rf"<!--|{TAG.pattern}")
_OPAQUE = frozenset(["script", "style"])
_OPAQUE_END = re.compile(r"</(?:script|style)", re.IGNORECASE)
_LISTS = frozenset(["ul", "ol", "dl"])
_BREAKING = _ITEMS | _CELLS | _LISTS | {"tr", "table"}
_MAX_OPEN = 100  # deeper than any page: keeps closing a tag cheap


class Unit(NamedTuple):
    kind: Literal["heading", "item", "row", "line", "table"]
    cells: list[list[Piece]]
    centred: bool
    level: int = 0  # of a heading, or how many lists an item is in
    header: bool = False  # a row of th cells


class HtmlReader:
    """Reads one HTML block after another; the tags left open carry over the blank lines."""

    def __init__(self) -> None:
        self._open: list[tuple[str, bool]] = []
        self.comments: list[tuple[int, str]] = []
        self._units: list[Unit] = []
        self._cells: list[list[Piece]] = []
        self._row_header = False
        self._builder = Builder(1)

    @property
    def centred(self) -> bool:
        return any(centred for _, centred in self._open)

    @property
    def in_item(self) -> bool:
        """Whether Markdown between two blocks stands in a list item or a table cell."""
        return any(name in _ITEMS or name in _CELLS for name, _ in self._open)

    def close_all(self) -> None:
        """A Markdown heading ends whatever was left open by mistake."""
        self._open.clear()

    def read(self, html: str, line: int) -> list[Unit]:
        self._units, self._builder = [], Builder(line)
        position = 0
        while match := _TOKEN.search(html, position):
            self._text(html[position : match.start()])
            position = match.end()
            if match["name"] is None:
                position = self._comment(html, match.start())
                continue
            self._tag(match)
            self._builder.line += match[0].count("\n")
            if match["name"].lower() in _OPAQUE and not match["close"]:
                end = _OPAQUE_END.search(html, position)
                stop = end.start() if end else len(html)
                self._builder.line += html.count("\n", position, stop)
                position = stop
        self._text(html[position:])
        self._flush()
        self._end_row()
        return self._units

    def _text(self, text: str) -> None:
        for index, part in enumerate(text.split("\n")):
            if index:
                self._builder.text(" ")
                self._builder.line += 1
            if part.strip():
                self._builder.text(part)

    def _comment(self, html: str, start: int) -> int:
        end = html.find("-->", start + 4)
        end = len(html) if end < 0 else end + 3
        for offset, text in enumerate(html[start:end].split("\n")):
            self.comments.append((self._builder.line + offset, text))
        self._builder.line += html.count("\n", start, end)
        return end

    def _tag(self, match: re.Match[str]) -> None:
        name = match["name"].lower()
        if name not in _BLOCKS:
            self._builder.tag(match)
        elif name == "br" and (self.in_item or self._in_heading or self._builder.in_html_link):
            self._builder.line_break()
        elif match["close"]:
            self._close(name)
        else:
            self._start(name, attributes(match["attrs"]))

    @property
    def _in_heading(self) -> bool:
        return bool(self._open) and re.fullmatch("h[1-6]", self._open[-1][0]) is not None

    def _start(self, name: str, attrs: dict[str, str]) -> None:
        inside = self.in_item or self._builder.in_html_link
        if inside and name not in _BREAKING:
            self._builder.line_break()
        else:
            self._flush()
        if name in ("tr", "table"):
            self._end_row()
        if name == "table":
            self._units.append(Unit("table", [], self.centred))
        if name in _VOID or len(self._open) >= _MAX_OPEN:
            return
        if self._open and self._open[-1][0] == name and name in _ITEMS | _CELLS | {"tr", "p"}:
            self._open.pop()  # their end tags are optional
        style = attrs.get("style", "").replace(" ", "").lower()
        heading = name[0] == "h" and name[1:].isdigit()
        centred = attrs.get("align", "").lower() == "center" or "text-align:center" in style
        # A centred heading or table cell is only styled; a centred block is a page's header.
        styled = heading or name in _CELLS or name in ("tr", "table")
        self._open.append((name, name == "center" or (centred and not styled)))

    def _close(self, name: str) -> None:
        if all(open_name != name for open_name, _ in self._open):
            return
        inside = self.in_item or self._builder.in_html_link
        if inside and name not in _BREAKING:
            self._builder.line_break()
        else:
            self._flush()
        while self._open and self._open.pop()[0] != name:
            pass
        if name in ("tr", "table"):
            self._end_row()

    def _flush(self) -> None:
        """End the text collected so far: what it is depends on the innermost tag."""
        pieces = self._builder.finish()
        line = self._builder.line
        self._builder = Builder(line)
        if not any(p.text.strip() or p.kind in ("link", "image") for p in pieces):
            return
        block = next((n for n, _ in reversed(self._open) if n in _ITEMS | _CELLS), "")
        name = self._open[-1][0] if self._open else ""
        if block in _CELLS:
            self._cells.append(pieces)
            self._row_header = block == "th"
        elif block:
            level = sum(n in _LISTS for n, _ in self._open)
            self._units.append(Unit("item", [pieces], self.centred, level))
        elif re.fullmatch("h[1-6]", name):
            self._units.append(Unit("heading", [pieces], self.centred, int(name[1])))
        else:
            self._units.append(Unit("line", [pieces], self.centred))

    def _end_row(self) -> None:
        if self._cells:
            self._units.append(Unit("row", self._cells, self.centred, header=self._row_header))
        self._cells, self._row_header = [], False
