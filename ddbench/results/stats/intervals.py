"""Summaries and paired t-intervals over repetitions (docs/explanation/statistics.md).

The unit is the repetition: students of one repetition are averaged before any function here sees them. Scores are
accuracies in percent, so differences and intervals are in points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev

from scipy.special import stdtrit  # not scipy.stats, whose import takes a second

Scores = Mapping[int, float]
"""Repetition → score [%]."""

LEVEL = 0.95
MARGIN = 0.5
"""Differences smaller than this do not matter [points]."""
DIGITS = 9
"""Accuracies are ratios of counts: beyond these decimals lies float noise, which would make ties look decided."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What one sample says.

    Attributes:
        mean: Its mean.
        sd: Its standard deviation (ddof 1); None for a single value.
        n: Values.
        half_width: Half of the 95 % t-interval; None for fewer than three values.
    """

    mean: float
    sd: float | None
    n: int
    half_width: float | None


@dataclass(frozen=True, slots=True)
class Paired:
    """Mean difference over common repetitions with its t-interval [points].

    Attributes:
        difference: Mean of a − b.
        low: Lower end.
        high: Upper end.
        n: Common repetitions.
    """

    difference: float
    low: float
    high: float
    n: int

    def contains(self, value: float) -> bool:
        """Whether ``value`` lies in the closed interval."""
        return self.low <= value <= self.high


def summary(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and t-interval.

    Raises:
        ValueError: If there are no values.
    """
    if not values:
        raise ValueError("no values to summarise")
    return _summary(tuple(values))


@lru_cache(maxsize=4096)
def _summary(values: tuple[float, ...]) -> Summary:
    """Kept: the columns of a table ask for the same cells again and again."""
    n = len(values)
    sd = stdev(values) if n > 1 else None
    return Summary(fmean(values), sd, n, None if sd is None or n < 3 else _half_width(sd, n, LEVEL))


def paired(a: Scores, b: Scores, level: float = LEVEL) -> Paired | None:
    """The mean of a − b over common repetitions with its t-interval; None for fewer than three."""
    differences = _differences(a, b)
    n = len(differences)
    if n < 3:
        return None
    mean, half = fmean(differences), _half_width(stdev(differences), n, level)
    return Paired(mean, mean - half, mean + half, n)


def _differences(a: Scores, b: Scores) -> list[float]:
    return [round(a[r] - b[r], DIGITS) for r in sorted(a.keys() & b.keys())]


def _half_width(sd: float, n: int, level: float) -> float:
    return float(stdtrit(n - 1, (1 + level) / 2)) * sd / math.sqrt(n)
