"""Claims that were fixed beforehand, each that some contrasts are all above zero: which of them hold, together.

Symbols: ``m`` claims that are judged together, ``k`` contrasts of one claim. A contrast is a mean of paired differences
(:class:`ddbench.results.stats.contrasts.Contrasts`); arrays have contrasts, or claims, along the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr

from ddbench.results.stats.contrasts import Bools, Contrasts, Floats
from ddbench.results.stats.intervals import LEVEL, MARGIN
from ddbench.results.stats.verdicts import holm, one_sided_power, smallest_n

_ALPHA = 1 - LEVEL

Outcome = Literal["holds", "refuted", "not shown", "undecided"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One claim among those of its file.

    Attributes:
        outcome: ``holds``, ``refuted``, ``not shown`` (never the opposite), or ``undecided``: too few repetitions.
        p: One-sided, that every contrast is above zero, adjusted for all claims (Holm); None where undecided.
        p_opposite: Two-sided, that some contrast is below zero, adjusted for the contrasts of the claim and for all
            claims; None likewise.
    """

    outcome: Outcome
    p: float | None
    p_opposite: float | None


def one_sided(found: Contrasts) -> Floats:
    """One-sided p-values of contrasts above zero [...]. Without any spread 0 for one that is, and 1 for others."""
    tested = stdtr(found.df, -found.difference / np.where(found.se > 0, found.se, 1.0))
    return np.where(found.se > 0, tested, np.where(found.difference > 0, 0.0, 1.0))


def all_above(found: Contrasts) -> Floats:
    """The p-value that all contrasts of a claim [..., k] are above zero: the largest of theirs [...].

    A claim that is a conjunction is wrong as soon as one part is, and no level is lost by testing all parts (Berger,
    Technometrics 24, 1982: the intersection-union test).
    """
    return np.asarray(one_sided(found).max(axis=-1))


def some_below(found: Contrasts) -> Floats:
    """The p-value that some contrast of a claim [..., k] is below zero: k times the smallest two-sided one [...]."""
    below = np.where(found.difference < 0, found.p, 1.0)
    return np.asarray(np.minimum(1.0, found.difference.shape[-1] * below.min(axis=-1)))


def outcomes(above: Floats, below: Floats) -> tuple[Bools, Bools]:
    """Which claims [..., m] hold, and which are refuted, by :func:`all_above` and :func:`some_below`."""
    return holm(above) < _ALPHA, holm(below) < _ALPHA


def judge(claims: Sequence[Contrasts | None]) -> list[Judged | None]:
    """Judge the claims of a file together.

    All of them count, whatever became of them: the file said how many before anything was measured. One that cannot be
    judged counts with p = 1.

    Args:
        claims: Of each claim its contrasts [k]; None where there can be no verdict on it.
    """
    needed = smallest_n(len(claims))
    enough = [found is not None and bool((found.n >= needed).all()) for found in claims]
    pairs = [
        (float(all_above(found)), float(some_below(found))) if found is not None and is_enough else (1.0, 1.0)
        for found, is_enough in zip(claims, enough, strict=True)
    ]
    above, below = (np.array(side) for side in zip(*pairs, strict=True))
    holds, refuted = outcomes(above, below)
    adjusted = zip(holm(above).tolist(), holm(below).tolist(), strict=True)
    judged: list[Judged | None] = []
    for i, (p, opposite) in enumerate(adjusted):
        outcome: Outcome = "holds" if holds[i] else "refuted" if refuted[i] else "not shown"
        decided = Judged(outcome, p, opposite) if enough[i] else Judged("undecided", None, None)
        judged.append(None if claims[i] is None else decided)
    return judged


def contrast_power(found: Contrasts, claims: int, truth: float | Floats = MARGIN) -> Floats:
    """Chance that a true contrast of this size is found above zero, at the measured spread and at α/m [...]."""
    ratio = truth / np.where(found.se > 0, found.se, 1e-300)
    return one_sided_power(ratio, found.df, _ALPHA / max(1, claims))
