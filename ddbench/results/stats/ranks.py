"""Ranks over complete cells, averaged per data set first; Friedman's test; Kendall's τ between two orders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from ddbench.results.stats.intervals import DIGITS

Cell = Mapping[str, float | None]
"""Row → score (higher is better), None for a failure. A row that is not there was not tried or not finished."""

DATA_SETS_FOR_A_TEST = 6
"""Cells of one data set are not independent, so the unit of a test over cells is the data set."""


@dataclass(frozen=True, slots=True)
class Friedman:
    """Friedman's test that all rows are equally good.

    Attributes:
        statistic: χ², corrected for ties.
        p: Its p-value.
        n: Data sets.
    """

    statistic: float
    p: float
    n: int


def ranks(cell: Cell) -> dict[str, float]:
    """Rank of every row, 1 the best; equal scores share the mean of their ranks, failures share the last ones."""
    scores = {row: -math.inf if score is None else round(score, DIGITS) for row, score in cell.items()}
    values = list(scores.values())
    return {
        row: 1 + sum(other > score for other in values) + (values.count(score) - 1) / 2 for row, score in scores.items()
    }


def average_ranks(cells: Sequence[tuple[str, Cell]], rows: Sequence[str]) -> dict[str, dict[str, float]]:
    """Data set → row → its rank, the mean over the data set's cells.

    Args:
        cells: Name of the data set and cell; those in which a row is missing are left out.
        rows: Whom to rank; other rows of a cell do not count.
    """
    found: dict[str, list[dict[str, float]]] = {}
    for dataset, cell in cells:
        if all(row in cell for row in rows):
            found.setdefault(dataset, []).append(ranks({row: cell[row] for row in rows}))
    return {
        name: {row: round(fmean(those[row] for those in members), DIGITS) for row in rows}
        for name, members in found.items()
    }


def friedman(per_dataset: Mapping[str, Mapping[str, float]]) -> Friedman | None:
    """Test average ranks (:func:`average_ranks`); None for fewer than six data sets or three rows.

    Also None when all rows have the same rank in every data set: there is nothing to test.
    """
    blocks = [list(found.values()) for found in per_dataset.values()]
    if len(blocks) < DATA_SETS_FOR_A_TEST or len(blocks[0]) < 3 or all(len(set(block)) == 1 for block in blocks):
        return None
    from scipy.stats import friedmanchisquare  # takes a second to import

    result = friedmanchisquare(*zip(*blocks, strict=True))
    return Friedman(float(result.statistic), float(result.pvalue), len(blocks))


def kendall_tau(a: Cell, b: Cell) -> float | None:
    """Kendall's τ-b between the orders of the rows that both have: 1 the same order, 0 unrelated, −1 reversed.

    None for fewer than three common rows, or when all of them tie in one of the two. Failures come last.
    """
    common = [row for row in a if row in b]
    first, second = ranks({row: a[row] for row in common}), ranks({row: b[row] for row in common})
    pairs = [(first[x] - first[y], second[x] - second[y]) for x, y in combinations(common, 2)]
    untied = [sum(pair[i] != 0 for pair in pairs) for i in (0, 1)]
    if len(common) < 3 or 0 in untied:
        return None
    agreement = sum((x * y > 0) - (x * y < 0) for x, y in pairs)
    return agreement / math.sqrt(untied[0] * untied[1])
