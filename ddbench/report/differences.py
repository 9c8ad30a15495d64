"""The second table: each method minus ``random``, paired over repetitions."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from ddbench.report.cells import Cell
from ddbench.stats import Comparison, compare

Cells = Sequence[Cell | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of differences.

    Attributes:
        label: Label of the row.
        comparisons: One per shown column, None where there is nothing to compare.
        conditional: Whether its repetitions share an artifact: intervals are then too narrow for verdicts.
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


def is_twin(label: str) -> bool:
    """Whether a row is a control that was trained by another row's recipe."""
    return " (recipe of " in label


def baseline_of(label: str, labels: Container[str]) -> str:
    """Label of the ``random`` that a row is held against: the one trained by its recipe, if there is one."""
    own = f"random (recipe of {label})"
    return own if own in labels else "random"


def differences(rows: Sequence[tuple[str, Cells]], columns: int, controls: Container[str] = ()) -> Differences | None:
    """Compare every ranked cell with ``random`` of its column; None without any pair of three or more repetitions.

    Under ``native`` each row has a ``random`` of its own, trained by the row's recipe.

    Args:
        rows: Label and cells, references left out.
        columns: Cells per row.
        controls: Labels of those that are controls. Some are ``random`` by construction: each would make the family
            larger, and no method better. Nor are rows in it whose repetitions share an artifact.
    """
    by_label = dict(rows)
    twins = {label for label in by_label if is_twin(label)}
    places: list[tuple[str, int]] = []
    pairs = []
    for label, cells in rows:
        baseline = by_label.get(baseline_of(label, by_label))
        if label == "random" or label in twins or baseline is None:
            continue
        for column in range(columns):
            ours, theirs = cells[column], baseline[column]
            if ours is not None and theirs is not None and ours.ranked and theirs.ranked:
                places.append((label, column))
                pairs.append((ours.scores, theirs.scores))
    conditional = {label for label, cells in rows if any(cell.shared for cell in cells if cell is not None)}
    apart = [label in controls or label in conditional for label, _ in places]
    families = [[i for i, alone in enumerate(apart) if not alone], *([i] for i, alone in enumerate(apart) if alone)]
    compared = {i: one for those in families for i, one in zip(those, compare([pairs[i] for i in those]), strict=True)}
    found = {place: one for i, place in enumerate(places) if (one := compared[i]) is not None}
    if not found:
        return None
    shown = tuple(sorted({column for _, column in found}))
    return Differences(
        shown,
        tuple(
            Difference(
                label,
                comparisons=tuple(found.get((label, column)) for column in shown),
                conditional=label in conditional,
                control=label in controls,
            )
            for label in dict.fromkeys(label for label, _ in found)
        ),
    )
