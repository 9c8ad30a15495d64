"""Summaries, paired t-intervals and verdicts over repetitions (docs/explanation/statistics.md).

The unit is the repetition: students of one repetition are averaged before any function here sees them. Scores are
accuracies in percent, so differences and intervals are in points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from scipy.special import stdtr, stdtrit  # not scipy.stats, whose import takes a second

Scores = Mapping[int, float]
"""Repetition → score [%]."""

Verdict = Literal["better", "worse", "equivalent", "undecided"]

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


@dataclass(frozen=True, slots=True)
class Comparison:
    """One pair among several that are looked at together.

    Attributes:
        paired: The difference with its 95 % interval, not adjusted for the other pairs.
        p: Holm-adjusted p-value of the paired t-test.
        verdict: About the first of the pair.
        needed: Fewest repetitions with which this many pairs can be decided.
    """

    paired: Paired
    p: float
    verdict: Verdict
    needed: int


def summary(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and t-interval.

    Raises:
        ValueError: If there are no values.
    """
    if not values:
        raise ValueError("no values to summarise")
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


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: comparing the results with α bounds the chance of any false claim by α."""
    m = len(p_values)
    adjusted, running = [0.0] * m, 0.0
    for rank, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (m - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def smallest_n(comparisons: int, alpha: float = 1 - LEVEL) -> int:
    """Fewest pairs that could decide one of several comparisons, whatever the distribution.

    When nothing differs, n differences all have the same sign with chance 2·2^-n: if that is above α divided by the
    number of comparisons, no outcome is evidence. Six decide one comparison, ten decide fifteen.
    """
    return math.ceil(round(1 - math.log2(alpha / max(1, comparisons)), DIGITS))


def compare(
    pairs: Sequence[tuple[Scores, Scores]], level: float = LEVEL, margin: float = MARGIN
) -> list[Comparison | None]:
    """Judge pairs (a, b) that are looked at together; None for those with fewer than three common repetitions.

    A pair is decided (better, worse) when its Holm-adjusted interval excludes 0, and equivalent when its 90 % interval
    lies within ±``margin``; both need as many repetitions as :func:`smallest_n` says, of all pairs or of one.
    """
    intervals = [paired(a, b, level) for a, b in pairs]
    known = [i for i, interval in enumerate(intervals) if interval is not None]
    adjusted = dict(zip(known, holm([_p_value(*pairs[i]) for i in known]), strict=True))
    needed = smallest_n(len(known), 1 - level)

    def judge(i: int, interval: Paired) -> Verdict:
        if interval.n >= needed and adjusted[i] < 1 - level:
            return "better" if interval.difference > 0 else "worse"
        narrow = paired(*pairs[i], 1 - 2 * (1 - level))
        if narrow is not None and narrow.n >= smallest_n(1, 1 - level) and -margin < narrow.low <= narrow.high < margin:
            return "equivalent"
        return "undecided"

    return [
        None if interval is None else Comparison(interval, adjusted[i], judge(i, interval), needed)
        for i, interval in enumerate(intervals)
    ]


def _differences(a: Scores, b: Scores) -> list[float]:
    return [round(a[r] - b[r], DIGITS) for r in sorted(a.keys() & b.keys())]


def _half_width(sd: float, n: int, level: float) -> float:
    return float(stdtrit(n - 1, (1 + level) / 2)) * sd / math.sqrt(n)


def _p_value(a: Scores, b: Scores) -> float:
    """Two-sided p-value of the paired t-test."""
    differences = _differences(a, b)
    n, mean, sd = len(differences), fmean(differences), stdev(differences)
    if sd == 0:
        return 1.0 if mean == 0 else 0.0
    return 2 * float(stdtr(n - 1, -abs(mean) * math.sqrt(n) / sd))
