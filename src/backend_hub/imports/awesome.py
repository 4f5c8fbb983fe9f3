"""Parse an awesome-style Markdown list into topics (heading paths) and link resources.

What becomes an item: every list item, table row and linked heading with an http(s) link, and a line
of a paragraph or of raw HTML that is written like one (the link first, then a dash or a colon, or
several lines that are nothing but a link). Raw HTML in a centred header, or anything but a list or
a table before the first section heading, is not. Whatever else looked like a link is in `skipped`,
once a link, with its line and the reason. The rules for one item are in `awesome_items`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend_hub.imports.awesome_blocks import Block, join_wrapped, split_lines, tree
from backend_hub.imports.awesome_html import HtmlReader, Unit
from backend_hub.imports.awesome_inline import MARKDOWN, Piece, plain, render
from backend_hub.imports.awesome_items import (
    MAX_DESCRIPTION,
    NO_LINK,
    Reading,
    clean_title,
    has_words,
    link_problem,
    read_item,
    starts_with_link,
    unlink,
)
from backend_hub.imports.awesome_report import Report, Skipped, prepare, report_lost
from backend_hub.imports.awesome_tables import read_row

_CONTENTS = frozenset(
    [
        "contents",
        "table of contents",
        "table of content",
        "list of contents",
        "toc",
        "index",
        "目录",
        "目次",
    ]
)


BANNER = "HTML header or banner"
_AFTER_LINK = ("", "-", "–", "—", ":")  # what follows the link of a line written like an item


@dataclass(frozen=True, slots=True)
class Item:
    title: str
    url: str
    description: str  # inline Markdown
    path: tuple[str, ...]  # headings below the list's title, then group items
    line: int
    parent: str | None  # title of the item it is nested in
    extra_links: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AwesomeList:
    title: str
    description: str
    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...]


def parse(text: str, *, name: str = "") -> AwesomeList:
    """Parse a list; the title is its first H1, else `name`. Never fails, whatever the text."""
    walk = _Walk()
    lines = prepare(text, walk.report)
    env: dict[str, Any] = {}
    tokens = MARKDOWN.parse("\n".join(lines), env)
    report_lost(tokens, env, lines, walk.report)
    walk.blocks(tree(tokens), _Place())
    title = walk.title or walk.title_alt or name
    skipped = sorted(walk.report.skipped, key=lambda s: s.line)
    return AwesomeList(title, walk.description, tuple(walk.items), tuple(skipped))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a list a block stands."""

    groups: tuple[str, ...] = ()
    parent: str | None = None
    nested: bool = False


class _Walk:
    """Walks the blocks of a document, collecting items and what was skipped."""

    def __init__(self) -> None:
        self.title = self.title_alt = self.description = ""
        self.items: list[Item] = []
        self.report = Report()
        self._headings: list[tuple[int, str]] = []
        self._started = False  # past the first section heading
        self._html = HtmlReader()

    # --- headings

    @property
    def _in_contents(self) -> bool:
        name = self._headings[-1][1] if self._headings else ""
        return name.lower().strip(" :") in _CONTENTS

    def _path(self) -> tuple[str, ...]:
        return tuple(name for _, name in self._headings if name.lower() not in _CONTENTS)

    def heading(self, level: int, pieces: list[Piece]) -> None:
        """Enter a section; the first H1 names the list. A link in a section heading is an item."""
        kept = [p for p in pieces if p.kind != "link" or link_problem(p.url) is None]
        name = clean_title(plain(kept)) if has_words(plain(kept)) else clean_title(plain(pieces))
        if level == 1 and not self.title and name.lower() not in _CONTENTS:
            self.title = name if has_words(name) else ""
            self.title_alt = self.title_alt or " ".join(p.alt for p in pieces if p.alt)[:200]
            self.report.links(pieces, "link in the title")
            self.description = ""  # what stood above the title
            self._headings = [h for h in self._headings if h[0] < 1]
            return
        if has_words(name):
            self._started = True
            self._headings = [h for h in self._headings if h[0] < level] + [(level, name)]
        self._add(read_item(pieces), _Place())

    # --- blocks

    def blocks(self, blocks: Sequence[Block], place: _Place) -> None:
        for block in blocks:
            kind = block.token.type
            if kind == "heading_open":
                if place.nested:
                    self.report.links(block.pieces(), "link in prose")
                else:
                    self._html.close_all()
                    self.heading(int(block.token.tag[1]), block.pieces())
            elif kind in ("bullet_list_open", "ordered_list_open"):
                for item in block.children:
                    self._list_item(item, place)
            elif kind == "paragraph_open":
                self._paragraph(block.pieces(), place)
            elif kind == "table_open":
                self._table(block, place)
            elif kind == "html_block":
                self._html_units(self._read_html(block), place)
            elif kind in ("fence", "code_block"):
                for offset, line in enumerate(block.token.content.split("\n")):
                    number = block.line + offset + (kind == "fence")
                    self.report.source(number, line, "link in code")
            elif kind == "blockquote_open":
                inner = _Place(place.groups, place.parent, nested=True)
                self.blocks(block.children, inner)

    def _list_item(self, item: Block, place: _Place) -> None:
        own: list[Piece] = []
        nested: list[Block] = []
        units: list[Unit] = []
        self._gather(item.children, own, nested, units)
        reading = read_item(own)
        self._add(reading, place)
        inner = _inside(reading, place)
        self.blocks(nested, inner)
        self._html_units(units, inner)
        empty = own and not (reading.entries or reading.dropped or nested or units)
        if empty and not self._in_contents:
            self.report.add(item.line, render(own), NO_LINK)

    def _gather(
        self,
        blocks: Sequence[Block],
        own: list[Piece],
        nested: list[Block],
        units: list[Unit],
    ) -> None:
        """Sort an item's blocks: its own text, and the lists, tables and code below it."""
        for block in blocks:
            pieces: list[Piece] = []
            if block.token.type in ("paragraph_open", "heading_open"):
                pieces = block.pieces()
            elif block.token.type == "html_block":
                for unit in self._read_html(block):
                    if unit.kind in ("line", "heading"):
                        pieces += unit.cells[0]
                    else:
                        units.append(unit)
            elif block.token.type == "blockquote_open":
                self._gather(block.children, own, nested, units)
            else:
                nested.append(block)
            if own and pieces:
                own.append(Piece("break", " ", " ", pieces[0].line))
            own.extend(pieces)

    def _paragraph(self, pieces: list[Piece], place: _Place) -> None:
        header = self._html.centred and not self._started
        if self._html.in_item and not header and not place.nested:
            self._add(read_item(pieces), place)
            return
        if not self._started and not self.description and not header:
            text = [p for p in unlink(pieces)[0] if p.kind != "link" or p.text]
            if has_words(plain(p for p in text if p.kind != "link")):
                self.description = render(text)[:MAX_DESCRIPTION]
        self._lines(split_lines(pieces), place)

    def _lines(self, lines: Sequence[list[Piece]], place: _Place) -> None:
        """Lines of prose, or items where most of them are written like items."""
        lines = join_wrapped(lines)
        rests = [starts_with_link(line) for line in lines]
        like = [rest for rest in rests if rest is not None and rest[:1] in _AFTER_LINK]
        is_list = self._started and 2 * len(like) > len(lines) and (len(lines) > 1 or like != [""])
        for line, rest in zip(lines, rests, strict=True):
            if is_list and rest is not None:
                self._add(read_item(line), place)
            else:
                self.report.links(line, "link in prose")

    def _table(self, table: Block, place: _Place) -> None:
        headers: list[str] = []
        for section in table.children:
            for row in section.children:
                cells = [cell.pieces() for cell in row.children]
                if section.token.type == "thead_open":
                    headers = self._header(cells, place)
                else:
                    self._add(read_row(cells, headers), place)

    def _header(self, cells: list[list[Piece]], place: _Place) -> list[str]:
        """Names of the columns; a header that holds links is the first row of a grid."""
        if any(p.kind == "link" and p.text for cell in cells for p in cell):
            self._add(read_row(cells, []), place)
            return []
        for cell in cells:
            self.report.links(cell, "link in prose")
        return [plain(cell) for cell in cells]

    # --- raw HTML

    def _read_html(self, block: Block) -> list[Unit]:
        units = self._html.read(block.token.content, block.line)
        for line, text in self._html.comments:
            self.report.source(line, text, "HTML comment")
        self._html.comments.clear()
        return units

    def _html_units(self, units: Sequence[Unit], place: _Place) -> None:
        headers: list[str] = []
        lines: list[list[Piece]] = []
        places: list[tuple[int, _Place]] = []  # of the HTML list items a unit is nested in
        for unit in units:
            if lines and unit.kind != "line":
                self._lines(lines, place)
                lines = []
            title = unit.kind == "heading" and unit.level == 1 and not self.title
            if unit.kind == "table":
                headers = []
            elif unit.kind == "heading" and (title or not unit.centred) and not place.nested:
                self.heading(unit.level, unit.cells[0])
            elif unit.centred or (unit.kind in ("line", "heading") and not self._started):
                for cell in unit.cells:
                    self.report.links(cell, BANNER)
            elif unit.kind == "row" and unit.header:
                headers = self._header(unit.cells, place)
            elif unit.kind == "row":
                self._add(read_row(unit.cells, headers), place)
            elif unit.kind == "item":
                places = [(level, p) for level, p in places if level < unit.level]
                outer = places[-1][1] if places else place
                reading = read_item(unit.cells[0])
                self._add(reading, outer)
                places.append((unit.level, _inside(reading, outer)))
            else:
                lines.append(unit.cells[0])
        if lines:
            self._lines(lines, place)

    # --- results

    def _add(self, reading: Reading, place: _Place) -> None:
        contents = "contents section" if self._in_contents else None
        for link, reason in reading.dropped:
            self.report.link(link.line, link.text or link.alt, link.url, contents or reason)
        path = (*self._path(), *place.groups)
        for title, url, description, line, extra in reading.entries:
            if contents:
                for label, target in ((title, url), *extra):
                    self.report.link(line, label, target, contents)
            else:
                self.items.append(Item(title, url, description, path, line, place.parent, extra))


def _inside(reading: Reading, place: _Place) -> _Place:
    """The place of what is nested in an item: below its link, or in the group it names."""
    if reading.entries:
        return _Place(place.groups, reading.entries[0].title, nested=True)
    if has_words(reading.name):
        return _Place((*place.groups, reading.name), place.parent, nested=True)
    return _Place(place.groups, place.parent, nested=True)
