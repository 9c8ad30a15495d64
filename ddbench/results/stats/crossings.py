"""Where a curve over the size of sets falls to zero for good, and how far that point may be off.

Symbols: ``K`` budgets with shares f₁ ≤ … ≤ f_K, ``n`` repetitions, ``B`` resamples. A crossing lies in [f₁, f_K], or is
0 where the curve is never above zero, or infinite where it still is at f_K: what it then is lies outside the budgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, stdtrit

from ddbench.core.keys import seed_of
from ddbench.results.stats.contrasts import Floats
from ddbench.results.stats.intervals import DIGITS, LEVEL, Scores

RESAMPLES = 20_000

Sides = tuple[Scores, Scores]
"""Scores of a row and of what it is held against, at one budget."""


def crossings(shares: ArrayLike, differences: ArrayLike) -> Floats:
    """The smallest share from which on curves are not above zero at any larger budget [...].

    Between the last budget with a positive difference and the next one, differences are taken as linear in the
    logarithm of the share. No difference may rise without the crossing staying or rising, too.

    Args:
        shares: f, ascending [K], K ≥ 2.
        differences: Of the budgets [..., K].
    """
    found, at = np.round(np.asarray(differences, np.float64), DIGITS), np.log(np.asarray(shares, np.float64))
    above = found > 0
    last = above.shape[-1] - 1 - np.argmax(above[..., ::-1], axis=-1)
    left = np.minimum(last, above.shape[-1] - 2)[..., None]  # the budget before the crossing, where there is one
    high = np.take_along_axis(found, left, axis=-1)[..., 0]
    fall = high - np.take_along_axis(found, left + 1, axis=-1)[..., 0]
    inside = above.any(axis=-1) & ~above[..., -1]
    part = np.divide(high, fall, out=np.zeros_like(high), where=inside)
    start, end = at[left[..., 0]], at[left[..., 0] + 1]
    between = np.exp(start + part * (end - start))
    return np.where(inside, between, np.where(above[..., -1], np.inf, 0.0))


def differences_of(budgets: Sequence[Sides]) -> Floats:
    """Mean of the row minus that of what it is held against, of each budget [K]."""
    return np.asarray(np.round(_parts(budgets, _groups(budgets)).sum(axis=0), DIGITS))


def crossing_interval(
    shares: Sequence[float], budgets: Sequence[Sides], resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of a crossing, by resampling repetitions; its ends may be 0 and infinite.

    A repetition shares its seeds over budgets and with the repetition of the same number of the other side, so that a
    resample that draws it does so everywhere. Repetitions that the same sides have at the same budgets are drawn among
    each other: those that both have, and the further draws of a reference, apart.

    Percentiles of resamples are too narrow for few repetitions: resampling takes (n − 1)/n of the variance, and the
    normal quantile. So the percentiles are those of the normal quantile t₍n−1₎ √(n/(n − 1)), which makes the interval
    of a mean about the t-interval (Hesterberg, The American Statistician 69, 2015: expanded percentiles): 0.24 % and
    99.76 % at n = 6. At 2.5 % and 97.5 % intervals covered .87–.91 there.

    Args:
        shares: f, ascending [K].
        budgets: The two sides at each [K]; at each both have two or more repetitions in common.
        resamples: B.
    """
    groups = _groups(budgets)
    counts = _counts(tuple(map(len, groups)), resamples)
    found = np.sort(crossings(shares, counts @ _parts(budgets, groups)))
    n = min(len(own.keys() & other.keys()) for own, other in budgets)
    least = int(tail_of(n) * (resamples - 1))
    return float(found[least]), float(found[-1 - least])


def tail_of(n: int) -> float:
    """The part of the resamples below the lower end, and above the upper one."""
    return float(ndtr(-stdtrit(n - 1, (1 + LEVEL) / 2) * (n / (n - 1)) ** 0.5))


Groups = list[list[int]]


def _groups(budgets: Sequence[Sides]) -> Groups:
    """The repetitions, those together that the same sides have at the same budgets."""
    found: dict[tuple[bool, ...], list[int]] = {}
    for r in sorted({r for sides in budgets for side in sides for r in side}):
        found.setdefault(tuple(r in side for sides in budgets for side in sides), []).append(r)
    return list(found.values())


def _parts(budgets: Sequence[Sides], groups: Groups) -> Floats:
    """What each repetition adds to the difference of each budget [R, K]."""

    def share(side: Scores, r: int) -> float:
        return side[r] / len(side) if r in side else 0.0

    order = [r for group in groups for r in group]
    return np.array([[share(own, r) - share(other, r) for own, other in budgets] for r in order])


@lru_cache(maxsize=16)
def _counts(sizes: tuple[int, ...], resamples: int) -> Floats:
    """How often each repetition is drawn [B, R], each group drawn as often as it is large.

    From raw bits, whose stream no release of numpy changes: pages are compared byte by byte.
    """
    drawn = []
    for i, size in enumerate(sizes):
        bits = np.random.PCG64(seed_of("crossing", i, size)).random_raw(resamples * size)
        which = ((bits >> np.uint64(32)) * np.uint64(size) >> np.uint64(32)).astype(np.int64)
        flat = np.repeat(np.arange(resamples) * size, size) + which
        drawn.append(np.bincount(flat, minlength=resamples * size).reshape(resamples, size))
    return np.concatenate(drawn, axis=1).astype(np.float64)
