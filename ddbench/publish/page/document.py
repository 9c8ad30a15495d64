"""Records → what the template shows, as plain values: no number is computed here that the text tables do not have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from typing import Any

from ddbench.core.keys import short
from ddbench.core.records import Record
from ddbench.publish.looks import Look, drawn, looks
from ddbench.publish.page.curves import BOTTOM as BELOW
from ddbench.publish.page.curves import (
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    Series,
    Value,
    cost_chart,
    ipc_chart,
)
from ddbench.publish.page.gallery import galleries
from ddbench.publish.page.panels import Panels, Place, cell_id, table_id
from ddbench.publish.page.tiles import Picture
from ddbench.publish.text.captions import caption
from ddbench.publish.views.catalog import views_of
from ddbench.publish.views.columns import Column
from ddbench.publish.views.cost import cost_view
from ddbench.publish.views.inside_methods import details_view
from ddbench.publish.views.main import differences_view, main_view
from ddbench.publish.views.scores import scores_view
from ddbench.publish.views.students import students_view
from ddbench.publish.views.verdicts import verdicts_view
from ddbench.publish.views.view import View
from ddbench.results.scores.cross import Cross, cross_tables, groups_of
from ddbench.results.scores.scores import front_of, making_timer
from ddbench.results.tables.conditions import protocol_of
from ddbench.results.tables.figures import compact
from ddbench.results.tables.observations import Observation
from ddbench.results.tables.tables import BudgetColumn, Row, Table

ACROSS = {
    "regime": "Labels and augmentation", "ranks": "Average ranks",
    "stability": "Does the order depend on protocol, student, budget?", "lossless": "As good as all the data?",
}  # fmt: skip
"""Views over all tables."""
ASKED = {"crossing": "From which size on random is no worse"}
"""Views of each table that a page shows where it asks for them."""
KINDS = ("reference", "selection", "distillation")

PER_CLASS, SHARE, IMAGES = "images per class", "share of the training images [%]", "images"
"""What an axis counts; images where some budgets are per class and others shares."""


def document(
    records: Sequence[Record], observed: Sequence[Observation], tables: Sequence[Table], title: str,
    sources: Sequence[str], notes: Sequence[str], pictures: Iterable[Picture], asked: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """All values of the template; ``asked`` are names of :data:`ASKED`."""
    pictures = list(pictures)
    places = _by_place(observed)
    seen = looks(drawn(tables))
    panels = Panels({record.key: record for record in records if record.kind == "evaluation"}, places)
    cells: dict[str, Any] = {}
    groups = [_group(members, panels, cells, seen, tables, asked) for members in groups_of(tables)]
    shown = [section for group in groups for section in group["sections"]]
    return {
        "title": title,
        "sources": sources,
        "notes": [*notes, *_left_out(records, pictures)],
        "span": _span(records),
        "groups": groups,
        "across": _across(tables),
        "galleries": galleries(tables, places, pictures),
        "choices": {
            name: list(dict.fromkeys(section[name] for section in shown))
            for name in ("dataset", "protocol", "student")
        },
        "kinds": [kind for kind in KINDS if any(kind in section["kinds"] for section in shown)],
        "looks": seen,
        "frame": {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "top": TOP,
                  "bottom": HEIGHT - BELOW},
        "data": {"cells": cells, "params": panels.parameters.values(), "envs": panels.environments.values()},
    }  # fmt: skip


def _left_out(records: Iterable[Record], pictures: Iterable[Picture]) -> list[str]:
    """What is said of sets whose pictures cannot be shown beside their records."""
    made = {(record.key, record.set_sha256) for record in records if record.kind == "condense"}
    known = {key for key, _ in made}
    other = {p.key for p in pictures if p.key in known and (p.key, p.set_sha256) not in made}
    if not other:
        return []
    keys = ", ".join(sorted(map(short, other)))
    return [f"Pictures left out, because the records are of another making of the set than the pictures: {keys}."]


def _by_place(observations: Iterable[Observation]) -> dict[Place, list[Observation]]:
    found: dict[Place, list[Observation]] = {}
    for observation in sorted(observations, key=lambda o: (o.r, o.e)):
        found.setdefault((observation.setting, observation.row, observation.budget), []).append(observation)
    return found


def _beside(table: Table, tables: Sequence[Table], asked: Sequence[str]) -> list[dict[str, Any]]:
    """What can be opened below a table, in order."""
    views = {
        "Verdicts on pairs of methods": verdicts_view(table),
        "Derived scores of every cell": scores_view(table, tables),
        "Cost of every cell": cost_view(table),
        "What the methods say about their runs": details_view(table),
        **{ASKED[name]: view for name in asked for view in views_of([table], [name])},
    }
    return [_opened(title, [view], _controls([table])) for title, view in views.items() if view.rows]


def _across(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """What can be opened below all tables; views with nothing to show are left out."""
    found = {name: [view for view in views_of(tables, [name]) if view.rows] for name in ACROSS}
    return [_opened(ACROSS[name], views, _controls(tables)) for name, views in found.items() if views]


def _opened(title: str, views: Sequence[View], controls: Set[str]) -> dict[str, Any]:
    return {"title": title, "parts": [_grid(view, controls) for view in views]}


def _controls(tables: Iterable[Table]) -> frozenset[str]:
    return frozenset(row.label for table in tables for row in table.rows if row.role.is_control)


def _group(
    members: list[Table], panels: Panels, cells: dict[str, Any], seen: dict[str, Look], tables: Sequence[Table],
    asked: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    first = members[0]
    split = "" if first.split == "default" else f" (split {first.split})"
    return {
        "id": "g" + table_id(first.setting)[1:],
        "title": f"{first.named}{split} · {first.setting.protocol}",
        "subtitle": f"{first.setting.arch} · {first.preprocess} · {protocol_of(first)}",
        "sections": [_section(table, panels, cells, seen, tables, asked) for table in members],
        "crosses": [
            _grid(students_view(cross), _controls(members)) for cross in cross_tables(members) if _compares(cross)
        ],
    }


def _compares(cross: Cross) -> bool:
    """Whether more than one student has results besides references: at some budgets only one was trained."""
    columns = zip(*cross.rows.values(), strict=True)
    return sum(any(c is not None and c.scores and c.kind != "reference" for c in column) for column in columns) > 1


def _section(
    table: Table, panels: Panels, cells: dict[str, Any], seen: dict[str, Look], tables: Sequence[Table],
    asked: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    setting, where = table.setting, caption(table)
    for row, _, column, cell in table.filled():
        place = (setting, row.label, None if column is None else column.budget)
        cells[cell_id(place)] = panels.panel(table, where, row, column, cell)
    series, costs = (_series(table, seen, cost=cost) for cost in (False, True))
    charts = _by_size(table, series), cost_chart(costs, making_timer(table))
    main, versus = main_view(table), differences_view(table)
    return {
        "id": table_id(setting),
        "dataset": table.named,
        "protocol": str(setting.protocol),
        "student": str(setting.eval_arch),
        "own": setting.eval_arch == setting.arch,
        "kinds": sorted({row.kind for row in table.rows}),
        "caption": where,
        "main": _main(table, main),
        "legend": main.notes,
        "differences": None if versus is None else _grid(versus, _controls([table])),
        "beside": _beside(table, tables, asked),
        "missing": _missing(table),
        "charts": [chart for chart in charts if chart is not None],
    }  # fmt: skip


def _main(table: Table, view: View) -> dict[str, Any]:
    """The main table with an id for each cell of it; references stand apart, on top, and controls at the end."""
    label, *columns = view.shown
    budgets = max(1, len(table.columns))
    lines = []
    for row in table.rows:
        cells = [_shown(column, row) for column in (columns[:1] if row.spans else columns[:budgets])]
        if row.spans:
            cells[0]["columns"] = budgets
        for i, (shown, cell) in enumerate(zip(cells, row.cells, strict=True)):
            if cell is not None:
                place = table.setting, row.label, None if row.spans else table.columns[i].budget
                shown |= {"id": cell_id(place), "bold": cell.bold}
            if cell is not None and cell.bold:
                shown["text"] = shown["text"].replace("**", "")
        cells += [_shown(column, row) for column in columns[budgets:]]
        lines.append({"label": label.text(row), "name": row.shown_label, "kind": row.kind, "cells": cells})
    pairs = list(zip(lines, table.rows, strict=True))
    return {
        "head": [column.header for column in view.shown],
        "references": [line for line, row in pairs if row.spans],
        "rows": [line for line, row in pairs if not row.spans and not row.role.is_control],
        "apart": [line for line, row in pairs if row.role.is_control],
    }


def _shown(column: Column[Any], row: Any) -> dict[str, Any]:
    value = column.sort(row)
    return {
        "text": column.text(row),
        "bold": False,
        "sort": None if value is None else f"{value:.9g}",
        "id": None,
        "columns": 1,
    }


def _grid(view: View, controls: Set[str]) -> dict[str, Any]:
    """Any view, as head and rows that can be sorted by the numbers that they show; controls stand apart, at the end."""
    view = replace(view, controls=frozenset(controls))
    label, *columns = view.shown
    rows = [{"label": label.text(row), "cells": [_shown(column, row) for column in columns]} for row in view.rows]
    head = [column.header for column in view.shown]
    parts = {"rows": rows[: view.apart], "apart": rows[view.apart :]}
    return {"caption": view.caption, "notes": view.notes, "head": head, **parts}


def _missing(table: Table) -> list[dict[str, str]]:
    """Cells without a full result, with their reason."""
    return [
        {
            "row": row.shown_label,
            "budget": "all images" if column is None else column.label,
            "status": cell.status,
            "reason": cell.reason or "no reason recorded",
            "id": cell_id((table.setting, row.label, None if column is None else column.budget)),
        }
        for row, _, column, cell in table.filled()
        if not cell.complete
    ]


def _series(table: Table, seen: dict[str, Look], *, cost: bool) -> list[Series]:
    """A curve per row, references left out: over seconds if ``cost``, else over budgets."""
    front = front_of(table, "seconds") if cost else set()
    return [_curve(table, row, seen, front, cost=cost) for row in table.rows if not row.spans]


def _curve(table: Table, row: Row, seen: dict[str, Look], front: Set[tuple[str, str]], *, cost: bool) -> Series:
    values = []
    unit, timer = _unit(table), making_timer(table)
    for column, cell in zip(table.columns, row.cells, strict=True):
        found = None if cell is None else cell.summary
        if cell is None or found is None:
            continue
        x = cell.cost.making(timer) if cost else _size(column, unit)
        if x is None:
            continue
        half = found.half_width
        text = f"{row.shown_label} · {column.label}: {found.mean:.1f} %" + (
            f" ± {found.sd:.1f}" if found.sd is not None else ""
        )
        text += f" (n = {found.n}{'' if cell.complete else f' of {cell.planned}'})"
        text += f" · {compact(x)} s" if cost else ""
        values.append(
            Value(
                x, found.mean, None if half is None else found.mean - half, None if half is None else found.mean + half,
                cell_id((table.setting, row.label, column.budget)), text, (row.label, column.label) in front,
            )
        )  # fmt: skip
    return Series(row.shown_label, seen[row.shown_label], tuple(sorted(values, key=lambda value: value.x)))


def _size(column: BudgetColumn, unit: str) -> float | None:
    if unit == IMAGES:
        return column.n
    budget = column.budget
    return float(budget.ipc) if budget.ipc is not None else 100 * (budget.fraction or 0.0) or None


def _unit(table: Table) -> str:
    """What all budgets of a table can be counted in."""
    kinds = {column.budget.ipc is None for column in table.columns}
    return IMAGES if len(kinds) > 1 else SHARE if kinds == {True} else PER_CLASS


def _by_size(table: Table, series: Sequence[Series]) -> Chart | None:
    """The curve over budgets."""
    unit = _unit(table)
    ticks = [(size, f"{size:g}") for column in table.columns if (size := _size(column, unit)) is not None]
    levels = [
        (found.mean, row.shown_label)
        for row in table.rows
        if row.spans and row.cells[0] is not None and (found := row.cells[0].summary) is not None
    ]
    return ipc_chart(series, ticks, levels, unit)


def _span(records: Iterable[Record]) -> str:
    """First and last day of the measurements; records of what never ran have none."""
    days = sorted({record.finished[:10] for record in records if record.finished > "1971"})
    return "" if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
