"""What a simulation of the statistics is made of: truths, errors, goals, and lines of what was counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
Noise = Callable[[Rng, tuple[int, ...]], Floats]
"""Errors of a shape, with mean 0."""
Run = Callable[[Rng, int], Mapping[str, npt.NDArray[np.generic]]]
"""Draws and judges so many tables; what is counted → whether it happened, for each (or in which share of its pairs)."""


@dataclass(frozen=True)
class Goal:
    """An error's highest share, or a power's lowest."""

    share: float
    power: bool = False

    def met(self, low: float, high: float) -> bool:
        """Whether an interval reaches it."""
        return high >= self.share if self.power else low <= self.share


ERROR = Goal(0.05)


@dataclass(frozen=True)
class Scenario:
    """Tables of one truth.

    Attributes:
        truth: In words.
        run: How they are drawn and judged.
        goals: What is shown of it, with its goal.
        part: Share of the runs, below 1 where whole matrices are drawn.
    """

    truth: str
    run: Run
    goals: Mapping[str, Goal | None]
    part: float = 1.0


@dataclass(frozen=True)
class Line:
    """One line of the table: how often something happened."""

    what: str
    truth: str
    hits: float
    runs: int
    goal: Goal | None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 99 %; too wide for shares of the pairs of a table, which vary less than yes and no."""
        z, share = float(ndtri(0.995)), self.hits / self.runs
        middle, scale = self.hits + z**2 / 2, self.runs + z**2
        half = z * float(np.sqrt(self.hits * (1 - share) + z**2 / 4))
        return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)

    @property
    def fails(self) -> bool:
        """Whether it has a goal that its interval does not reach."""
        return self.goal is not None and not self.goal.met(*self.interval)

    def cells(self) -> list[str]:
        """As text."""
        goal = "" if self.goal is None else f"{'≥' if self.goal.power else '≤'} {self.goal.share:.2f}"
        verdict = "FAILS" if self.fails else "passes" if goal else ""
        low, high = self.interval
        share = f"{self.hits / self.runs:.4f}"
        return [self.what, self.truth, share, f"{low:.4f}–{high:.4f}", f"{self.runs}", goal, verdict]


def normal(rng: Rng, shape: tuple[int, ...]) -> Floats:
    return rng.standard_normal(shape)


def skewed(rng: Rng, shape: tuple[int, ...]) -> Floats:
    """Exponential, with the tail below."""
    return 1 - rng.standard_exponential(shape)


def bad_runs(rng: Rng, shape: tuple[int, ...]) -> Floats:
    """One in ten is five standard deviations lower."""
    return rng.standard_normal(shape) + 0.5 - 5.0 * (rng.random(shape) < 0.1)


def steps(rng: Rng, shape: tuple[int, ...]) -> Floats:
    """Accuracies on 300 images, which lie a third of a point apart, with a standard deviation of half a point."""
    return np.round(3 * 0.5 * rng.standard_normal(shape)) / 3


UNUSUAL: Mapping[str, Noise] = {"skewed": skewed, "one bad run in ten": bad_runs, "steps of one test image": steps}
