"""What an awesome list's parser leaves out, and the lines it never sees."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it.token import Token

from backend_hub.imports.awesome_inline import MAX_NESTING, Piece
from backend_hub.imports.awesome_items import BADGE, NO_TEXT, link_problem

MAX_LINE = 20_000
_LOOKS_LIKE_LINK = re.compile(r"https?://|\]\(|<a\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Skipped:
    line: int
    text: str
    reason: str


class Report:
    """Collects what was skipped."""

    def __init__(self) -> None:
        self.skipped: list[Skipped] = []

    def add(self, line: int, text: str, reason: str) -> None:
        self.skipped.append(Skipped(line, " ".join(text[:1000].split())[:200], reason))

    def source(self, line: int, text: str, reason: str) -> None:
        """A source line, if anything in it looks like a link."""
        if _LOOKS_LIKE_LINK.search(text):
            self.add(line, text, reason)

    def link(self, line: int, label: str, url: str, reason: str) -> None:
        self.add(line, f"[{label[:80]}]({url})", reason)

    def links(self, pieces: Iterable[Piece], reason: str) -> None:
        """Every link of a passage that holds no resources."""
        for piece in pieces:
            if piece.kind == "link":
                kind = BADGE if piece.image else None if piece.text else NO_TEXT
                why = kind or link_problem(piece.url) or reason
                self.link(piece.line, piece.text or piece.alt, piece.url, why)


def _front_matter_end(lines: Sequence[str]) -> int:
    """Number of lines of YAML (---) or TOML (+++) at the top."""
    fence = lines[0].rstrip()
    if fence not in ("---", "+++"):
        return 0
    for index, line in enumerate(lines[1:300], start=1):
        if line.rstrip() in (fence, "..."):
            has_keys = any(re.match(r"[\w-]+\s*[:=]", inner) for inner in lines[1:index])
            return index + 1 if has_keys else 0
    return 0


def prepare(text: str, report: Report) -> list[str]:
    """The lines to parse; those left out are blank, so that line numbers stay."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.replace("\0", "\ufffd").split("\n")
    for index in range(_front_matter_end(lines)):
        report.source(index + 1, lines[index], "front matter")
        lines[index] = ""
    for index, line in enumerate(lines):
        if len(line) > MAX_LINE:
            report.add(index + 1, line, "line too long")
            lines[index] = ""
    return lines


def report_lost(
    tokens: Sequence[Token], env: Mapping[str, Any], lines: Sequence[str], report: Report
) -> None:
    """What the Markdown parser itself leaves out: unused references and too deep nesting."""
    seen = {
        child.attrs.get("href") or child.attrs.get("src")
        for token in tokens
        for child in token.children or ()
    }
    references = [*env.get("references", {}).values(), *env.get("duplicate_refs", [])]
    for reference in references:
        if reference["href"] not in seen and not link_problem(reference["href"]):
            number = reference["map"][0]
            report.add(number + 1, lines[number], "unused reference")
    for token in tokens:
        if token.nesting > 0 and token.level >= MAX_NESTING - 1 and token.map:
            for number in range(*token.map):
                report.source(number + 1, lines[number], "nested too deeply")
