"""Whether a condensed set does as well as all the data: non-inferiority, with every condition of the claim checked.

Tables show it as the view ``lossless`` (:mod:`ddbench.report.lossless`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ddbench.stats.bootstrap import RESAMPLES, Correct, Interval, bootstrap_difference
from ddbench.stats.intervals import MARGIN, smallest_n

LONG = "hard-long@1"
"""The protocol of the claim: the same updates for all, without a cap."""
REAL = "real@1"
"""The protocol that suits real data; the better of the two ``full`` rows is what a set must reach."""


@dataclass(frozen=True, slots=True)
class Lossless:
    """The verdict about one set.

    Attributes:
        verdict: ``lossless``, or ``not shown`` (never "lossy": absence of evidence).
        why: What decided, in words.
        best_full: Protocol of the better ``full``; None when that is not known.
        interval: Set minus best full [points], 95 %; None when a condition fails before it matters.
        margin: The δ that its lower end had to stay above −δ of [points].
    """

    verdict: Literal["lossless", "not shown"]
    why: str
    best_full: str | None = None
    interval: Interval | None = None
    margin: float | None = None


def lossless(
    correct: Correct,
    full: Mapping[str, Correct],
    *,
    protocol: str,
    preprocess: str,
    full_preprocess: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Lossless:
    """Judge one cell against ``full`` (docs/explanation/statistics.md, Lossless).

    Args:
        correct: Of the set's students, [R, T] as in :data:`ddbench.stats.bootstrap.Correct`.
        full: The same of ``full``, under the protocols ``hard-long@1`` and ``real@1``; equal R and T.
        protocol: Under which the set was evaluated.
        preprocess: Of the set.
        full_preprocess: Of both ``full`` rows.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        ValueError: If the matrices of set and full differ in shape, or are not correctness.
    """
    if protocol != LONG:
        return Lossless("not shown", f"evaluated under {protocol}, the claim needs {LONG}")
    if preprocess != full_preprocess:
        return Lossless("not shown", f"preprocessing {preprocess} here, {full_preprocess} for full")
    missing = [name for name in (LONG, REAL) if name not in full]
    if missing:
        return Lossless("not shown", f"full was not measured under {' and '.join(missing)}")
    accuracies = {name: 100 * float(np.mean(np.asarray(full[name], dtype=np.float64))) for name in (LONG, REAL)}
    best = max(accuracies, key=lambda name: accuracies[name])
    margin = min(MARGIN, 0.1 * (100 - accuracies[best]))
    interval = bootstrap_difference(correct, full[best], resamples=resamples, seed=seed)
    if interval is None:
        return Lossless("not shown", f"fewer than {smallest_n(1)} repetitions", best, None, margin)
    words = (
        f"95 % interval [{interval.low:+.2f}, {interval.high:+.2f}] points to full under {best}, margin {margin:.2f}"
    )
    return Lossless("lossless" if interval.low > -margin else "not shown", words, best, interval, margin)
