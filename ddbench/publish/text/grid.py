"""Rows of text → a pipe table. Written out, because pages in the repository are compared byte by byte.

A new release of a layout library must not make them differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from ddbench.publish.text.escape import escaped_cell

Lines = list[str]


def markdown_grid(rows: Sequence[Lines]) -> Lines:
    """Rows as a table of a markdown page, the first column left-aligned; none for no rows."""
    return _lines([[escaped_cell(text) for text in row] for row in rows], ":")


def plain_grid(rows: Sequence[Lines]) -> Lines:
    """The same as text for a terminal."""
    return _lines(rows, "-")


def widths(rows: Sequence[Lines]) -> list[int]:
    """Characters of each column, without the bars and blanks between columns."""
    return [max(3, *map(len, column)) for column in zip(*rows, strict=True)]


def _lines(rows: Sequence[Lines], right: str) -> Lines:
    if not rows:
        return []
    wide = widths(rows)

    def line(row: Lines) -> str:
        first, *rest = zip(row, wide, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]) + " |"

    rule = "|" + "|".join(["-" * (wide[0] + 2), *("-" * (width + 1) + right for width in wide[1:])]) + "|"
    return [line(rows[0]), rule, *map(line, rows[1:])]
