"""Plots of results with matplotlib: accuracy by images per class and by cost, windows of the experts' training.

Colours and markers are those of the page (:mod:`ddbench.publish.looks`).
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, ScalarFormatter

from ddbench.publish.looks import GREY
from ddbench.publish.plots.frame import cuts_of, note_of, step_of, x_limits, y_limits
from ddbench.publish.plots.series import LEAST_S, Band, CostPanel, CrossingPanel, Line, Panel, WindowPanel
from ddbench.results.tables.costs import WORDS
from ddbench.results.tables.figures import compact, fixed

DPI = 130
ASIDE, NEAR = 0.02, 0.006
"""Largest distance on a log axis between points of one budget [decades]; where the place itself is a result."""
LETTERS = 42
"""In a line above or below a panel."""
CANVASES: dict[str, tuple[Any, dict[str, None]]] = {
    ".png": (FigureCanvasAgg, {"Software": None}),
    ".svg": (FigureCanvasSVG, {"Date": None, "Creator": None}),
    ".pdf": (FigureCanvasPdf, {"CreationDate": None, "Creator": None, "Producer": None}),
}
"""Ending of a file → what writes it, and what of its metadata is left out: no dates or versions."""

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
    """The figure in the format of the file's ending; equal plots are equal bytes."""
    content = io.BytesIO()
    canvas, metadata = CANVASES[target.suffix]
    with matplotlib.rc_context(STYLE):
        canvas(figure)
        figure.savefig(content, format=target.suffix[1:], dpi=DPI, metadata=metadata)
    return content.getvalue()


# --------------------------------------------------------------------------------------------------------------- plots


def ipc_plot(panels: Sequence[Panel]) -> Figure:
    """Accuracy against images per class, a panel per table."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _grid(len(panels))
        for axis, panel in zip(axes, panels, strict=True):
            _accuracies(axis, panel.lines, panel.bands, "images per class")
            _budgets(axis, panel.lines)
            axis.set(title=_wrapped(panel.title))
        _finish(figure, axes, [line for panel in panels for line in panel.lines])
        return figure


def cost_plot(panels: Sequence[CostPanel]) -> Figure:
    """Accuracy against cost with the Pareto front; budgets stand beside the points, as far as there is room."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _grid(len(panels), columns=2)
        for axis, panel in zip(axes, panels, strict=True):
            names = {
                "seconds": f"{WORDS[panel.timer]} to make one set, artifacts included [s]",
                "bytes": "stored bytes of one set [B]",
            }
            _accuracies(axis, panel.lines, panel.bands, names[panel.cost], widest=0.0)
            if panel.front:
                xs, ys = zip(*panel.front, strict=True)
                axis.step(xs, ys, where="post", color="#999999", linewidth=4, alpha=0.35, label=FRONT, zorder=1)
            axis.set(title=_wrapped(panel.title), xscale="log", xlim=x_limits(panel.lines, least=1.0))
            _compact_ticks(axis, panel.cost)
        _finish(figure, axes, [line for panel in panels for line in panel.lines], "numbers: budgets")
        _name_budgets(figure, axes, panels)
        return figure


def crossing_plot(panels: Sequence[CrossingPanel]) -> Figure:
    """Accuracy minus random against the share of the training images, with a cross where a line ends above zero."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _grid(len(panels))
        for axis, panel in zip(axes, panels, strict=True):
            axis.axhline(0, color="#000000", linewidth=1.0, zorder=1)
            places = _lines(axis, panel.lines, SHARE, bands=[Band("random", 0.0, None)], widest=NEAR)
            at = {one.row: one.at.percent for one in panel.crossings if one.at is not None and one.at.side == "inside"}
            mark = {"marker": "x", "markersize": 9, "markeredgewidth": 2, "linestyle": "none", "zorder": 4}
            for line, place in zip(panel.lines, places, strict=True):
                if line.label in at:
                    x = at[line.label] * place[0] / line.points[0].x  # with its line
                    axis.plot(x, 0, color=line.look.ink, **mark)
            _budgets(axis, panel.lines, NEAR)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
            axis.set(title=_wrapped(panel.title), ylabel="accuracy minus random [points]")
        _finish(figure, axes, [line for panel in panels for line in panel.lines], "×: crossing, see --views crossing")
        return figure


def window_plot(panels: Sequence[WindowPanel]) -> Figure:
    """Accuracy per window, latest minus earliest window, and how far the images moved; a row per table."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _grid(3 * len(panels), columns=3)
        for i, panel in enumerate(panels):
            accuracy, difference, change = axes[3 * i : 3 * i + 3]
            lines = (*panel.others, *panel.windows)
            _accuracies(accuracy, lines, panel.bands, "images per class")
            _budgets(accuracy, lines)
            accuracy.set(title=_wrapped(panel.title))
            _difference(difference, panel)
            _change(change, panel)
        _finish(figure, axes, [line for panel in panels for line in (*panel.windows, *panel.others)])
        return figure


# --------------------------------------------------------------------------------------------------------------- parts


def _grid(count: int, columns: int = 3) -> tuple[Figure, list[Any]]:
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(max(4.6, 3.5 * columns), 3.0 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, axes[:count]


def _accuracies(
    axis: Any, lines: Sequence[Line], bands: Sequence[Band], x_label: str, *, widest: float = ASIDE
) -> None:
    for band in bands:
        _band(axis, band)
    _lines(axis, lines, x_label, bands=bands, widest=widest, most=100.0)
    axis.set_ylabel("test accuracy [%]")


def _places(lines: Sequence[Line], widest: float) -> list[list[float]]:
    """Where the points of each row stand: rows step aside on a log axis, so that no bar hides another."""
    step = step_of(lines, widest)
    asides = [10 ** (step * (i - (len(lines) - 1) / 2)) for i in range(len(lines))]
    return [[point.x * aside for point in line.points] for line, aside in zip(lines, asides, strict=True)]


def _lines(
    axis: Any, lines: Sequence[Line], x_label: str, *, bands: Sequence[Band], widest: float, most: float = math.inf
) -> list[list[float]]:
    """Points, bars and what connects them; at the frame an arrow for what goes on beyond it, which is said below."""
    places, limits = _places(lines, widest), y_limits(lines, bands, most)
    cuts = cuts_of(lines, *limits, most)
    axis.set_ylim(limits)
    for i, (line, x) in enumerate(zip(lines, places, strict=True)):
        inside = [k for k, point in enumerate(line.points) if limits[0] <= point.mean <= limits[1]]
        axis.plot(x, [point.mean for point in line.points], label=line.label, markevery=inside, **line.look.style)
        for cap, interval in ((3, True), (0, False)):
            found = [
                (at, point.mean, point.bar)
                for at, point in zip(x, line.points, strict=True)
                if point.bar is not None and point.interval == interval
            ]
            if found:
                axis.errorbar(
                    *zip(*found, strict=True), color=line.look.ink, capsize=cap, linestyle="none", linewidth=1.0
                )
        for cut in (cut for cut in cuts if cut.line == i):
            arrow = {
                "label": "_cut",
                "marker": "^" if cut.up else "v",
                "markersize": 7,
                "color": line.look.ink,
                "linestyle": "none",
            }
            axis.plot(x[cut.point], 0.97 if cut.up else 0.03, transform=axis.get_xaxis_transform(), zorder=4, **arrow)
    axis.set_xlabel("\n".join(filter(None, [x_label, note_of(cuts, LETTERS)])))
    return places


def _repetitions(axis: Any, lines: Sequence[Line]) -> None:
    """Means, connected, and every repetition as a hollow mark."""
    for line, x in zip(lines, _places(lines, ASIDE), strict=True):
        axis.plot(x, [p.mean for p in line.points], label=line.label, **line.look.style)
        for at, point in zip(x, line.points, strict=True):
            marks = {"color": line.look.ink, "marker": line.look.marker, "markerfacecolor": "none", "markersize": 4}
            axis.plot([at] * point.n, point.values, linestyle="none", clip_on=False, **marks)


def _band(axis: Any, band: Band) -> None:
    axis.axhline(band.mean, color="#000000", linewidth=1.0, linestyle=(0, (1, 1)), label=band.label, zorder=1)
    if band.bar:
        axis.axhspan(band.mean - band.bar, band.mean + band.bar, color="#000000", alpha=0.12, linewidth=0, zorder=0)


def _budgets(axis: Any, lines: Sequence[Line], widest: float = ASIDE) -> None:
    """A logarithmic axis with a tick for each budget."""
    axis.set(xscale="log", xlim=x_limits(lines, step_of(lines, widest)))
    axis.xaxis.set_major_locator(FixedLocator(sorted({point.x for line in lines for point in line.points})))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(ScalarFormatter())


def _compact_ticks(axis: Any, cost: str) -> None:
    def text(value: float, _: int) -> str:
        if cost == "seconds" and math.isclose(value, LEAST_S):
            return f"≤ {LEAST_S:g}"
        return f"{value:g}" if value < 1000 else compact(value).replace(".0", "")

    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(text)


def _name_budgets(figure: Figure, axes: Sequence[Any], panels: Sequence[CostPanel]) -> None:
    """The budget beside each point, without the word ipc, where that hides no other and stays in the frame."""
    place = {"xytext": (4, 4), "textcoords": "offset points", "fontsize": 8, "color": GREY[0]}
    figure.draw_without_rendering()  # places are known from here on
    for axis, panel in zip(axes, panels, strict=True):
        taken: list[Any] = []
        for point in (point for line in panel.lines for point in line.points):
            text = axis.annotate(point.budget.removeprefix("ipc "), (point.x, point.mean), **place)
            box, frame = text.get_window_extent(), axis.get_window_extent()
            if box.x1 > frame.x1 or not frame.y0 < box.y0 < box.y1 < frame.y1 or box.count_overlaps(taken):
                text.remove()
            else:
                taken.append(box)


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
    _budgets(axis, panel.windows)
    axis.set(title=_wrapped(f"{late} − {early}"), xlabel="images per class", ylabel="difference, paired [points]")


def _change(axis: Any, panel: WindowPanel) -> None:
    """How far the images moved: logarithmic from 0.1 on, so that sets of all sizes show, and those that stood still."""
    _repetitions(axis, panel.changes)
    _budgets(axis, panel.changes)
    axis.set_xlabel("images per class")
    axis.set_yscale("symlog", linthresh=0.1, linscale=0.4)
    highest = max((value for line in panel.changes for point in line.points for value in point.values), default=1.0)
    ticks = [tick for tick in (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if tick <= 2 * highest]
    axis.yaxis.set_major_locator(FixedLocator(ticks))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_ylim(0, 1.2 * max(highest, 0.1))
    axis.set(title="how far the images moved\nhollow: repetitions", ylabel="‖X − X₀‖ / ‖X₀‖")


FIRST = ("reference", "method")
"""Kinds of rows with which a legend begins; controls follow."""
FRONT = "Pareto front"


def _finish(figure: Figure, axes: Sequence[Any], lines: Sequence[Line], *notes: str) -> None:
    """A legend below the panels in the order of the tables, and a figure as high as panels and legend need."""
    kinds = {line.label: FIRST.index(line.kind) if line.kind in FIRST else len(FIRST) for line in lines}
    entries: dict[str, Any] = {}
    for axis in sorted(axes, key=lambda axis: -len(axis.lines)):  # the table with most rows has most of their order
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    labels = sorted(entries, key=lambda label: kinds.get(label, len(FIRST) + 1 if label == FRONT else 0))
    figure.set_figwidth(max(figure.get_figwidth(), 7.0 if len(labels) > 12 else 0.0))
    letters = int(12 * figure.get_figwidth())  # at this size of type
    texts = [textwrap.fill(label, letters - 8, break_on_hyphens=False) for label in labels]
    note = textwrap.fill("; ".join([*_bar_notes(lines), *notes]), letters, break_on_hyphens=False)
    draw = partial(
        figure.legend, [entries[label] for label in labels], texts, loc="outside lower center", frameon=False,
        title=note, title_fontsize=8.5,
    )  # fmt: skip
    FigureCanvasAgg(figure)  # measures text
    for columns in range(min(len(labels), 8), 0, -1):
        legend = draw(ncols=columns)
        box = legend.get_window_extent()
        if columns == 1 or box.width <= figure.bbox.width:
            break
        legend.remove()
    more = max(axis.get_title().count("\n") + axis.get_xlabel().count("\n") for axis in axes) - 1
    panels = axes[0].get_gridspec().nrows * (3.0 + 0.17 * max(0, more))
    figure.set_figheight(panels + box.height / figure.dpi + 0.1)


def _bar_notes(lines: Iterable[Line]) -> list[str]:
    points = [point for line in lines for point in line.points]
    above = any(point.mean + (point.bar or 0) > 100 for point in points)
    parts = [BARS + ", cut above 100 %" * above] if any(point.interval for point in points) else []
    if any(point.bar is not None and not point.interval for point in points):
        parts.append("without caps: sd, n = 2")
    if few := [point.n for point in points if point.bar is None]:
        parts.append(f"without bars: {'n = 1' if max(few) == 1 else 'n < 3'}")
    return parts


def _wrapped(text: str, width: int = LETTERS) -> str:
    """A title in as many lines as it needs, broken at its dots, and within a part that is longer than a line."""
    lines = [""]
    for part in text.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return "\n".join(textwrap.fill(line, width, break_on_hyphens=False) for line in lines if line)
