"""Tables → numbers for spreadsheets and programs: full precision, one name per idea, nothing rounded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ddbench.errors import UsageError
from ddbench.report.captions import caption
from ddbench.report.cells import Cell
from ddbench.report.cross import Cross, cross_tables, group_of, over_students
from ddbench.report.scores import CostLine, Score, cost_of, scores_of
from ddbench.report.tables import Column, Row, Table
from ddbench.report.views import MAIN, cell_facts, facts_of, views_of
from ddbench.stats import Comparison

FIELDS = (
    *("dataset", "revision", "split", "preprocess", "protocol", "profile", "arch", "eval_arch"),
    *("row", "method", "kind", "source", "budget", "ipc", "fraction", "n_images"),
    *("status", "reason", "mean", "sd", "n", "planned", "students", "low", "high", "best", "updates"),
    *("condense_s", "artifact_s", "evaluate_s", "train_s", "peak_mb", "bytes", "contended"),
)


_STUDENTS = ("students_mean", "students_worst", "students_spread")
_CSV_COLUMNS = {
    "scores": ("recovery", "ior", "hlr", "lrs", "ars", "worst_class", "worst_class_index", "quartiles"),
    "cost": ("top1_uint8", "full_stopped", "full_stopped_updates", "break_even", "break_even_with_artifacts", "pareto"),
    "regime": (),
    "failures": (),
}
"""Columns that a view adds; the regime table and the failures are lines that are there anyway."""


def check_csv(views: Sequence[str]) -> None:
    """Refuse views that lines of cells cannot hold.

    Raises:
        UsageError: If there is one.
    """
    for name in views:
        if name not in _CSV_COLUMNS and name != MAIN:
            raise UsageError(f"csv holds one line per cell, which view {name!r} has not: use --format json")


def to_csv(tables: Sequence[Table], views: Sequence[str] = ()) -> str:
    """One line per data set × protocol × architectures × row × budget; empty where there is no number.

    ``students_mean``, ``students_worst`` and ``students_spread`` are over the students of one set, the same on each of
    their lines; empty for a single student. Views add columns.

    Raises:
        UsageError: If a view has no place in lines of cells.
    """
    check_csv(views)
    added = [column for name in dict.fromkeys(views) for column in _CSV_COLUMNS.get(name, ())]
    out = io.StringIO()
    writer = csv.DictWriter(out, [*FIELDS, *_STUDENTS, *added], lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    students = _over_students(tables)
    for table in tables:
        derived = _derived(table, tables) if added else {}
        for one in table.filled():
            row, column, cell = one.row, one.column, one.cell
            over = students.get((group_of(table), row.label, "" if column is None else column.budget.label), {})
            values = _where(table) | _who(row) | _budget(row, column, cell) | _numbers(cell) | over
            writer.writerow(values | derived.get((row.label, one.budget), {}))
    return out.getvalue()


def _derived(table: Table, tables: Sequence[Table]) -> dict[tuple[str, str], dict[str, Any]]:
    """Row and label of the column → derived scores; lists as numbers between spaces."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    derived: list[Score | CostLine] = [*scores_of(table, tables), *cost_of(table)]
    for line in derived:
        values = {
            name: " ".join(map(str, value)) if isinstance(value, tuple | list) else value
            for name, value in facts_of(line).items()
        }
        # Only what is derived: what the cell itself says stands in its own columns.
        names = {name for columns in _CSV_COLUMNS.values() for name in columns}
        found.setdefault((line.row, line.budget), {}).update({k: v for k, v in values.items() if k in names})
    return found


def _over_students(tables: Sequence[Table]) -> dict[tuple[object, str, str], dict[str, float]]:
    found: dict[tuple[object, str, str], dict[str, float]] = {}
    for cross in cross_tables(tables):
        for label, cells in cross.rows.items():
            over = over_students(cells)
            if over is not None:
                mean = {"students_mean": over.mean, "students_worst": over.worst, "students_spread": over.spread}
                found[cross.group, label, cross.budget] = mean
                found[cross.group, label, ""] = mean  # for references, which have no budget
    return found


def to_json(tables: Sequence[Table], views: Sequence[str] = ()) -> str:
    """A list of documents, each with the name of its ``view``.

    ``main``: a table with rows, cells and differences to ``random``; ``students``: a cross-architecture table, shown
    with the main ones; others as asked for, see :attr:`ddbench.report.views.View.facts`.
    """
    documents: list[dict[str, Any]] = []
    for name in dict.fromkeys(views or [MAIN]):
        if name == MAIN:
            documents += [_document(table) for table in tables]
            documents += [_cross_document(cross) for cross in cross_tables(tables)]
        else:
            documents += [
                {"view": view.name, "caption": view.caption, "notes": view.notes, **view.facts}
                for view in views_of(tables, [name])
            ]
    return json.dumps(documents, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _cross_document(cross: Cross) -> dict[str, Any]:
    rows = [
        {
            "row": label,
            "cells": [
                {"eval_arch": student, **cell_facts(cell)}
                for student, cell in zip(cross.students, cells, strict=True)
                if cell is not None
            ],
            "over_students": None if (over := over_students(cells)) is None else asdict(over),
        }
        for label, cells in cross.rows.items()
    ]
    return {"view": "students", "caption": cross.caption, "students": list(cross.students), "rows": rows}


def _document(table: Table) -> dict[str, Any]:
    rows = [
        _who(row) | {
            "cells": [
                _budget(row, one.column, one.cell) | _numbers(one.cell) | {"details": dict(one.cell.details)}
                for one in table.filled() if one.row is row
            ],
            "footnotes": [table.footnotes[mark - 1] for mark in row.marks],
        }
        for row in table.rows
    ]  # fmt: skip
    return (
        {"view": MAIN}
        | _where(table)
        | {
            "caption": caption(table),
            "n_test": table.n_test,
            "notes": list(table.notes),
            "rows": rows,
            "minus_random": list(_differences(table)),
        }
    )


def _where(table: Table) -> dict[str, Any]:
    setting = table.setting
    return {
        "dataset": table.dataset,
        "revision": table.source[1],
        "split": table.split,
        "preprocess": table.preprocess,
        "protocol": setting.protocol,
        "profile": setting.profile,
        "arch": setting.arch,
        "eval_arch": setting.eval_arch,
    }


def _who(row: Row) -> dict[str, Any]:
    return {"row": row.label, "method": row.method, "kind": row.kind, "source": row.source}


def _budget(row: Row, column: Column | None, cell: Cell) -> dict[str, Any]:
    if column is None:
        return {"budget": "all", "ipc": None, "fraction": None, "n_images": row.n}
    budget = column.budget
    return {
        "budget": budget.label,
        "ipc": budget.ipc,
        "fraction": budget.fraction,
        "n_images": cell.own_n or column.n,
    }


def _numbers(cell: Cell) -> dict[str, Any]:
    """Scores in percent, ``low`` and ``high`` the 95 % t-interval of the mean, costs per set."""
    found = cell.summary
    half = None if found is None else found.half_width
    return {
        "status": cell.status,
        "reason": cell.reason,
        "mean": None if found is None else found.mean,
        "sd": None if found is None else found.sd,
        "n": len(cell.scores),
        "planned": cell.planned,
        "students": cell.students,
        "low": None if found is None or half is None else found.mean - half,
        "high": None if found is None or half is None else found.mean + half,
        "best": cell.bold,
        "updates": cell.updates,
        **asdict(cell.cost),
    }


def _differences(table: Table) -> Iterator[dict[str, Any]]:
    shown = table.versus_random
    if shown is None:
        return
    for row in shown.rows:
        for column, comparison in zip(shown.columns, row.comparisons, strict=True):
            if comparison is not None:
                yield (
                    {"row": row.label, "budget": table.columns[column].budget.label}
                    | _comparison(comparison, row.judged)
                    | {"control": row.control}
                )


def _comparison(comparison: Comparison, judged: bool) -> dict[str, Any]:
    return {
        **asdict(comparison.paired),
        "p_holm": comparison.p if judged else None,
        "verdict": comparison.verdict if judged else None,
        "n_needed": comparison.needed if judged else None,
    }
