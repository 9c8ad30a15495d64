"""Tables → what plots draw: points with their intervals, Pareto fronts, windows. Draws nothing, imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ddbench.core.records import Record, Timer
from ddbench.core.roles import CONTROLS, Kind
from ddbench.publish.looks import Look, drawn, looks
from ddbench.results.scores.crossing import Crossing, Gap, crossings_of
from ddbench.results.scores.scores import front_of, making_timer
from ddbench.results.stats import Paired, paired, summary
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.conditions import protocol_of
from ddbench.results.tables.observations import Setting, observe
from ddbench.results.tables.tables import Row, Table, tables_of

WINDOW = "window_first_top1"
"""What methods call the experts' accuracy where the window that they matched begins [%]."""
LEAST_S = 0.1
"""Seconds below this stand there: clocks say no more, and a logarithm has no place for 0."""
Looks = Mapping[str, Look]
"""By the label that people read."""


@dataclass(frozen=True, slots=True)
class Point:
    """One cell in a plot.

    Attributes:
        x: Where it stands: images per class, seconds, bytes.
        mean: Mean over repetitions.
        bar: Half of its error bar; None for a single repetition.
        interval: Whether the bar is the 95 % t-interval (three or more repetitions) or else the sd.
        n: Repetitions.
        budget: Label of its budget.
        values: The repetitions behind the mean, in their order.
    """

    x: float
    mean: float
    bar: float | None
    interval: bool
    n: int
    budget: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table in a plot; ``points`` ascend in x, and ``kind`` is that of its role."""

    label: str
    look: Look
    points: tuple[Point, ...]
    kind: Kind = "method"


@dataclass(frozen=True, slots=True)
class Band:
    """A reference, which stands at no budget: its mean and half of its bar."""

    label: str
    mean: float
    bar: float | None


@dataclass(frozen=True, slots=True)
class Panel:
    """One table in a plot."""

    title: str
    lines: tuple[Line, ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class CostPanel:
    """One table against one cost.

    Attributes:
        title: What the table is about.
        cost: ``seconds`` to make one set, artifacts included, or its stored ``bytes``.
        lines: As in :class:`Panel`; a row's points are its budgets.
        bands: References.
        front: (cost, accuracy) of the points on the Pareto front of the table, all budgets together, ascending.
        timer: What its seconds were read from.
    """

    title: str
    cost: str
    lines: tuple[Line, ...]
    bands: tuple[Band, ...]
    front: tuple[tuple[float, float], ...]
    timer: Timer = "wall"


@dataclass(frozen=True, slots=True)
class WindowPanel:
    """A suite that compares windows of the experts' training.

    Attributes:
        title: What the table is about.
        windows: Accuracy by images per class, a line per window, from the earliest to the latest.
        others: ``random`` and rows without steps.
        bands: References.
        between: ``late − early``: the labels of the rows behind ``differences``.
        differences: Images per class → latest minus earliest, paired over repetitions [points]; None without three.
        changes: ‖X − X₀‖ / ‖X₀‖ by images per class, a line per window.
    """

    title: str
    windows: tuple[Line, ...]
    others: tuple[Line, ...]
    bands: tuple[Band, ...]
    between: tuple[str, str]
    differences: Mapping[int, Paired | None]
    changes: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class CrossingPanel:
    """One table: accuracy minus random by the share of the training images.

    Attributes:
        title: What the table is about.
        lines: As in :class:`Panel`; points are differences, with half of their 95 % interval.
        crossings: A method each, in the order of the table.
    """

    title: str
    lines: tuple[Line, ...]
    crossings: tuple[Crossing, ...]


def title_of(table: Table) -> str:
    """``digits · hard@2 (short: 1000 updates) · convnet3-w32-in``; with the split and whitening if not the usual."""
    s = table.setting
    data = table.dataset if table.split == "default" else f"{table.dataset} (split {table.split})"
    student = str(s.eval_arch) if s.eval_arch == s.arch else f"{s.arch} → {s.eval_arch}"
    return " · ".join(
        [data, *([] if table.preprocess == "meanstd" else [table.preprocess]), protocol_of(table), student]
    )


def without_controls(tables: Sequence[Table], named: Collection[str] = ()) -> tuple[list[Table], list[str]]:
    """The tables with their references and methods alone, and the labels of the rows that were left out.

    Args:
        tables: The tables.
        named: Rows that stay, by label, or by method where that is nothing but a control.
    """
    kept, left = [], dict[str, None]()
    for table in tables:
        out = [row for row in table.rows if row.role.is_control and not _is_named(row, named)]
        left |= dict.fromkeys(row.shown_label for row in out)
        kept.append(replace(table, rows=tuple(row for row in table.rows if row not in out)))
    return kept, list(left)


def _is_named(row: Row, named: Collection[str]) -> bool:
    return row.label in named or (row.method in CONTROLS and row.method in named)


def ipc_series(tables: Sequence[Table], seen: Looks | None = None) -> list[Panel]:
    """Accuracy against images per class: a panel per table, a line per row; budgets in fractions are left out.

    Args:
        tables: The tables.
        seen: How rows look; None: by their order in these tables.
    """
    seen, panels = seen or looks(drawn(tables)), []
    for table in tables:
        lines = tuple(_line(row, points, seen) for row in table.rows if (points := _by_ipc(table, row)))
        if lines:
            panels.append(Panel(title_of(table), lines, _bands(table)))
    return panels


def cost_points(tables: Sequence[Table], seen: Looks | None = None) -> list[CostPanel]:
    """Accuracy against what a set costs: per table, first in seconds, then in bytes.

    Seconds are those to prepare and condense, and those of what the method can open of the artifacts that the set was
    made from, even when other sets were made from them too. Rows that condensed nothing here have no point. For
    ``seen`` see :func:`ipc_series`.
    """
    seen = seen or looks(drawn(tables))
    return [panel for table in tables for cost in ("seconds", "bytes") if (panel := _cost_panel(table, cost, seen))]


def pareto(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Of (cost, accuracy) those that no other matches or beats in both, ascending in both."""
    front: list[tuple[float, float]] = []
    for cost, accuracy in sorted(set(points), key=lambda p: (p[0], -p[1])):
        if not front or accuracy > front[-1][1]:
            front.append((cost, accuracy))
    return tuple(front)


def crossing_series(tables: Sequence[Table], seen: Looks | None = None) -> list[CrossingPanel]:
    """Difference to random against the size of sets, a panel per table with two budgets; ``seen``: as ipc_series."""
    seen, panels = seen or looks(drawn(tables)), []
    for table in tables:
        found = crossings_of(table)
        lines = [Line(one.row, seen[one.row], tuple(map(_gap_point, one.gaps))) for one in found if one.gaps]
        if lines:
            panels.append(CrossingPanel(title_of(table), tuple(lines), tuple(found)))
    return panels


def _gap_point(gap: Gap) -> Point:
    """A difference as a point; the repetitions behind it are those of two cells."""
    return Point(gap.share, gap.difference, gap.half_width, True, gap.n, gap.budget, ())


def window_series(records: Sequence[Record], seen: Looks | None = None) -> list[WindowPanel]:
    """Tables with two or more rows that say where on the experts' way they matched; for ``seen`` see ipc_series."""
    changes, tables = _changes(records), tables_of(records)
    seen = seen or looks(drawn(tables))
    return [panel for table in tables if (panel := _window_panel(table, changes, seen))]


# -------------------------------------------------------------------------------------------------------------- parts


def _line(row: Row, points: tuple[Point, ...], seen: Looks) -> Line:
    return Line(row.shown_label, seen[row.shown_label], points, row.role.kind)


def _point(x: float, scores: Mapping[int, float], budget: str) -> Point:
    values = tuple(scores[r] for r in sorted(scores))
    found = summary(values)
    interval = found.half_width is not None
    return Point(x, found.mean, found.half_width if interval else found.sd, interval, found.n, budget, values)


def _cells(table: Table, row: Row) -> Iterator[tuple[int, Cell]]:
    """Position of the budget and cell, where there is a result; references stand at no budget."""
    for i, cell in enumerate(() if row.spans else row.cells):
        if cell is not None and cell.scores:
            yield i, cell


def _by_ipc(table: Table, row: Row) -> tuple[Point, ...]:
    budgets = [column.budget for column in table.columns]
    return tuple(
        _point(ipc, cell.scores, budgets[i].label)
        for i, cell in _cells(table, row)
        if (ipc := budgets[i].ipc) is not None
    )


def _bands(table: Table) -> tuple[Band, ...]:
    found = [(row.shown_label, row.cells[0].summary) for row in table.rows if row.spans and row.cells[0] is not None]
    return tuple(
        Band(label, s.mean, s.half_width if s.half_width is not None else s.sd) for label, s in found if s is not None
    )


def _cost_panel(table: Table, cost: str, seen: Looks) -> CostPanel | None:
    members, timer = front_of(table, cost), making_timer(table)
    lines, front = [], list[tuple[float, float]]()
    for row in table.rows:
        points = []
        for i, cell in _cells(table, row):
            if (value := cell.cost.bytes or None if cost == "bytes" else cell.cost.making(timer)) is not None:
                value = max(value, LEAST_S)
                points.append(_point(value, cell.scores, table.columns[i].budget.label))
                if (row.label, table.columns[i].label) in members:
                    front.append((value, points[-1].mean))
        if points:
            lines.append(_line(row, tuple(sorted(points, key=lambda p: p.x)), seen))
    if not lines:
        return None
    return CostPanel(title_of(table), cost, tuple(lines), _bands(table), pareto(front), timer)


Changes = dict[tuple[Setting, str, int], dict[int, float]]


def _changes(records: Sequence[Record]) -> Changes:
    """(table, row, ipc) → repetition → ‖X − X₀‖ / ‖X₀‖."""
    found: Changes = {}
    for o in observe(records):
        ipc = None if o.budget is None else o.budget.ipc
        change = None if o.condensation is None else o.condensation.metrics.get("image_change")
        if ipc is not None and change is not None:
            found.setdefault((o.setting, o.row, ipc), {})[o.r] = float(change)
    return found


def _window_panel(table: Table, changes: Changes, seen: Looks) -> WindowPanel | None:
    rows = _windows(table)
    if len(rows) < 2 or not any(_by_ipc(table, row) for row in rows):
        return None
    early, late = rows[0], rows[-1]
    others = [row for row in table.rows if row not in rows and not row.spans]
    return WindowPanel(
        title_of(table),
        tuple(_line(row, _by_ipc(table, row), seen) for row in rows),
        tuple(_line(row, points, seen) for row in others if (points := _by_ipc(table, row))),
        _bands(table),
        (late.shown_label, early.shown_label),
        _between(table, early, late),
        tuple(_line(row, _change_points(table, row, changes), seen) for row in rows),
    )


def _windows(table: Table) -> list[Row]:
    """The rows that say where on the experts' way they matched, from the earliest to the latest."""
    starts: dict[str, float] = {}
    for row in table.rows:
        found = [cell.details[WINDOW] for cell in row.cells if cell is not None and WINDOW in cell.details]
        if found and row.role.kind != "start":
            starts[row.label] = min(found)
    return sorted((row for row in table.rows if row.label in starts), key=lambda row: starts[row.label])


def _between(table: Table, early: Row, late: Row) -> dict[int, Paired | None]:
    """Images per class → late minus early, where both have results."""
    return {
        column.budget.ipc: paired(b.scores, a.scores)
        for column, a, b in zip(table.columns, early.cells, late.cells, strict=True)
        if column.budget.ipc is not None and a is not None and b is not None and a.scores and b.scores
    }


def _change_points(table: Table, row: Row, changes: Changes) -> tuple[Point, ...]:
    points = []
    for column in table.columns:
        ipc = column.budget.ipc
        values = None if ipc is None else changes.get((table.setting, row.label, ipc))
        if ipc is not None and values:
            points.append(_point(ipc, values, column.budget.label))
    return tuple(points)
