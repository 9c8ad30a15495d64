"""Plots of results with matplotlib: accuracy by images per class and by cost, windows of the experts' training.

Colours and markers are those of the page (:mod:`ddbench.publish.looks`).
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

from ddbench.publish.looks import GREY
from ddbench.publish.plots.series import Band, CostPanel, CrossingPanel, Line, Panel, WindowPanel
from ddbench.results.tables.costs import WORDS
from ddbench.results.tables.figures import compact, fixed

DPI = 130
ASIDE = 1.05
"""Factor on a log axis between points that belong to one budget."""
NEAR = 1.015
"""The same where the place on the axis is itself a result."""

STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "svg.hashsalt": "ddbench",
}
BARS = "bars: 95 % t-interval over repetitions"
SHARE = "share of the training images [%]"


def encode(figure: Figure, target: Path) -> bytes:
    """The figure in the format of the file's ending; no dates or versions, so equal plots are equal bytes."""
    content = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        if target.suffix == ".svg":
            FigureCanvasSVG(figure)
            figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
        else:
            FigureCanvasAgg(figure)
            figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    return content.getvalue()


# --------------------------------------------------------------------------------------------------------------- plots


def ipc_plot(panels: Sequence[Panel]) -> Figure:
    """Accuracy against images per class, a panel per table."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _grid(len(panels))
        for axis, panel in zip(axes, panels, strict=True):
            for band in panel.bands:
                _band(axis, band)
            _lines(axis, panel.lines, apart=ASIDE)
            _ipc_axis(axis, panel.lines)
            _below_100(axis)
            axis.set(title=_wrapped(panel.title), ylabel="test accuracy [%]")
        _legend(figure, axes, _bar_note(line for panel in panels for line in panel.lines))
        return figure


def cost_plot(panels: Sequence[CostPanel]) -> Figure:
    """Accuracy against cost with the Pareto front; budgets stand beside the points."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _grid(len(panels), columns=2)
        for axis, panel in zip(axes, panels, strict=True):
            for band in panel.bands:
                _band(axis, band)
            if panel.front:
                xs, ys = zip(*panel.front, strict=True)
                axis.step(
                    xs, ys, where="post", color="#999999", linewidth=4, alpha=0.35, label="Pareto front", zorder=1
                )
            _lines(axis, panel.lines)
            axis.set_xscale("log")
            _compact_ticks(axis)
            _below_100(axis)
            _name_budgets(axis, panel.lines)
            names = {
                "seconds": f"{WORDS[panel.timer]} to make one set, artifacts included [s]",
                "bytes": "stored bytes of one set [B]",
            }
            axis.set(title=_wrapped(panel.title), xlabel=names[panel.cost], ylabel="test accuracy [%]")
        _legend(figure, axes, _bar_note(line for panel in panels for line in panel.lines) + "; numbers: budgets")
        return figure


def crossing_plot(panels: Sequence[CrossingPanel]) -> Figure:
    """Accuracy minus random against the share of the training images, with a cross where a line ends above zero."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _grid(len(panels))
        for axis, panel in zip(axes, panels, strict=True):
            axis.axhline(0, color="#000000", linewidth=1.0, zorder=1)
            _lines(axis, panel.lines, apart=NEAR)
            at = {one.row: one.at.percent for one in panel.crossings if one.at is not None and one.at.side == "inside"}
            mark = {"marker": "x", "markersize": 9, "markeredgewidth": 2, "linestyle": "none", "zorder": 4}
            for i, line in enumerate(panel.lines):
                if line.label in at:
                    x = at[line.label] * _aside(i, len(panel.lines), NEAR)  # with its line
                    axis.plot(x, 0, color=line.look.ink, **mark)
            _ipc_axis(axis, panel.lines)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
            axis.set(title=_wrapped(panel.title), xlabel=SHARE, ylabel="accuracy minus random [points]")
        few = any(point.bar is None for panel in panels for line in panel.lines for point in line.points)
        _legend(figure, axes, f"{BARS}{'; without bars: n < 3' if few else ''}; ×: crossing, see --views crossing")
        return figure


def window_plot(panels: Sequence[WindowPanel]) -> Figure:
    """Accuracy per window, latest minus earliest window, and how far the images moved; a row per table."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _grid(3 * len(panels), columns=3)
        for i, panel in enumerate(panels):
            accuracy, difference, change = axes[3 * i : 3 * i + 3]
            for band in panel.bands:
                _band(accuracy, band)
            _lines(accuracy, (*panel.others, *panel.windows), apart=ASIDE)
            _below_100(accuracy)
            _ipc_axis(accuracy, panel.windows)
            accuracy.set(title=_wrapped(panel.title), ylabel="test accuracy [%]")
            _difference(difference, panel)
            _change(change, panel)
        note = _bar_note(line for panel in panels for line in (*panel.windows, *panel.others))
        _legend(figure, axes, note)
        return figure


# --------------------------------------------------------------------------------------------------------------- parts


LEGEND_ROWS = 3
"""Rows of a legend for which :func:`_grid` leaves room."""


def _grid(count: int, columns: int = 3) -> tuple[Figure, list[Any]]:
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(max(4.6, 3.5 * columns), 3.0 * rows + 0.9), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, axes[:count]


def _aside(i: int, lines: int, apart: float) -> float:
    """By which factor a line steps aside on a log axis, so that no bar hides another."""
    return float(apart ** (i - (lines - 1) / 2))


def _lines(axis: Any, lines: Sequence[Line], *, apart: float = 1.0) -> None:
    """Points, bars and what connects them, so far apart as :func:`_aside` says."""
    for i, line in enumerate(lines):
        look, aside = line.look, _aside(i, len(lines), apart)
        x, y = [point.x * aside for point in line.points], [point.mean for point in line.points]
        axis.plot(x, y, label=line.label, **look.style)
        for at, point in zip(x, line.points, strict=True):
            if point.bar is not None:
                cap = 3 if point.interval else 0
                axis.errorbar(at, point.mean, point.bar, color=look.ink, capsize=cap, linestyle="none", linewidth=1.0)


def _repetitions(axis: Any, lines: Sequence[Line]) -> None:
    """Means, connected, and every repetition as a hollow mark."""
    for i, line in enumerate(lines):
        look, aside = line.look, _aside(i, len(lines), ASIDE)
        axis.plot([p.x * aside for p in line.points], [p.mean for p in line.points], label=line.label, **look.style)
        for point in line.points:
            marks = {"color": look.ink, "marker": look.marker, "markerfacecolor": "none", "markersize": 4}
            axis.plot([point.x * aside] * point.n, point.values, linestyle="none", clip_on=False, **marks)


def _band(axis: Any, band: Band) -> None:
    axis.axhline(band.mean, color="#000000", linewidth=1.0, linestyle=(0, (1, 1)), label=band.label, zorder=1)
    if band.bar:
        axis.axhspan(band.mean - band.bar, band.mean + band.bar, color="#000000", alpha=0.12, linewidth=0, zorder=0)


def _ipc_axis(axis: Any, lines: Sequence[Line]) -> None:
    axis.set_xscale("log")
    ticks = sorted({point.x for line in lines for point in line.points})
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(ScalarFormatter())
    if ticks:
        axis.set_xlim(min(ticks) / 1.35, max(ticks) * 1.35)
    axis.set_xlabel("images per class")


def _compact_ticks(axis: Any) -> None:
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value < 1000 else compact(value).replace(".0", ""))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _name_budgets(axis: Any, lines: Sequence[Line]) -> None:
    """The budget beside each point, without the word ipc."""
    for line in lines:
        for point in line.points:
            text = point.budget.removeprefix("ipc ")
            axis.annotate(
                text, (point.x, point.mean), xytext=(4, 4), textcoords="offset points", fontsize=8, color=GREY[0]
            )


def _difference(axis: Any, panel: WindowPanel) -> None:
    late, early = panel.between
    axis.axhline(0, color="#000000", linewidth=1.0)
    for ipc, found in panel.differences.items():
        if found is None:
            continue
        half = (found.high - found.low) / 2
        axis.errorbar(
            ipc, found.difference, half, color="#000000", marker="D", markersize=5, capsize=3, linestyle="none"
        )
        text = fixed(found.difference, 1, sign=True).replace("-", "−")
        axis.annotate(text, (ipc, found.difference), xytext=(7, -3), textcoords="offset points", fontsize=8.5)
    if not any(panel.differences.values()):
        axis.text(0.5, 0.6, "fewer than three\nrepetitions in common", ha="center", transform=axis.transAxes)
    _ipc_axis(axis, panel.windows)
    axis.set(title=_wrapped(f"{late} − {early}"), ylabel="difference, paired [points]")


def _change(axis: Any, panel: WindowPanel) -> None:
    """How far the images moved: logarithmic from 0.1 on, so that sets of all sizes show, and those that stood still."""
    _repetitions(axis, panel.changes)
    _ipc_axis(axis, panel.changes)
    axis.set_yscale("symlog", linthresh=0.1, linscale=0.4)
    highest = max((value for line in panel.changes for point in line.points for value in point.values), default=1.0)
    ticks = [tick for tick in (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if tick <= 2 * highest]
    axis.yaxis.set_major_locator(FixedLocator(ticks))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_ylim(0, 1.2 * max(highest, 0.1))
    axis.set(title="how far the images moved\nhollow: repetitions", ylabel="‖X − X₀‖ / ‖X₀‖")


def _below_100(axis: Any) -> None:
    """No accuracy is above 100 %, whatever an interval says."""
    axis.set_ylim(top=min(axis.get_ylim()[1], 100.5))


def _legend(figure: Figure, axes: Sequence[Any], note: str) -> None:
    entries: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    widest = 0.6 + 0.085 * max(map(len, entries), default=0)  # inches: the sample, and its name at this size of type
    columns = max(1, min(len(entries), int(figure.get_figwidth() / widest)))
    more = math.ceil(len(entries) / columns) - LEGEND_ROWS
    figure.set_figheight(figure.get_figheight() + 0.2 * max(0, more))  # panels keep their size
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=columns, frameon=False, title=note,
        title_fontsize=8.5,
    )  # fmt: skip


def _bar_note(lines: Iterable[Line]) -> str:
    points = [point for line in lines for point in line.points]
    parts = [BARS] if any(point.interval for point in points) else []
    if any(point.bar is not None and not point.interval for point in points):
        parts.append("without caps: sd, n = 2")
    if any(point.bar is None for point in points):
        parts.append("without bars: n = 1")
    return "; ".join(parts)


def _wrapped(text: str, width: int = 46) -> str:
    """A title in as many lines as it needs, broken at its dots."""
    lines = [""]
    for part in text.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return "\n".join(line for line in lines if line)
