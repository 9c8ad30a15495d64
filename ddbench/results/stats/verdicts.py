"""Verdicts on comparisons that are looked at together, and how many repetitions they take.

All functions of arrays judge the comparisons along the last axis as one family.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, nctdtr, ndtr, stdtrit

from ddbench.results.stats.contrasts import Bools, Contrasts, Floats, contrast
from ddbench.results.stats.intervals import DIGITS, LEVEL, MARGIN, Paired, Scores

Verdict = Literal["better", "worse", "equivalent", "undecided"]

LEAST_POWER = 0.2
"""Equivalence is offered only where equal rows would be found equivalent at least this often."""
WANTED_POWER = 0.8
"""The chance of a verdict that :func:`needed_n` asks for."""
LEAST_N = 3
"""Repetitions that an interval takes."""
MOST_N = 100
"""The most repetitions that :func:`needed_n` thinks of."""

_ALPHA = 1 - LEVEL
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


@dataclass(frozen=True, slots=True)
class Need:
    """Fewest repetitions that would decide a comparison if what was measured were the truth; None: more than 100.

    Attributes:
        separate: To find it better or worse with a chance of 80 %.
        equivalent: To find it equivalent with a chance of 80 %.
    """

    separate: int | None
    equivalent: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One pair among several that are looked at together.

    Attributes:
        paired: The difference with its plain 95 % interval, not adjusted for the other pairs.
        p: Holm-adjusted p-value.
        verdict: About the first of the pair.
        needed: Fewest repetitions with which this many pairs can be decided.
        draws: Draws of the second of the pair: all that it has, where it is a reference of more than ``paired.n``.
        power: Chance that two equal ones would be found equivalent, at the measured spread; 0 below ``needed``.
        sd: Standard deviation of the differences [points]; None where they are not paired.
        comparisons: Of the family.
    """

    paired: Paired
    p: float
    verdict: Verdict
    needed: int
    draws: int
    power: float
    sd: float | None
    comparisons: int

    @property
    def need(self) -> Need | None:
        """What would decide it, where it is undecided and paired."""
        if self.verdict != "undecided" or self.sd is None:
            return None
        return needed_n(self.paired.difference, self.sd, self.comparisons)


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a family of m comparisons shows, as arrays [..., m].

    Attributes:
        p: Holm-adjusted p-values.
        separated: Better or worse, as the sign of the difference says.
        equivalent: Equivalent, and not separated.
        needed: Fewest repetitions with which m comparisons can be decided.
    """

    p: Floats
    separated: Bools
    equivalent: Bools
    needed: int


def holm(p_values: npt.ArrayLike) -> Floats:
    """Holm's step-down adjustment: comparing the results with α bounds the chance of any false claim by α.

    Args:
        p_values: [..., m], each last axis a family.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, axis=-1, kind="stable")
    left = given.shape[-1] - np.arange(given.shape[-1])
    stepped = np.minimum(1.0, left * np.take_along_axis(given, order, axis=-1))
    adjusted = np.empty_like(given)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(stepped, axis=-1), axis=-1)
    return adjusted


def smallest_n(comparisons: int, alpha: float = _ALPHA) -> int:
    """Fewest pairs that could decide one of several comparisons, whatever the distribution.

    When nothing differs, n differences all have the same sign with chance 2·2^-n: if that is above α divided by the
    number of comparisons, no outcome is evidence. Six decide one comparison, ten decide fifteen.
    """
    return math.ceil(round(1 - math.log2(alpha / max(1, comparisons)), DIGITS))


def decide(found: Contrasts, margin: float = MARGIN) -> Decisions:
    """Judge m comparisons [..., m] as one family.

    Separated are those with a Holm-adjusted p below α = 0.05. Equivalent are those for which two one-sided tests at
    level α/m (Bonferroni) both reject a difference of ±``margin``: the t-interval of coverage 1 − 2 α/m lies inside.
    Equivalence is offered only where its power is :data:`LEAST_POWER`. Nothing is decided below :func:`smallest_n`.
    """
    m = found.difference.shape[-1]
    needed = smallest_n(m)
    enough, adjusted = found.n >= needed, holm(found.p)
    separated = enough & (adjusted < _ALPHA)
    level = _ALPHA / max(1, m)
    inside = np.abs(found.difference) + found.half_width(1 - 2 * level) < margin
    equivalent = enough & ~separated & inside
    power = equivalence_power(found.se[equivalent], found.df[equivalent], level, margin=margin)
    equivalent[equivalent] = power >= LEAST_POWER
    return Decisions(adjusted, separated, equivalent, needed)


def equivalence_power(
    se: npt.ArrayLike, df: npt.ArrayLike, level: float, *, difference: npt.ArrayLike = 0.0, margin: float = MARGIN
) -> Floats:
    """Chance of the verdict equivalent: two one-sided t-tests reject ±``margin``, and the two-sided one not 0.

    With s the estimated over the true standard error (χ-distributed with ``df``) and t₁, t₂ the quantiles of the two
    kinds of tests, the estimate must lie within ±min(``margin`` − t₁ s se, t₂ s se): a normal probability, averaged
    over s by Gauss-Legendre quadrature.

    Args:
        se: True standard errors [points], any shape.
        df: Degrees of freedom of their estimates.
        level: Of each test: α divided by the number of comparisons (the first step of Holm's adjustment).
        difference: True difference d [points].
        margin: What does not matter [points].
    """
    scale, nu, d = (x[..., None] for x in np.broadcast_arrays(*(np.asarray(x, float) for x in (se, df, difference))))
    scale = np.clip(scale, 10.0**-DIGITS, 10.0**DIGITS)
    one_sided, two_sided = stdtrit(nu, 1 - level), stdtrit(nu, 1 - level / 2)
    reach = 8 / np.sqrt(2 * nu)
    low, high = np.maximum(0, 1 - reach), np.minimum(margin / (one_sided * scale), 1 + reach)
    half = np.maximum(0, high - low) / 2
    s = np.maximum(low + half * (1 + _NODES), 1e-300)
    density = np.exp(math.log(2) + nu / 2 * np.log(nu / 2) - gammaln(nu / 2) + (nu - 1) * np.log(s) - nu * s**2 / 2)
    inside = np.maximum(0, np.minimum(margin / scale - one_sided * s, two_sided * s))
    chance = ndtr(inside - d / scale) - ndtr(-inside - d / scale)
    return np.asarray(np.clip((half * _WEIGHTS * density * chance).sum(axis=-1), 0, 1))


def separation_power(ratio: Floats, df: Floats, level: float) -> Floats:
    """Chance that a two-sided t-test sees a difference.

    Args:
        ratio: True difference by its true standard error.
        df: Degrees of freedom.
        level: Of the test.
    """
    away = np.minimum(np.abs(ratio), 30.0)  # beyond, the non-central t overflows
    t = stdtrit(df, 1 - level / 2)
    wrong = np.nan_to_num(nctdtr(df, away, -t))  # of the other sign: NaN where it underflows
    return np.asarray(1 - nctdtr(df, away, t) + wrong, dtype=np.float64)


def one_sided_power(ratio: Floats, df: Floats, level: float) -> Floats:
    """Chance that a one-sided t-test sees a difference above zero; for the arguments see :func:`separation_power`."""
    reach = np.minimum(ratio, 30.0)  # beyond, the non-central t overflows
    return np.asarray(1 - nctdtr(df, reach, stdtrit(df, 1 - level)), dtype=np.float64)


@lru_cache(4096)
def needed_n(difference: float, sd: float, comparisons: int, margin: float = MARGIN) -> Need:
    """How many repetitions would decide a paired comparison, were the measured numbers the true ones.

    Each test is at the level of the family's first step, 0.05 divided by ``comparisons`` (Holm, Bonferroni), and the
    chance of a verdict at least 80 %. Measured differences are noisy, so this is the order of magnitude.

    Args:
        difference: Mean difference [points].
        sd: Standard deviation of the differences [points].
        comparisons: Of the family.
        margin: Of equivalence [points].
    """
    level = _ALPHA / max(1, comparisons)
    tried = np.arange(smallest_n(comparisons), MOST_N + 1, dtype=np.float64)
    se = max(sd, 10.0**-DIGITS) / np.sqrt(tried)
    powers = (
        separation_power(difference / se, tried - 1, level),
        equivalence_power(se, tried - 1, level, difference=difference, margin=margin),
    )
    enough = [tried[power >= WANTED_POWER] for power in powers]
    return Need(*(int(found[0]) if len(found) else None for found in enough))


def compare(pairs: Sequence[tuple[Scores, Scores]]) -> list[Comparison | None]:
    """Judge pairs (a, b) that are looked at together; None for fewer than three common repetitions.

    Those count in the family all the same, as in :func:`compared`.

    Where ``b`` has more repetitions than ``a``, as ``random`` may, all of them count
    (:func:`ddbench.results.stats.contrasts.reference_contrasts`); else the pair is paired by repetition.
    """
    return compared(Contrasts.stacked([contrast(a, b) for a, b in pairs]))


def minus_random(method: Scores, random: Scores) -> Comparison | None:
    """:func:`compare` for one pair on its own."""
    return compare([(method, random)])[0]


def compared(found: Contrasts) -> list[Comparison | None]:
    """Judge contrasts [m] as one family; those of fewer than three repetitions count, and are None."""
    decisions, half = decide(found), found.half_width()
    powers = equivalence_power(found.se, found.df, _ALPHA / max(1, len(found.n)))
    comparisons: list[Comparison | None] = []
    for i, (difference, n) in enumerate(zip(found.difference.tolist(), found.n.tolist(), strict=True)):
        verdict: Verdict = "undecided"
        if decisions.separated[i]:
            verdict = "better" if difference > 0 else "worse"
        elif decisions.equivalent[i]:
            verdict = "equivalent"
        draws = int(found.draws[i])
        sd = float(found.se[i]) * math.sqrt(n) if draws == n else None
        interval = Paired(difference, difference - float(half[i]), difference + float(half[i]), n)
        p, power = float(decisions.p[i]), float(powers[i]) if n >= decisions.needed else 0.0
        one = Comparison(interval, p, verdict, decisions.needed, draws, power, sd, len(found.n))
        comparisons.append(one if n >= LEAST_N else None)
    return comparisons
