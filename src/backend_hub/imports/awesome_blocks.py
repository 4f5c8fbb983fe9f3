"""Blocks of a Markdown document as a tree, and the lines of a paragraph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markdown_it.token import Token

from backend_hub.imports.awesome_inline import Piece, flatten

_SPACE = Piece("break", " ", " ", 0)


@dataclass(slots=True)
class Block:
    token: Token
    children: list[Block] = field(default_factory=list)

    @property
    def line(self) -> int:
        return self.token.map[0] + 1 if self.token.map else 0

    def pieces(self) -> list[Piece]:
        """Inline content of a paragraph, a heading or a table cell."""
        return [
            piece
            for child in self.children
            if child.token.type == "inline"
            for piece in flatten(child.token.children or (), child.line)
        ]


def tree(tokens: Sequence[Token]) -> list[Block]:
    stack: list[list[Block]] = [[]]
    for token in tokens:
        if token.nesting < 0:
            stack.pop()
            continue
        block = Block(token)
        stack[-1].append(block)
        if token.nesting > 0:
            stack.append(block.children)
    return stack[0]


def join_wrapped(lines: Sequence[list[Piece]]) -> list[list[Piece]]:
    """Lines without a link belong to the line above."""
    joined: list[list[Piece]] = []
    for line in lines:
        if joined and not any(p.kind == "link" for p in line):
            joined[-1] += [_SPACE, *line]
        else:
            joined.append([*line])
    return joined


def split_lines(pieces: Sequence[Piece]) -> list[list[Piece]]:
    lines: list[list[Piece]] = [[]]
    for piece in pieces:
        if piece.kind == "break":
            lines.append([])
        else:
            lines[-1].append(piece)
    return [line for line in lines if line]
