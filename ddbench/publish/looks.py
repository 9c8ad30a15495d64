"""Looks: the colour and the shape of every row, one table for page and plots. No torch, no matplotlib."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ddbench.core.roles import RANDOM, Role
from ddbench.results.tables.tables import Table

COLOURS = (
    ("#2563b8", "#6fa8f0"), ("#c2570c", "#f09a5a"), ("#1d8048", "#58c488"), ("#b0307f", "#ef85c0"),
    ("#6b4bc4", "#ae97f5"), ("#0b7f8c", "#4cc3cf"), ("#8a5a2b", "#c99b66"), ("#b8292f", "#f48a8a"),
)  # fmt: skip
"""Colours of rows, each on light and on dark ground."""
GREY = ("#6b7280", "#9aa3b2")
"""That of real images at random, which all others are held against; likewise."""
MARKERS = {"circle": "o", "square": "s", "diamond": "D", "up": "^", "down": "v", "cross": "P"}
"""Shapes of marks, as the page calls them, and matplotlib's markers of these shapes."""
SHAPES = tuple(MARKERS)


@dataclass(frozen=True, slots=True)
class Look:
    """How a row is told from the others: colour and shape, so that colour alone never decides.

    Attributes:
        colour: Number of its colour; −1 for what others are held against (grey).
        shape: One of ``SHAPES``.
        hollow: Whether its marks are not filled: real images, or a method's start.
    """

    colour: int
    shape: str
    hollow: bool

    @property
    def ink(self) -> str:
        """Its colour on white, ``#2563b8``."""
        return (GREY if self.colour < 0 else COLOURS[self.colour])[0]

    @property
    def marker(self) -> str:
        """Its shape as matplotlib's marker."""
        return MARKERS[self.shape]

    @property
    def style(self) -> dict[str, Any]:
        """Keyword arguments of matplotlib's ``plot``: what is hollow is dotted as well."""
        return {
            "color": self.ink, "marker": self.marker, "linestyle": ":" if self.hollow else "-", "markersize": 5,
            "linewidth": 1.3, "markerfacecolor": "white" if self.hollow else self.ink,
        }  # fmt: skip


class Drawn(NamedTuple):
    """A row that is drawn.

    Attributes:
        label: What it is called wherever people read it.
        method: Name of its method.
        kind: Kind of its method.
        role: What it is.
    """

    label: str
    method: str
    kind: str
    role: Role


def drawn(tables: Iterable[Table]) -> list[Drawn]:
    """The rows of tables, in their order; not those that span all budgets, which are levels and not series."""
    rows = (row for table in tables for row in table.rows if not row.spans)
    return [Drawn(row.shown_label, row.method, row.kind, row.role) for row in rows]


def looks(rows: Iterable[Drawn]) -> dict[str, Look]:
    """A look for each label, by order of appearance; real images are hollow, and grey where they are random ones.

    A start looks like its method, but hollow: it is where that method begins.
    """
    known = {row.label: row for row in rows}
    found: dict[str, Look] = {}
    number = 0
    for row in sorted(known.values(), key=lambda row: row.role.kind == "start"):  # methods before starts
        base = found.get(row.role.of[0]) if row.role.kind == "start" else None
        if base is not None:
            found[row.label] = replace(base, hollow=True)
        elif row.method == RANDOM and (row.role.buys or row.role.kind in ("reference", "twin")):
            found[row.label] = Look(-1, SHAPES[sum(look.colour < 0 for look in found.values()) % len(SHAPES)], True)
        else:
            found[row.label] = Look(number % len(COLOURS), SHAPES[number % len(SHAPES)], row.kind == "selection")
            number += 1
    return found


def palette(per_line: int = 3) -> str:
    """The colours as custom properties of CSS, ``--s-1: light-dark(…, …); --s0: …``, the grey first."""
    colours = [f"--s{i}: light-dark({', '.join(pair)});" for i, pair in enumerate((GREY, *COLOURS), -1)]
    return "\n".join("  " + " ".join(colours[i : i + per_line]) for i in range(0, len(colours), per_line))
