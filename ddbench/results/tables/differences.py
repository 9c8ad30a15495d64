"""The second table: each method minus ``random``.

Where ``random`` has more repetitions than a method, all of them count. Controls, which start from its draws, and the
twins of ``random`` stay paired by repetition: that both share their draws is the point of the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ddbench.results.stats import Comparison, compare
from ddbench.results.tables.cells import Cell

Cells = Sequence[Cell | None]
Place = tuple[str, int]
"""Label of a row, and position of a column."""
Pair = tuple[Mapping[int, float], Mapping[int, float]]
"""The scores of a cell and of its baseline, by repetition."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A row, and what it is held against.

    Attributes:
        label: Label of the row.
        cells: Its cells, one per column of the main table.
        baseline: Those of its ``random``: under ``native`` each row has one of its own, trained by the row's recipe.
        control: Whether it is a control.
        paired: Whether only the repetitions count that both have.
    """

    label: str
    cells: Cells
    baseline: Cells
    control: bool
    paired: bool

    @property
    def conditional(self) -> bool:
        """Whether its repetitions share an artifact or one set."""
        return any(cell.conditional for cell in self.cells if cell is not None)


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of differences.

    Attributes:
        label: Label of the row.
        comparisons: One per shown column, None where there is nothing to compare.
        conditional: Whether its repetitions share an artifact or one set: intervals are then too narrow for verdicts.
        control: Whether it is a control.
    """

    label: str
    comparisons: tuple[Comparison | None, ...]
    conditional: bool
    control: bool = False

    @property
    def judged(self) -> bool:
        """Whether there can be verdicts on it: only then it is in the family that these are adjusted for."""
        return not self.conditional and not self.control


@dataclass(frozen=True, slots=True)
class Differences:
    """Differences to ``random`` at the same budget.

    Attributes:
        columns: Which columns of the main table have any.
        rows: Methods in the order of the main table.
    """

    columns: tuple[int, ...]
    rows: tuple[Difference, ...]

    def comparisons(self) -> list[Comparison]:
        """Those that there can be verdicts on: the family that these are adjusted for."""
        return [comparison for row in self.rows if row.judged for comparison in row.comparisons if comparison]

    def shown(self) -> list[Comparison]:
        """Those of all rows."""
        return [comparison for row in self.rows for comparison in row.comparisons if comparison]


def differences(rows: Sequence[Compared], columns: int) -> Differences | None:
    """Compare every ranked cell with its baseline; None without any pair of three or more common repetitions.

    Rows that are not judged are each a family of their own: some are ``random`` by construction, so that they would
    make the family of the others larger, and no method better.

    Args:
        rows: Rows with what each is held against, in the order of the main table.
        columns: Cells per row.
    """
    pairs = {place: pair for row in rows for place, pair in _pairs(row, columns)}
    unjudged = {row.label for row in rows if row.control or row.conditional}
    judged = [place for place in pairs if place[0] not in unjudged]
    families = [judged, *([place] for place in pairs if place[0] in unjudged)]
    found: dict[Place, Comparison] = {}
    for family in families:
        compared = zip(family, compare([pairs[place] for place in family]), strict=True)
        found |= {place: one for place, one in compared if one is not None}
    if not found:
        return None
    shown = tuple(sorted({column for _, column in found}))
    return Differences(
        shown,
        tuple(
            Difference(
                row.label, tuple(found.get((row.label, column)) for column in shown), row.conditional, row.control
            )
            for row in rows
            if any((row.label, column) in found for column in shown)
        ),
    )


def _pairs(row: Compared, columns: int) -> Iterator[tuple[Place, Pair]]:
    """The scores to compare in each column, where both sides are ranked."""
    for column in range(columns):
        ours, theirs = row.cells[column], row.baseline[column]
        if ours is not None and theirs is not None and ours.ranked and theirs.ranked:
            known = {r: top1 for r, top1 in theirs.scores.items() if r in ours.scores or not row.paired}
            yield (row.label, column), (ours.scores, known)
