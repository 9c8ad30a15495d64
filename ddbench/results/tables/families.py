"""The family of a column: which of its rows verdicts are about, and what these leave open.

It is all pairs of the column's methods. Real images at random, controls, starts, twins, references and imported sets
are outside, as are rows whose repetitions share an artifact or one set: their spread does not show what another one
would give, so no significance is claimed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from ddbench.results.stats import Comparison, Family, Verdict, family
from ddbench.results.tables.cells import Cell


class Pair(NamedTuple):
    """Two rows of a family.

    Attributes:
        row: The one with the higher mean difference, of equal ones the first.
        versus: The other.
        comparison: Of the two in the family's order; None below three common repetitions.
        forward: Whether ``row`` is the first of that order.
    """

    row: str
    versus: str
    comparison: Comparison | None
    forward: bool

    @property
    def verdict(self) -> Verdict:
        """About ``row``: never worse."""
        if self.comparison is None:
            return "undecided"
        return "better" if self.comparison.verdict == "worse" else self.comparison.verdict

    @property
    def wanted(self) -> int | None:
        """Fewest repetitions that would decide it at the measured spread; None where decided, or more than 100."""
        need = None if self.comparison is None else self.comparison.need
        return None if need is None else min((n for n in (need.separate, need.equivalent) if n), default=None)

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """Difference ``row`` − ``versus`` [points] with the ends of its plain 95 % interval."""
        if self.comparison is None:
            return None
        found = self.comparison.paired
        ends = found.difference, found.low, found.high
        return ends if self.forward else (-found.difference, -found.high, -found.low)


@dataclass(frozen=True, slots=True)
class ColumnFamily:
    """Verdicts on the methods of one column.

    Attributes:
        family: All pairs of the rows that can be judged.
        rows: Those rows, the highest mean over their common repetitions first.
        n: Repetitions that all of them have.
        as_run: Rows of which a claim is one about these runs alone (:attr:`ddbench.core.records.Record.as_run`).
        conditional: Row that can not → names of the artifacts that its repetitions share, ``set`` for the set itself.
    """

    family: Family
    rows: tuple[str, ...]
    n: int
    conditional: Mapping[str, tuple[str, ...]]
    as_run: frozenset[str] = frozenset()

    def named(self, row: str) -> str:
        """The row in a claim: ``mtt (as run)`` where it is about these runs alone."""
        return f"{row} (as run)" if row in self.as_run else row

    @property
    def enough(self) -> bool:
        """Whether some pair has as many repetitions as the family needs."""
        needed = self.family.needed
        return any(one is not None and one.paired.n >= needed for one in self.family.pairs.values())

    def needed_of(self, row: str) -> int | None:
        """Fewest repetitions with which the pairs can be decided; None of a row that is in none."""
        return self.family.needed if self.family.pairs and row in self.rows else None

    def pairs(self) -> list[Pair]:
        """All pairs, those of the best row first."""
        place = {row: i for i, row in enumerate(self.rows)}
        found = [_turned(a, b, one, place) for (a, b), one in self.family.pairs.items()]
        return sorted(found, key=lambda pair: (place[pair.row], place[pair.versus]))

    def places(self, rows: Sequence[str], failed: Collection[str] = ()) -> dict[str, tuple[int, int]]:
        """Row → the best and the worst place among ``rows`` that the verdicts leave it, 1 the first.

        Args:
            rows: Whom to place; those outside the family are undecided.
            failed: Those of them that have no result by their own doing: behind all that have one.
        """
        return {row: (1 + self._ahead(row, rows, failed), len(rows) - self._behind(row, rows, failed)) for row in rows}

    def _ahead(self, row: str, rows: Sequence[str], failed: Collection[str]) -> int:
        return sum(self._better(other, row, failed) for other in rows)

    def _behind(self, row: str, rows: Sequence[str], failed: Collection[str]) -> int:
        return sum(self._better(row, other, failed) for other in rows)

    def _better(self, a: str, b: str, failed: Collection[str]) -> bool:
        if a in failed or b in failed:
            return a not in failed
        return a != b and a in self.rows and b in self.rows and self.family.verdict(a, b) == "better"


def _turned(a: str, b: str, comparison: Comparison | None, place: Mapping[str, int]) -> Pair:
    """A pair with the better row first."""
    ahead = place[b] < place[a] if comparison is None else comparison.paired.difference < 0
    return Pair(b, a, comparison, False) if ahead else Pair(a, b, comparison, True)


def column_family(cells: Mapping[str, Cell]) -> ColumnFamily:
    """Judge the methods of a column.

    Args:
        cells: Row → its cell, of methods alone; those that are not ranked are left out.
    """
    ranked = {row: cell for row, cell in cells.items() if cell.ranked and cell.scores}
    conditional = {row: cell.conditional for row, cell in ranked.items() if cell.conditional}
    scores = {row: cell.scores for row, cell in ranked.items() if row not in conditional}
    common = sorted(set.intersection(*map(set, scores.values()))) if scores else []
    means = {row: fmean(found[r] for r in common) if common else 0.0 for row, found in scores.items()}
    rows = sorted(scores, key=lambda row: -means[row])
    as_run = frozenset(row for row in rows if cells[row].as_run)
    return ColumnFamily(family(scores), tuple(rows), len(common), conditional, as_run)
