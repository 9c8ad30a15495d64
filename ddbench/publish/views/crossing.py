"""The view ``crossing``: from which size of the set on random real images are no worse, a row per method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ddbench.publish.views.columns import COUNT, Column, Style, column, label_of
from ddbench.publish.views.view import View, caution, empty_view
from ddbench.results.scores.crossing import Crossing, Share, crossings_of, grid_of
from ddbench.results.stats.crossings import RESAMPLES
from ddbench.results.tables.cells import in_common
from ddbench.results.tables.conditions import place
from ddbench.results.tables.figures import NONE, significant
from ddbench.results.tables.tables import Table

CAPTION = "from which size on random is no worse"
MEANING = (
    "crossing: the smallest share of the training images from which on random is not worse at any larger budget, by "
    "the means, all draws of random; between two budgets by a straight line over the logarithm of the share"
)
OUTSIDE = "≤ {first}: random is not worse at any budget; > {last}: the row is still better at the largest"
INTERVAL = (
    f"95 % interval: of {RESAMPLES:,} resamples of the repetitions, the same ones at every budget; an end may lie "
    "outside the grid"
)


def share_text(percent: float) -> str:
    """``0.84 %``, ``7.3 %``, ``12.4 %``."""
    return f"{_shown(percent):g} %"


def end_text(share: Share) -> str:
    """``7.3 %``, ``≤ 1 %``, ``> 30 %``."""
    sign = {"below": "≤ ", "inside": "", "above": "> "}[share.side]
    return sign + share_text(share.percent)


def crossing_text(found: Crossing) -> str:
    """``7.3 %``, ``≤ 1 %``, ``not within the grid (> 30 %)``."""
    if found.at is None:
        return NONE
    text = end_text(found.at)
    return f"not within the grid ({text})" if found.at.side == "above" else text


def interval_text(found: Crossing) -> str:
    """``[2.1 %, > 30 %]``."""
    if found.low is None or found.high is None:
        return NONE
    return f"[{end_text(found.low)}, {end_text(found.high)}]"


def _shown(percent: float) -> float:
    return significant(percent, 2 if percent < 9.95 else 3)


_SHARE = Style(share_text, _shown)


def _inside(found: Crossing) -> float | None:
    return found.at.percent if found.at is not None and found.at.side == "inside" else None


def _interval(found: Crossing) -> tuple[Share, Share] | None:
    return None if found.low is None or found.high is None else (found.low, found.high)


def _ends(part: str) -> Any:
    """Of both ends of the interval, where there is one."""
    return lambda found: None if (ends := _interval(found)) is None else tuple(getattr(end, part) for end in ends)


CROSSING: tuple[Column[Crossing], ...] = (
    column("row", text=lambda found: label_of(found) + " (as run)" * found.as_run), column("source"),
    column("n", COUNT), column("draws"),
    column("crossing", _SHARE, "crossing", value=_inside, text=crossing_text),
    column("side", value=lambda found: None if found.at is None else found.at.side),
    column("interval", header="95 % interval", value=_ends("percent"), text=interval_text),
    column("interval_sides", value=_ends("side")),
    column("why", header="why", value=lambda found: found.why or None, optional=True),
)  # fmt: skip
"""Crossings; programs read ``side`` and ``interval_sides``: whether a share is inside the grid, or its first or last
budget stands for what lies below or above."""


def crossing_views(tables: Sequence[Table]) -> list[View]:
    """The crossings of every table that has any."""
    found = [_view(table, rows) for table in tables if (rows := crossings_of(table))]
    return found or [empty_view("crossing", CAPTION, "this needs a method and random at two budgets of one table")]


def _dips(found: Crossing) -> list[str]:
    """Labels of the budgets below the crossing at which the row is not above random: its curve rises there."""
    if found.at is None or found.at.side == "below":
        return []
    last = max(i for i, gap in enumerate(found.gaps) if gap.difference > 0)
    return [gap.budget for gap in found.gaps[:last] if gap.difference <= 0]


def _view(table: Table, rows: Sequence[Crossing]) -> View:
    grid = [one.share for one in grid_of(table)]
    first, last = map(share_text, (grid[0], grid[-1]))
    outside = OUTSIDE.format(first=first, last=last)
    notes = [MEANING, f"the grid: {', '.join(map(share_text, grid))}; {outside}", INTERVAL]
    low = [f"{label_of(row)} ({', '.join(dips)})" for row in rows if (dips := _dips(row))]
    notes += [f"not above random before their crossing either, by the means: {', '.join(low)}"] if low else []
    notes += caution(row.n for row in rows if row.at is not None)
    shared: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if row.conditional and row.at is not None:
            shared.setdefault(row.conditional, []).append(label_of(row))
    notes += [
        f"no significance claimed for {', '.join(labels)}: {in_common(names)}" for names, labels in shared.items()
    ]
    caption = f"{CAPTION} · {place(table)} · share of the training images"
    return View("crossing", caption, notes, CROSSING, rows, {"where": place(table), "grid": grid})
