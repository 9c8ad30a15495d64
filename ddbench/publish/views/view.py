"""What a derived table is made of: columns, rows, and the words around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ddbench.publish.views.columns import Column, for_people, values
from ddbench.results.stats import smallest_n

Grid = list[list[str]]
CONTROLS = "controls:"
"""The line above the rows that are no method's own result."""


@dataclass(frozen=True, slots=True)
class View:
    """A table with the words around it.

    Attributes:
        name: Which view; several may have the same name, one per main table or group of them.
        caption: What its numbers are.
        notes: How to read it, a line each; why it is empty if it is.
        columns: What each row says, the label of the row first.
        rows: What the columns are of; empty when there is nothing to show.
        facts: What programs read besides: ``lines`` where these are not the rows.
        controls: Labels of rows that stand apart, below the others.
    """

    name: str
    caption: str
    notes: list[str]
    columns: Sequence[Column[Any]] = ()
    rows: Sequence[Any] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    controls: frozenset[str] = frozenset()

    @property
    def apart(self) -> int:
        """At which row the controls begin, if all others stand before them; else behind the last row."""
        of_control = [self.columns[0].value(row) in self.controls for row in self.rows] if self.columns else []
        first = of_control.index(True) if True in of_control else 0
        return first if first and all(of_control[first:]) else len(self.rows)

    @property
    def shown(self) -> list[Column[Any]]:
        """The columns that people see."""
        return for_people(self.columns, self.rows)

    @property
    def grid(self) -> Grid:
        """Header and rows of text; empty when there is nothing to show."""
        shown = self.shown if self.rows else []
        lines = [[column.text(row) for column in shown] for row in self.rows]
        if self.apart < len(lines):
            lines.insert(self.apart, [CONTROLS, *[""] * (len(shown) - 1)])
        return [[column.header for column in shown], *lines] if lines else []

    @property
    def width(self) -> int:
        """Characters of a line of the grid as text."""
        return sum(max(map(len, texts)) + 3 for texts in zip(*self.grid, strict=True)) + 1

    @property
    def document(self) -> dict[str, Any]:
        """The view for programs: full precision, no text made for people but captions and notes."""
        lines = [values(self.columns, row) for row in self.rows]
        return {"view": self.name, "caption": self.caption, "notes": self.notes, "lines": lines, **self.facts}


def caution(repetitions: Iterable[int]) -> list[str]:
    """What too few repetitions cannot show."""
    few = min((n for n in repetitions if n), default=smallest_n(1)) < smallest_n(1)
    return [f"n < {smallest_n(1)}: no significance claimed"] if few else []


def empty_view(name: str, caption: str, why: str) -> View:
    """A view without rows, and why."""
    return View(name, caption, [f"nothing to show: {why}"])
