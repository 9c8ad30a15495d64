"""From which size of the set on random real images are no worse than a method's: where their difference ends.

Shares are percentages of the training images, differences in points. ``random`` is what the row is held against
everywhere (:func:`ddbench.core.roles.baseline_of`), with all of its draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ddbench.core.roles import RANDOM, baseline_of
from ddbench.results.stats import minus_random
from ddbench.results.stats.crossings import Sides, crossing_interval, crossings, differences_of
from ddbench.results.stats.verdicts import LEAST_N
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.tables import BudgetColumn, Row, Table

Side = Literal["below", "inside", "above"]


@dataclass(frozen=True, slots=True)
class Share:
    """A size of sets, known as far as the budgets of a table go.

    Attributes:
        percent: Of the training images; the smallest budget where it is at most that, the largest where it is above.
        side: Whether it lies below the budgets, inside or above them.
    """

    percent: float
    side: Side = "inside"


@dataclass(frozen=True, slots=True)
class Gap:
    """Row minus random at one budget.

    Attributes:
        budget: Label of the budget.
        share: Its size [% of the training images].
        difference: Of the means [points].
        half_width: Half of its plain 95 % interval; None for fewer than three common repetitions.
        n: Repetitions of the row that random has, too.
        draws: Of random.
    """

    budget: str
    share: float
    difference: float
    half_width: float | None
    n: int
    draws: int


@dataclass(frozen=True, slots=True)
class Crossing:
    """From which size on random is no worse than one row.

    Attributes:
        row: Label of the row.
        source: ``measured``.
        n: Repetitions that row and random have at every budget with a result.
        draws: Fewest draws of random at these; 0 without any.
        at: The smallest share from which on random is not worse at any larger budget; None where a budget lacks a
            complete result.
        low: Lower end of its 95 % interval; None below three repetitions, or without ``at``.
        high: Upper end.
        why: Why there is none; empty otherwise.
        conditional: What its repetitions share, so that the interval does not show what another would give.
        as_run: Whether what is said of it is about these runs alone (:attr:`ddbench.core.records.Record.as_run`).
        gaps: The differences behind it, by size.
    """

    row: str
    source: str
    n: int
    draws: int
    at: Share | None
    low: Share | None
    high: Share | None
    why: str
    conditional: tuple[str, ...]
    as_run: bool
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A budget of the grid: its position among the columns, its label, and its size [% of the training images]."""

    index: int
    label: str
    share: float


def grid_of(table: Table) -> list[Place]:
    """The budgets whose size is known and at which random was run, by size: elsewhere there is nothing to compare."""
    random = [row for row in table.rows if row.method == RANDOM and row.role.kind in ("reference", "twin")]
    cells = [[row.cells[i] for row in random] for i in range(len(table.columns))]
    found = [
        Place(i, column.budget.label, share)
        for i, column in enumerate(table.columns)
        if (share := _share(column)) is not None and any(cell and cell.status != "skipped" for cell in cells[i])
    ]
    return sorted(found, key=lambda place: place.share)


def crossings_of(table: Table) -> list[Crossing]:
    """One for each method of a table, in its order; none without two budgets, or where nothing has a random."""
    grid = grid_of(table)
    rows = [(row, baseline_of(row, table.rows)) for row in table.rows if row.competes]
    if len(grid) < 2 or not any(random for _, random in rows):
        return []
    return [_crossing(row, random, grid) for row, random in rows]


def _share(column: BudgetColumn) -> float | None:
    fraction = column.budget.fraction
    return column.share if fraction is None else 100 * fraction


def _crossing(row: Row, random: Row | None, grid: Sequence[Place]) -> Crossing:
    cells = [cell for cell in row.cells if cell is not None]
    sides = {
        place: _sides(row.cells[place.index], None if random is None else random.cells[place.index]) for place in grid
    }
    known = {place: found for place, found in sides.items() if found is not None}
    why = _lacks(row, random, grid, known)
    shared = sorted(set.intersection(*(own.keys() & other.keys() for own, other in known.values()))) if known else []
    at = low = high = None
    if not why:
        shares = [place.share for place in grid]
        budgets = [known[place] for place in grid]
        at = _within(float(crossings(shares, differences_of(budgets))), shares)
        if len(shared) >= LEAST_N:
            low, high = (_within(end, shares) for end in crossing_interval(shares, budgets))
    return Crossing(
        row=row.label,
        source=row.source,
        n=len(shared),
        draws=min((len(other) for _, other in known.values()), default=0),
        at=at,
        low=low,
        high=high,
        why=why,
        conditional=tuple(sorted({name for cell in cells for name in cell.conditional})),
        as_run=any(cell.as_run for cell in cells),
        gaps=tuple(_gap(place, found) for place, found in known.items()),
    )


def _sides(cell: Cell | None, random: Cell | None) -> Sides | None:
    """What the table of differences to random compares at a budget; None where either is not complete."""
    if cell is None or random is None or not (cell.ranked and random.ranked):
        return None
    common = cell.scores.keys() & random.scores.keys()
    own = {r: top1 for r, top1 in cell.scores.items() if r in common}
    other = {r: top1 for r, top1 in random.scores.items() if r in common or len(common) > 1}
    return (own, other) if common else None


def _lacks(row: Row, random: Row | None, grid: Sequence[Place], known: dict[Place, Sides]) -> str:
    """What is missing for the row's crossing."""
    if random is None:
        return "random was not measured"

    def without(of: Row) -> list[str]:
        return [place.label for place in grid if not ((cell := of.cells[place.index]) and cell.ranked and cell.scores)]

    own, theirs = without(row), without(random)
    left = [place.label for place in grid if place not in known and place.label not in (*own, *theirs)]
    parts = [f"no complete result at {', '.join(own)}"] if own else []
    parts += [f"none of random at {', '.join(theirs)}"] if theirs else []
    parts += [f"no repetition in common with random at {', '.join(left)}"] if left else []
    return "; ".join(parts)


def _within(share: float, shares: Sequence[float]) -> Share:
    if share == 0:
        return Share(shares[0], "below")
    return Share(shares[-1], "above") if np.isinf(share) else Share(share)


def _gap(place: Place, sides: Sides) -> Gap:
    own, other = sides
    found = minus_random(own, other)
    half = None if found is None else (found.paired.high - found.paired.low) / 2
    return Gap(place.label, place.share, float(differences_of([sides])[0]), half, len(own), len(other))
