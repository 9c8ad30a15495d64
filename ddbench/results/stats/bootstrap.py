"""Bootstrap over repetitions and test examples at once: what another condensation and another test set would give.

Symbols: ``R`` repetitions, ``T`` test examples. All repetitions are tested on the same examples, so the two are
crossed: one resample draws R repetitions and T examples, each with replacement, and takes the mean of what they meet in
(Owen, "The pigeonhole bootstrap", 2007). With few repetitions plain percentiles are too narrow, by √((R−1)/R) and by
the normal instead of the t-distribution; the percentiles are moved outwards accordingly (Hesterberg, "What teachers
should know about the bootstrap", 2015, expanded percentile interval).

The main tables' intervals are over repetitions alone (:mod:`ddbench.results.stats.intervals`); those of the view
``lossless`` are these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from ddbench.results.stats.intervals import LEVEL
from ddbench.results.stats.verdicts import smallest_n

Correct: TypeAlias = npt.ArrayLike
"""Correctness [R, T]: 1 where the student of a repetition was right about an example, else 0; students of one
repetition averaged, so values lie in [0, 1]. Examples in the same order for all, repetition r in row r."""

RESAMPLES = 4999
_CHUNK_VALUES = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its bootstrap interval [% or points].

    Attributes:
        estimate: Of the whole sample.
        low: Lower end.
        high: Upper end.
        n: Repetitions.
        n_test: Test examples.
    """

    estimate: float
    low: float
    high: float
    n: int
    n_test: int


def bootstrap(correct: Correct, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0) -> Interval | None:
    """Accuracy [%] with its interval over repetitions and test examples; None for fewer than six repetitions.

    Args:
        correct: [R, T], see :data:`Correct`.
        level: Coverage.
        resamples: Draws.
        seed: Of the draws: equal input gives equal intervals.

    Raises:
        ValueError: If the matrix is not [R, T], is empty or holds values outside [0, 1].
    """
    return _interval(_checked(correct), level, resamples, seed)


def bootstrap_difference(
    a: Correct, b: Correct, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Accuracy of ``a`` minus that of ``b`` [points], paired by repetition and by test example.

    None for fewer than six repetitions. Arguments as for :func:`bootstrap`.

    Raises:
        ValueError: If the matrices differ in shape, or either is not fit for :func:`bootstrap`.
    """
    first, second = _checked(a), _checked(b)
    if first.shape != second.shape:
        raise ValueError(f"correctness of shapes {first.shape} and {second.shape} cannot be paired")
    return _interval(first - second, level, resamples, seed)


def _checked(correct: Correct) -> npt.NDArray[np.float64]:
    matrix = np.asarray(correct, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"correctness has shape {matrix.shape}, expected [repetitions, test examples]")
    if not ((matrix >= 0) & (matrix <= 1)).all():
        raise ValueError("correctness must lie in [0, 1]")
    return matrix


def _interval(matrix: npt.NDArray[np.float64], level: float, resamples: int, seed: int) -> Interval | None:
    n, n_test = matrix.shape
    if n < smallest_n(1):
        return None
    rng = np.random.default_rng(seed)
    means = []
    chunk = max(1, _CHUNK_VALUES // n_test)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=size) / n
        over_repetitions = weights @ matrix
        chosen = rng.integers(n_test, size=(size, n_test))
        means.append(np.take_along_axis(over_repetitions, chosen, axis=1).mean(axis=1))
    tail = float(ndtr(-math.sqrt(n / (n - 1)) * float(stdtrit(n - 1, (1 + level) / 2))))
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Interval(100 * float(matrix.mean()), 100 * float(low), 100 * float(high), n, n_test)
