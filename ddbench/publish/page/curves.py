"""Curves as geometry: where points, intervals, ticks and fronts lie in a drawing; the template turns them into SVG.

Symbols: values in the units of the axis, places in the units of the drawing's view box, whose y axis points down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ddbench.core.records import Timer
from ddbench.publish.looks import Look
from ddbench.publish.plots.series import LEAST_S, pareto
from ddbench.results.tables.costs import WORDS

WIDTH, HEIGHT = 460.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 48.0, 14.0, 40.0
APART = 5.0
"""Distance between points that share an x, so that their intervals stay readable [view box units]."""


@dataclass(frozen=True, slots=True)
class Value:
    """One cell in a curve.

    Attributes:
        x: Images per class, or seconds.
        y: Mean accuracy [%].
        low: Lower end of the 95 % interval; None without one.
        high: Upper end.
        cell: Id of the cell.
        title: What a pointer over it shows.
        front: Whether it lies on the Pareto front of its table.
    """

    x: float
    y: float
    low: float | None
    high: float | None
    cell: str
    title: str
    front: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """A row of the table.

    Attributes:
        label: Its label.
        look: How it is drawn.
        values: Its cells, in ascending x.
    """

    label: str
    look: Look
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point in the drawing; ``top`` and ``bottom`` are the ends of its interval, cut at the edges."""

    x: float
    y: float
    top: float | None
    bottom: float | None
    value: Value


@dataclass(frozen=True, slots=True)
class Drawn:
    """A series in the drawing: its marks and the path through them."""

    series: Series
    marks: tuple[Mark, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Front:
    """The Pareto front: its path, and its name at the right end."""

    label: str
    path: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template needs.

    Attributes:
        title: What it shows.
        x_label: Name and unit of the x axis.
        x_ticks: Place and text.
        y_ticks: Place and text.
        drawn: Series.
        front: Pareto front, None where none is asked for, or no point lies on it.
        levels: Height and label of references, drawn across.
    """

    title: str
    x_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    drawn: tuple[Drawn, ...]
    front: Front | None = None
    levels: tuple[tuple[float, str], ...] = ()


def ipc_chart(
    series: Sequence[Series], ticks: Sequence[tuple[float, str]], levels: Sequence[tuple[float, str]], x_label: str
) -> Chart | None:
    """Accuracy against budget on a logarithmic axis; None for fewer than two budgets with results."""
    known = [each for each in series if each.values]
    if len({value.x for each in known for value in each.values}) < 2:
        return None
    xs = [value.x for each in known for value in each.values]
    place = _log_axis(min(xs) / 1.35, max(xs) * 1.35)
    height, y_ticks = _y_axis(known, [level for level, _ in levels])
    shifts = [(i - (len(known) - 1) / 2) * min(APART, 40.0 / len(known)) for i in range(len(known))]
    drawn = [_drawn(each, _shifted(place, shift), height) for each, shift in zip(known, shifts, strict=True)]
    return Chart(
        "Accuracy by size of the set",
        x_label,
        tuple((_r(place(x)), text) for x, text in ticks if min(xs) <= x <= max(xs)),
        y_ticks,
        tuple(drawn),
        levels=tuple((_r(height(level)), label) for level, label in levels),
    )


def cost_chart(series: Sequence[Series], timer: Timer = "wall") -> Chart | None:
    """Accuracy against seconds on a logarithmic axis, with the Pareto front of all budgets; None without two points.

    Args:
        series: A curve for each row.
        timer: What its seconds were read from.
    """
    known = [each for each in series if each.values]
    values = [value for each in known for value in each.values]
    if len(values) < 2:
        return None
    xs = [max(value.x, LEAST_S) for value in values]
    low, high = min(xs) / 1.6, max(max(xs) * 1.6, min(xs) * 10)
    place = _log_axis(low, high)
    height, y_ticks = _y_axis(known, [])
    # No line through the points: sets of different sizes are no curve over cost.
    drawn = [replace(_drawn(each, lambda x: place(max(x, LEAST_S)), height), path="") for each in known]
    return Chart(
        "Accuracy by cost of the set",
        f"{WORDS[timer]} to make one set, with what it can open of shared artifacts",
        tuple((_r(place(x)), _seconds(x)) for x in _decades(low, high)),
        y_ticks,
        tuple(drawn),
        front=_front([value for value in values if value.front], place, height),
    )


def _front(values: Sequence[Value], place: Axis, height: Axis) -> Front | None:
    corners = pareto([(max(value.x, LEAST_S), value.y) for value in values])
    if not corners:
        return None
    x, y = corners[0]
    path = f"M{_r(place(x))} {_r(height(y))}"
    for x, y in corners[1:]:
        path += f"H{_r(place(x))}V{_r(height(y))}"
    end = WIDTH - RIGHT
    return Front("Pareto", f"{path}H{_r(end)}", _r(end + 4), _r(height(y) + 4))


Axis = Callable[[float], float]


def _shifted(place: Axis, by: float) -> Axis:
    return lambda x: place(x) + by


def _log_axis(low: float, high: float) -> Axis:
    start, end = math.log10(low), math.log10(high)
    return lambda x: LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(x) - start) / (end - start)


def _y_axis(series: Sequence[Series], levels: Sequence[float]) -> tuple[Axis, tuple[tuple[float, str], ...]]:
    """A linear axis that holds all means, and intervals as far as accuracies go, with round ticks."""
    ends = [end for each in series for v in each.values for end in (v.y, v.low, v.high) if end is not None]
    low, high = max(0.0, min([*ends, *levels])), min(100.0, max([*ends, *levels]))
    step = next((step for step in (0.5, 1, 2, 5, 10) if (high - low) / step <= 6), 20)
    bottom, top = math.floor(low / step) * step, min(100.0, math.ceil(high / step) * step)
    if top <= bottom:
        bottom = top - step
    room = HEIGHT - TOP - BOTTOM

    def height(y: float) -> float:
        return TOP + room * (top - min(max(y, bottom), top)) / (top - bottom)

    ticks = [bottom + i * step for i in range(round((top - bottom) / step + 1e-9) + 1)]
    return height, tuple((_r(height(tick)), f"{tick:g}") for tick in ticks if tick <= top)


def _drawn(series: Series, place: Axis, height: Axis) -> Drawn:
    marks = tuple(
        Mark(
            _r(place(value.x)), _r(height(value.y)),
            None if value.high is None else _r(height(value.high)),
            None if value.low is None else _r(height(value.low)),
            value,
        )
        for value in series.values
    )  # fmt: skip
    path = "M" + "L".join(f"{mark.x} {mark.y}" for mark in marks) if len(marks) > 1 else ""
    return Drawn(series, marks, path)


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten on an axis; where it is short, 2 and 5 times them as well."""
    for factors in ((1,), (1, 3), (1, 2, 5)):
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        ticks = [f * 10.0**k for k in range(first, last + 1) for f in factors if low <= f * 10.0**k <= high]
        if len(ticks) >= 3:
            break
    return ticks


def _seconds(x: float) -> str:
    return f"≤ {LEAST_S:g}" if math.isclose(x, LEAST_S) else f"{x:g}" if x < 10_000 else f"{x / 1000:g} k"


def _r(value: float) -> float:
    """Two decimals: a hundredth of a unit cannot be seen, and equal inputs give equal text everywhere."""
    return round(value, 2) + 0.0
