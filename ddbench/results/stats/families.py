"""The family of a column: all pairs of its rows judged together, and what follows for bold and for ranks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np
import numpy.typing as npt

from ddbench.results.stats.contrasts import Bools, Contrasts, Floats, paired_contrast
from ddbench.results.stats.intervals import DIGITS, Scores
from ddbench.results.stats.verdicts import Comparison, Verdict, compared, smallest_n

_OPPOSITE: Mapping[Verdict, Verdict] = {"better": "worse", "worse": "better"}


@dataclass(frozen=True, slots=True)
class Family:
    """What the method rows of one column show about each other.

    Attributes:
        pairs: Every pair of rows, in the order of the rows → the comparison, first minus second, with its plain 95 %
            interval and its p adjusted for all pairs; None for fewer than three common repetitions.
        needed: Fewest repetitions with which this many pairs can be decided.
        bold: Rows not worse than the best; none while the rows share fewer than ``needed`` repetitions.
        ranks: Row → the best and the worst place that the verdicts leave it, 1 the first.
    """

    pairs: Mapping[tuple[str, str], Comparison | None]
    needed: int
    bold: frozenset[str]
    ranks: Mapping[str, tuple[int, int]]

    def verdict(self, a: str, b: str) -> Verdict:
        """About ``a`` beside ``b``; undecided where a pair has no comparison.

        Raises:
            KeyError: If the two are no pair of the family.
        """
        found = self.pairs[(a, b) if (a, b) in self.pairs else (b, a)]
        if found is None:
            return "undecided"
        return found.verdict if (a, b) in self.pairs else _OPPOSITE.get(found.verdict, found.verdict)


def family(scores: Mapping[str, Scores], conditional: Collection[str] = ()) -> Family:
    """Judge the method rows of a column: one family of all pairs, whatever is then said of it.

    Args:
        scores: Row → its repetitions.
        conditional: Rows that take part in no verdict: those whose repetitions share an artifact, or that are
            incomplete. They are left out, and make the family no larger.

    Raises:
        ValueError: If a score of a row that takes part is not finite.
    """
    rows = {row: found for row, found in scores.items() if row not in conditional}
    for row, own in rows.items():
        if wrong := {r: score for r, score in own.items() if not math.isfinite(score)}:
            raise ValueError(f"row {row!r}: scores must be finite, got {wrong}")
    names, pairs = list(rows), list(combinations(rows, 2))
    found = Contrasts.stacked([paired_contrast(rows[a], rows[b]) for a, b in pairs])
    comparisons = dict(zip(pairs, compared(found), strict=True))
    needed = smallest_n(len(pairs))
    decided = [
        0 if one is None else (one.verdict == "better") - (one.verdict == "worse") for one in comparisons.values()
    ]
    worse = worse_than(np.array(decided, dtype=np.int64), len(names))
    common = sorted(set.intersection(*map(set, rows.values()))) if rows else []
    bold: frozenset[str] = frozenset()
    if len(rows) > 1 and len(common) >= needed:
        means = np.array([fmean(found[r] for r in common) for found in rows.values()])
        bold = frozenset(name for name, is_bold in zip(names, bold_rows(means, worse), strict=True) if is_bold)
    first, last = 1 + worse.sum(axis=1), len(names) - worse.sum(axis=0)
    return Family(
        comparisons, needed, bold, dict(zip(names, zip(first.tolist(), last.tolist(), strict=True), strict=True))
    )


def worse_than(decided: npt.NDArray[np.int64], rows: int) -> Bools:
    """Which row is worse than which, [..., K, K], from the decisions on all pairs [..., K (K − 1)/2].

    Args:
        decided: 1 where the first of a pair is better, −1 where it is worse, else 0; pairs in the order of
            :func:`itertools.combinations`.
        rows: K.
    """
    first, second = np.triu_indices(rows, 1)
    worse = np.zeros((*decided.shape[:-1], rows, rows), dtype=np.bool_)
    worse[..., first, second] = decided < 0
    worse[..., second, first] = decided > 0
    return worse


def bold_rows(means: Floats, worse: Bools) -> Bools:
    """Which rows are bold: going down from the best mean, all before the first that is worse than the best.

    A row below one that is separated is never bold, though it may itself be undecided: bold rows have no gaps. Rows of
    one mean are judged each for itself, so that their order decides nothing.

    Args:
        means: Of the rows [..., K].
        worse: Of :func:`worse_than`.
    """
    rounded = np.round(means, DIGITS)
    top = rounded == rounded.max(axis=-1, keepdims=True)
    apart = (worse & top[..., None, :]).any(axis=-1)
    limit = np.where(apart, rounded, -np.inf).max(axis=-1, keepdims=True)
    return np.asarray((rounded > limit) | ((rounded == limit) & ~apart))
