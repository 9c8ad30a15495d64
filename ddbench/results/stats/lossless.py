"""Whether a condensed set does as well as all the data: non-inferiority, with every condition of the claim checked.

Tables show it as the view ``lossless`` (:mod:`ddbench.results.scores.lossless`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ddbench.results.stats.bootstrap import RESAMPLES, Correct, Interval, bootstrap_difference
from ddbench.results.stats.intervals import MARGIN
from ddbench.results.stats.verdicts import smallest_n


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
    real: str | None,
    protocol: str,
    preprocess: str,
    full_preprocess: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Lossless:
    """Judge one cell against ``full`` (docs/explanation/statistics.md, Lossless).

    Args:
        correct: Of the set's students, [R, T] as in :data:`ddbench.results.stats.bootstrap.Correct`.
        full: The same of ``full``, by protocol; equal R and T.
        real: The protocol that suits real data; the better of ``full`` under it and under ``protocol`` is what the set
            must reach. None: no claim is made under ``protocol``, which caps the student's updates.
        protocol: Under which the set was evaluated, and ``full`` as long.
        preprocess: Of the set.
        full_preprocess: Of both ``full`` rows.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        ValueError: If the matrices of set and full differ in shape, or are not correctness.
    """
    if real is None:
        return Lossless("not shown", f"evaluated under {protocol}, the claim needs a protocol without a cap on updates")
    if preprocess != full_preprocess:
        return Lossless("not shown", f"preprocessing {preprocess} here, {full_preprocess} for full")
    both = (protocol, real)
    missing = [name for name in both if name not in full]
    if missing:
        return Lossless("not shown", f"full was not measured under {' and '.join(missing)}")
    accuracies = {name: 100 * float(np.mean(np.asarray(full[name], dtype=np.float64))) for name in both}
    best = max(accuracies, key=lambda name: accuracies[name])
    margin = min(MARGIN, 0.1 * (100 - accuracies[best]))
    interval = bootstrap_difference(correct, full[best], resamples=resamples, seed=seed)
    if interval is None:
        return Lossless("not shown", f"fewer than {smallest_n(1)} repetitions", best, None, margin)
    words = (
        f"95 % interval [{interval.low:+.2f}, {interval.high:+.2f}] points to full under {best}, margin {margin:.2f}"
    )
    return Lossless("lossless" if interval.low > -margin else "not shown", words, best, interval, margin)
