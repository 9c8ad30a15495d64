"""The frame of a panel: limits that hold every point with room, and what they cut off, in words."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from ddbench.publish.plots.series import Band, Line, Point
from ddbench.results.tables.figures import fixed

WIDEST = 0.14
"""Room for all rows at one budget [decades]."""
ROOM = 0.06
"""What is left free beyond the outermost points, as a share of the axis."""
FEWEST = 5
"""Fewer points than these have no outlier."""
NAMED = 3
"""So many of what is cut off are named, the others are counted."""


class Cut(NamedTuple):
    """A point, or its bar, that goes on beyond the frame.

    Attributes:
        line: Which of the panel's rows.
        point: Which of its points.
        up: Whether it goes on above the frame.
        text: What it is, and where it ends.
    """

    line: int
    point: int
    up: bool
    text: str


def step_of(lines: Sequence[Line], widest: float) -> float:
    """How far rows step aside at one budget: less where they are many, or budgets are close to each other [decades].

    Args:
        lines: Rows of a panel.
        widest: The largest step.
    """
    xs = sorted({math.log10(point.x) for line in lines for point in line.points})
    gap = min((b - a for a, b in pairwise(xs)), default=1.0)
    return min(widest, min(WIDEST, 0.4 * gap) / max(1, len(lines) - 1))


def x_limits(lines: Sequence[Line], step: float = 0.0, least: float = 0.0) -> tuple[float, float]:
    """Ends of a logarithmic axis.

    Args:
        lines: Rows of a panel.
        step: As :func:`step_of` says.
        least: How many decades it spans at least.
    """
    xs = [math.log10(point.x) for line in lines for point in line.points] or [0.0]
    span = max(xs) - min(xs)
    room = max(step * len(lines) / 2 + max(0.1, ROOM * span), (least - span) / 2)
    return float(10 ** (min(xs) - room)), float(10 ** (max(xs) + room))


def y_limits(lines: Sequence[Line], bands: Sequence[Band] = (), most: float = math.inf) -> tuple[float, float]:
    """Ends of a y axis that neither a far point nor a long bar stretches; points of references always fit.

    Args:
        lines: Rows of a panel.
        bands: References.
        most: What nothing exceeds, whatever an interval says.
    """
    held = [point for line in lines if line.kind == "reference" for point in line.points]
    points = [*held, *_without_far([point for line in lines if line.kind != "reference" for point in line.points])]
    means = [point.mean for point in points] or [band.mean for band in bands] or [0.0]
    reach = max(max(means) - min(means), 3 * median([point.bar or 0.0 for point in points] or [0.0]), 1.0)
    levels = [band.mean + sign * (band.bar or 0.0) for band in bands for sign in (-1, 1)]
    low = min(
        [max(min(means) - reach, min(_ends(point, most)[0] for point in points)) if points else means[0], *levels]
    )
    high = max(
        [min(max(means) + reach, max(_ends(point, most)[1] for point in points)) if points else means[0], *levels]
    )
    high = min(high, most)
    room = max(ROOM * (high - low), 0.1)
    return low - room, high + room


def cuts_of(lines: Sequence[Line], low: float, high: float, most: float = math.inf) -> list[Cut]:
    """What lies beyond the ends of a y axis."""
    found = []
    for i, line in enumerate(lines):
        for k, point in enumerate(line.points):
            if not low <= point.mean <= high:
                found.append(Cut(i, k, point.mean > high, _told(line, point, point.mean)))
                continue
            bottom, top = _ends(point, most)
            found += [
                Cut(i, k, end > high, _told(line, point, end, "bar of "))
                for end in (bottom, top)
                if not low <= end <= high
            ]
    return found


def note_of(cuts: Sequence[Cut], width: int) -> str:
    """``cut off: ↓ idc at ipc 1: 49.6``, in lines of that many letters; "" where nothing is cut off."""
    if not cuts:
        return ""
    parts = [f"{'↑' if cut.up else '↓'} {cut.text}" for cut in cuts[:NAMED]]
    more = [f"{len(cuts) - NAMED} more"] if len(cuts) > NAMED else []
    return textwrap.fill(f"cut off: {'; '.join([*parts, *more])}", width, break_on_hyphens=False)


def _ends(point: Point, most: float) -> tuple[float, float]:
    return point.mean - (point.bar or 0.0), max(point.mean, min(point.mean + (point.bar or 0.0), most))


def _told(line: Line, point: Point, end: float, what: str = "") -> str:
    return f"{what}{line.label} at {point.budget}: {fixed(end, 1).replace('-', '−')}"


def _without_far(points: Sequence[Point]) -> list[Point]:
    """The points but those, at most one in ten, without which the axis is less than half as long.

    A point can only be far from others of its budget: without three of these it stays.
    """
    left = sorted(points, key=lambda point: point.mean)
    for _ in range(max(1, len(left) // 10)):
        if len(left) < FEWEST:
            break
        below, above = left[1].mean - left[0].mean, left[-1].mean - left[-2].mean
        place, gap = (0, below) if below > above else (-1, above)
        alone = Counter(point.budget for point in left)[left[place].budget] <= 3
        if alone or gap <= max(left[-1].mean - left[0].mean - gap, 1.0):
            break
        del left[place]
    return left
