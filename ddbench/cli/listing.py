"""Lists for stdout: grids of what there is, no wider than the terminal that they are read in."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from ddbench.cli.screen import screen

LEAST = 24
"""Characters of a column below which its cells stand below their rows."""
GAP = 2


def listing(rows: Sequence[Mapping[str, Any]], look: str = "simple", limits: Sequence[int | None] = ()) -> str:
    """Rows with equal keys as a grid; a terminal that is narrower gets its widest column broken, or below the rows.

    Args:
        rows: Column → cell.
        look: ``simple``, with a rule below the names of columns, or ``plain``.
        limits: The most characters of columns, also where no terminal is; none: any number.
    """
    from tabulate import tabulate

    names = list(rows[0]) if rows else []
    most = dict(zip(names, limits or repeat(None), strict=False))
    columns = {name: [_broken(row[name], most[name]) for row in rows] for name in names}
    below = set[str]()
    width = screen().width
    while width is not None and (rest := width + GAP - sum(_wide(*one) + GAP for one in columns.items())) < 0:
        if len(columns) == 1:
            break
        name = max([*columns][1:], key=lambda name: _wide(name, columns[name]))
        if (room := rest + _wide(name, columns[name])) >= LEAST:
            columns[name] = [_broken(cell, room) for cell in columns[name]]
            break
        columns.pop(name)
        below.add(name)
    lines = iter(tabulate(columns, headers="keys", tablefmt=look).split("\n"))
    if not below or width is None:
        return "\n".join(lines)
    left = [name for name in names if name in below]
    found = [next(lines), *_below(left, width), *([next(lines)] if look == "simple" else [])]
    for i, row in enumerate(rows):
        found += [next(lines) for _ in range(max(str(cells[i]).count("\n") + 1 for cells in columns.values()))]
        found += _below([row[name] for name in left], width)
    return "\n".join(found)


def _wide(name: str, cells: Sequence[Any]) -> int:
    """Characters of a column: tabulate gives names of columns two more."""
    return max(len(name) + GAP, *(len(line) for cell in cells for line in str(cell).split("\n")))


def _broken(cell: Any, width: int | None) -> Any:
    """A text in lines of so many characters, where words allow that; what fits stays what it is."""
    if width is None or _wide("", [cell]) <= width:
        return cell
    return textwrap.fill(str(cell), width, break_long_words=False, break_on_hyphens=False)


def _below(cells: Sequence[Any], width: int) -> Iterator[str]:
    for text in filter(None, map(str, cells)):
        yield from textwrap.indent(_broken(text, width - GAP), " " * GAP).split("\n")
