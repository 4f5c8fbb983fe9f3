"""Rows of tables, Markdown or HTML, as resources.

A row is one item, titled by its first http(s) link that carries text; where that label says nothing
("Link", a URL, a column of links) the first plain cell is the title. The other cells make up the
description. A table without headers whose cells are all links is a grid: an item a cell.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend_hub.imports.awesome_inline import Piece, plain, render
from backend_hub.imports.awesome_items import (
    BADGE,
    NO_TEXT,
    Reading,
    clean_title,
    has_words,
    label_weight,
    link_problem,
    links_of,
    read_item,
    starts_with_link,
    tidy,
    unlink,
)

_DESCRIPTION_HEADERS = frozenset(
    ["", "description", "desc", "about", "summary", "notes", "note", "details", "comment", "info"]
)
_LINK_HEADERS = frozenset(["link", "links", "url", "address", "github", "repo", "repository"])


def _is_grid(cells: Sequence[Sequence[Piece]], headers: Sequence[str]) -> bool:
    """A table used for layout: no headers, and every filled cell is one link."""
    filled = [cell for cell in cells if plain(cell) or any(p.kind == "link" for p in cell)]
    return (
        not any(headers)
        and len(filled) > 1
        and all(sum(p.kind == "link" and p.text != "" for p in cell) == 1 for cell in filled)
    )


def _main_cell(cells: Sequence[Sequence[Piece]]) -> int | None:
    """The cell of the resource: best one that starts with its link, at least one with a link."""
    best: tuple[int, int] | None = None
    for index, cell in enumerate(cells):
        usable = [p for p in cell if p.kind == "link" and link_problem(p.url) is None]
        worded = any(has_words(p.text) for p in usable)
        rank = 0 if starts_with_link(cell) is not None else 1 if worded else 2
        if usable and (best is None or rank < best[0]):
            best = (rank, index)
    return best[1] if best else None


def _plain_cell(cells: Sequence[Sequence[Piece]], main: int, weight: int) -> int | None:
    """The cell that names the row: the first with words and no link, before the link if it can."""
    for index, cell in enumerate(cells if weight == 2 else cells[:main]):
        if has_words(plain(cell)) and not any(p.kind == "link" for p in cell):
            return index
    return None


def _cell_text(header: str, pieces: Sequence[Piece]) -> str:
    md = render(pieces)
    if not has_words(plain(pieces)):
        return ""
    return md if header.lower() in _DESCRIPTION_HEADERS else f"{header}: {md}"


def _shows_address(label: str, url: str) -> bool:
    """A label such as example.com/x that repeats a part of the URL."""
    key = label.lower().removeprefix("www.").rstrip("/")
    return " " not in key and ("." in key or "/" in key) and key in url.lower()


def _name_cell(
    cells: Sequence[Sequence[Piece]], headers: Sequence[str], main: int, title: str, url: str
) -> int | None:
    """The cell to take the title from where the link's label says nothing."""
    weight = label_weight(title)
    if weight or headers[main].lower() in _LINK_HEADERS or _shows_address(title, url):
        return _plain_cell(cells, main, weight)
    return None


def _other_cell(pieces: Sequence[Piece]) -> tuple[list[Piece], list[tuple[Piece, str]]]:
    kept, dropped = unlink(pieces)
    dropped += [(p, BADGE if p.image else NO_TEXT) for p in kept if p.kind == "link" and not p.text]
    return [p for p in kept if p.kind != "link" or p.text], dropped


def _joined(cells: Sequence[Sequence[Piece]]) -> list[Piece]:
    pieces: list[Piece] = []
    for cell in cells:
        if cell:
            pieces += [Piece("text", " - ", " - ", cell[0].line)] if pieces else []
            pieces += cell
    return pieces


def read_row(cells: Sequence[Sequence[Piece]], headers: Sequence[str]) -> Reading:
    """The resources of a table row: one, or one a cell where the table is a grid of links."""
    headers = [*headers, *[""] * (len(cells) - len(headers))]
    main = _main_cell(cells)
    if main is None or _is_grid(cells, headers):
        readings = [read_item(cell) for cell in cells]
        entries = [entry for reading in readings for entry in reading.entries]
        return Reading(entries, [drop for r in readings for drop in r.dropped], "")
    own = read_item(cells[main])
    if not own.entries:  # an image link: its row may still name it
        return read_item(_joined(cells))
    first, dropped = own.entries[0], list(own.dropped)
    name = _name_cell(cells, headers, main, first.title, first.url)
    title = first.title if name is None else clean_title(plain(cells[name]))
    parts, extras = [first.description], list(first.extra_links)
    for index, cell in enumerate(cells):
        if index not in (main, name):
            kept, bad = _other_cell(cell)
            dropped += bad
            parts.append(_cell_text(headers[index], kept))
            extras += links_of(kept)
    description = tidy(" · ".join(part for part in parts if part))
    rest = [e._replace(description=description, extra_links=tuple(extras)) for e in own.entries]
    return Reading([rest[0]._replace(title=title), *rest[1:]], dropped, "")
