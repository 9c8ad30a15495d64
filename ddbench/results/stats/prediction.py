"""Where the accuracy of one more student is expected to lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy.special import ndtri, stdtrit

from ddbench.results.stats import DIGITS, LEVEL


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the mean of fresh students should lie [%].

    Attributes:
        low: Lower end.
        high: Upper end.
        n: Recorded accuracies behind it.
        weak: Whether there were too few to see their spread, so that the size of the test set alone sets the width.
    """

    low: float
    high: float
    n: int
    weak: bool

    def contains(self, value: float) -> bool:
        """Whether ``value`` lies in the closed interval."""
        return round(self.low, DIGITS) <= round(value, DIGITS) <= round(self.high, DIGITS)


def prediction_interval(
    recorded: Sequence[Sequence[float]], *, n_test: int, fresh: int = 1, level: float = LEVEL
) -> Interval:
    """Where the mean of ``fresh`` more students of a recorded set lies with probability ``level``.

    Students of one set share its luck, so they are no independent draws of the row. Where the set has three recorded
    students or more, those alone are compared with: mean ± t·sd·√(1/fresh + 1/n), n − 1 degrees of freedom. Else the
    unit is the repetition, R of them with e students each (their harmonic mean where they differ), and between
    repetitions and within them accuracies spread by sd_b and sd_w: mean ± t·√(sd_b²·(1 + 1/R) + sd_w²·(1/fresh +
    1/(R·e))), R − 1 degrees of freedom, sd_b² from the variance of the repetitions' means less sd_w²/e. With one
    student each the two cannot be told apart, and the interval does not narrow with ``fresh``: mean ± t·sd·√(1 + 1/R).
    It is wide for what it promises, never narrow: the set is one of the R.

    The spread is at least one test image: equal accuracies by chance must not make it a point. Below three recorded
    students, or with two of one set alone, sd is the binomial one of a test set of this size with two more hits and
    misses (Agresti and Coull), t is normal, and ``fresh`` narrows nothing; that says nothing of how much students
    differ.

    Args:
        recorded: Accuracies [%] of the students of one row, a group for each set, the one to verify first.
        n_test: Test images behind each.
        fresh: Students whose mean is to be judged, all of the first set.
        level: Probability.
    """
    own, groups = recorded[0], [list(group) for group in recorded]
    image, n = (100 / n_test) ** 2, sum(map(len, groups))
    if len(own) >= 3:
        mean, n, df = fmean(own), len(own), len(own) - 1
        spread = max(variance(own), image) * (1 / fresh + 1 / n)
    elif n >= 3:  # two sets at least, because the first has two students at most
        means = [fmean(group) for group in groups]
        mean, repetitions = fmean(means), len(groups)
        df, e = repetitions - 1, repetitions / sum(1 / len(group) for group in groups)
        among = max(variance(means), image)
        if n == repetitions:
            spread = among * (1 + 1 / repetitions)
        else:
            squares = sum((x - at) ** 2 for at, group in zip(means, groups, strict=True) for x in group)
            within = max(squares / (n - repetitions), image)
            between = max(among - within / e, 0.0)
            spread = between * (1 + 1 / repetitions) + within * (1 / fresh + 1 / (repetitions * e))
    else:
        mean = fmean(x for group in groups for x in group)
        share = (mean / 100 * n_test + 2) / (n_test + 4)
        half = 100 * float(ndtri((1 + level) / 2)) * math.sqrt(share * (1 - share) / n_test * (1 + 1 / n))
        return _around(mean, half, n, weak=True)
    half = float(stdtrit(df, (1 + level) / 2)) * math.sqrt(spread)
    return _around(mean, half, n, weak=False)


def _around(mean: float, half: float, n: int, *, weak: bool) -> Interval:
    """Clipped to what accuracies can be."""
    return Interval(max(mean - half, 0.0), min(mean + half, 100.0), n, weak)
