"""Tables → numbers for spreadsheets and programs: full precision, one name per idea, nothing rounded."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from ddbench.core.errors import UsageError
from ddbench.publish.text.captions import caption
from ddbench.publish.text.escape import write_csv
from ddbench.publish.views.catalog import views_of
from ddbench.publish.views.columns import Column, column, values
from ddbench.publish.views.cost import COSTS
from ddbench.publish.views.crossing import CROSSING
from ddbench.publish.views.lossless import LOSSLESS
from ddbench.publish.views.main import CELL, MAIN, differences_view
from ddbench.publish.views.scores import SCORES
from ddbench.publish.views.students import OVER, students_view
from ddbench.publish.views.verdicts import LINES, lines_of
from ddbench.publish.views.view import View
from ddbench.results.scores.cross import OverStudents, cross_tables, group_of, over_students
from ddbench.results.scores.crossing import crossings_of
from ddbench.results.scores.lossless import Claim, claims_of
from ddbench.results.scores.scores import CostLine, Score, cost_of, scores_of
from ddbench.results.tables.tables import Filled, Row, Table

TABLE: tuple[Column[Table], ...] = (
    column("dataset"),
    column("revision", value=lambda table: table.source[1]),
    *map(column, ("split", "preprocess")),
    *(column(name).of(attrgetter("setting")) for name in ("protocol", "profile", "arch", "eval_arch")),
)
ROW: tuple[Column[Row], ...] = (
    column("row", value=attrgetter("label")),
    column("role", value=attrgetter("role.kind")),
    *map(column, ("method", "kind", "source")),
)
PLACE: tuple[Column[Filled], ...] = (
    column("budget", value=lambda one: "all" if one.column is None else one.column.budget.label),
    *(column(name, value=attrgetter(f"budget.{name}")).of(attrgetter("column")) for name in ("ipc", "fraction")),
    column("n_images", value=lambda one: one.row.n if one.column is None else one.cell.own_n or one.column.n),
    column("short_classes", value=attrgetter("classes")).of(lambda one: one.column and one.column.short),
    *(each.of(attrgetter("cell")) for each in CELL),
)
CLAIM = tuple(replace(each, name="lossless_n") if each.name == "n" else each for each in LOSSLESS)
"""A claim may rest on fewer repetitions than its cell has, whose number is the column ``n``."""
Derived = Callable[[Table, Sequence[Table]], Sequence[Score | CostLine | Claim]]
ADDED: dict[str, tuple[Sequence[Column[Any]], Derived]] = {
    "scores": (SCORES, scores_of),
    "cost": (COSTS, lambda table, _: cost_of(table)),
    "lossless": (CLAIM, claims_of),
}
"""What views add to the line of a cell."""
CELLS = (*ADDED, "regime", "failures")
"""Views of which every row is about cells: the last two say nothing that a line of a cell does not."""


ALONE: dict[str, tuple[Sequence[Column[Any]], Callable[[Table], Sequence[Any]]]] = {
    "verdicts": (LINES, lines_of),
    "crossing": (CROSSING, crossings_of),
}
"""Views of which every row is about several cells: they are written alone."""


def check_csv(views: Sequence[str]) -> None:
    """Refuse views that lines of cells cannot hold, unless all lines are of one of :data:`ALONE`.

    Raises:
        UsageError: If there is one.
    """
    for name in views:
        if name not in CELLS and name != MAIN and not (name in ALONE and set(views) == {name}):
            alone = f"--views {name} alone, or " if name in ALONE else ""
            raise UsageError(f"view {name!r} cannot be written as csv (one line per cell): use {alone}--format json")


def to_csv(tables: Sequence[Table], views: Sequence[str] = ()) -> str:
    """One line per data set × protocol × architectures × row × budget; empty where there is no value.

    Columns from ``students_mean`` to ``students_spread`` are over the students of one set, the same on each of their
    lines; empty for a single student. Views add columns; those of :data:`ALONE` have lines of their own instead.

    Raises:
        UsageError: If a view has no place in lines of cells.
    """
    check_csv(views)
    out = io.StringIO()
    if views and views[0] in ALONE:
        columns, rows_of = ALONE[views[0]]
        lines = (values(TABLE, table) | _flat(columns, row) for table in tables for row in rows_of(table))
        write_csv(out, [each.name for each in (*TABLE, *columns)], lines)
        return out.getvalue()
    own: list[Column[Any]] = [*TABLE, *ROW, *PLACE]
    names = [each.name for each in own] + [_over(each) for each in OVER]
    names += [each.name for view in views if view in ADDED for each in ADDED[view][0]]
    found: list[dict[str, Any]] = []
    students = _over_students(tables)
    for table in tables:
        derived = _derived(table, tables, views)
        for one in table.filled():
            label, budget = one.row.label, "" if one.column is None else one.column.budget.label
            line = derived.get((label, one.budget), {}) | students.get((group_of(table), label, budget), {})
            # What the cell itself says stands: a derived line has another word for its budget.
            found.append(line | values(TABLE, table) | values(ROW, one.row) | values(PLACE, one))
    write_csv(out, list(dict.fromkeys(names)), found)
    return out.getvalue()


def _derived(table: Table, tables: Sequence[Table], views: Sequence[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Row and label of the column → what views add; lists as numbers between spaces, documents as people read them."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for columns, rows_of in (ADDED[view] for view in views if view in ADDED):
        for row in rows_of(table, tables):
            line = found.setdefault((row.row, row.budget), {})
            line |= _flat(columns, row)
    return found


def _flat(columns: Sequence[Column[Any]], row: Any) -> dict[str, Any]:
    """Values as CSV holds them."""
    line = {}
    for each in columns:
        value = each.value(row)
        text = each.text(row) if isinstance(value, dict) else value
        line[each.name] = " ".join(map(str, value)) if isinstance(value, tuple) else text
    return line


def _over(column: Column[OverStudents]) -> str:
    return f"students_{column.name}"


def _over_students(tables: Sequence[Table]) -> dict[tuple[object, str, str], dict[str, Any]]:
    found: dict[tuple[object, str, str], dict[str, Any]] = {}
    for cross in cross_tables(tables):
        for label, cells in cross.rows.items():
            over = over_students(cells)
            if over is not None:
                line = {_over(column): column.value(over) for column in OVER}
                found[cross.group, label, cross.budget] = line
                found[cross.group, label, ""] = line  # for references, which have no budget
    return found


def to_json(tables: Sequence[Table], views: Sequence[str] = ()) -> str:
    """A list of documents, each with the name of its ``view``.

    ``main``: a table with rows, cells and differences to ``random``; ``students``: a cross-architecture table, shown
    with the main ones; others as asked for, see :attr:`ddbench.publish.views.view.View.document`.
    """
    documents: list[dict[str, Any]] = []
    for name in dict.fromkeys(views or [MAIN]):
        if name == MAIN:
            documents += [_document(table) for table in tables]
            documents += [students_view(cross).document for cross in cross_tables(tables)]
        else:
            documents += [view.document for view in views_of(tables, [name])]
    return _json(documents)


def view_csv(view: View) -> str:
    """A view whose rows are no cells: a line each."""
    out = io.StringIO()
    write_csv(out, [each.name for each in view.columns], (_flat(view.columns, row) for row in view.rows))
    return out.getvalue()


def views_json(views: Sequence[View]) -> str:
    """Views as a list of documents."""
    return _json([view.document for view in views])


def _json(documents: Sequence[dict[str, Any]]) -> str:
    return json.dumps(documents, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _document(table: Table) -> dict[str, Any]:
    rows = [
        values(ROW, row) | {
            "cells": [
                values(PLACE, one) | {"details": dict(one.cell.details)} for one in table.filled() if one.row is row
            ],
            "footnotes": [table.footnotes[mark - 1] for mark in row.marks],
        }
        for row in table.rows
    ]  # fmt: skip
    versus = differences_view(table)
    return (
        {"view": MAIN}
        | values(TABLE, table)
        | {
            "caption": caption(table),
            "n_test": table.n_test,
            "notes": list(table.notes),
            "short": table.short,
            "engines": table.engines,
            "threads": table.threads,
            "in_bf16": table.in_bf16,
            "rows": rows,
            "minus_random": [] if versus is None else versus.document["lines"],
        }
    )
