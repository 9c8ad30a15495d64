"""The exponent of a curve: how a cost grows with a size. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Power:
    """cost ≈ factor · size^exponent.

    Attributes:
        exponent: Slope of log cost over log size.
        factor: Cost at size 1.
        worst: The largest ratio of a cost and the fitted one, or its inverse; 1 is a perfect fit.
    """

    exponent: float
    factor: float
    worst: float

    def at(self, size: float) -> float:
        """The fitted cost."""
        return self.factor * size**self.exponent


def fit(points: Sequence[tuple[float, float]]) -> Power:
    """Least squares of log cost over log size.

    Args:
        points: (size, cost), both positive.

    Raises:
        ValueError: If there are fewer than two sizes.
    """
    logs = [(math.log(size), math.log(cost)) for size, cost in points]
    x, y = (fmean(values) for values in zip(*logs, strict=True)) if logs else (0.0, 0.0)
    spread = sum((a - x) ** 2 for a, _ in logs)
    if spread == 0.0:
        raise ValueError(f"{len(points)} points of one size have no exponent")
    exponent = sum((a - x) * (b - y) for a, b in logs) / spread
    gaps = [abs(b - y - exponent * (a - x)) for a, b in logs]
    return Power(exponent, math.exp(y - exponent * x), math.exp(max(gaps)))
