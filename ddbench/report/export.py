"""Tables → numbers for spreadsheets and programs: full precision, one name per idea, nothing rounded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ddbench.report.captions import caption
from ddbench.report.cells import Cell
from ddbench.report.tables import Column, Row, Table
from ddbench.stats import Comparison

FIELDS = (
    *("dataset", "split", "preprocess", "protocol", "profile", "arch", "eval_arch"),
    *("row", "method", "kind", "source", "budget", "ipc", "fraction", "n_images"),
    *("status", "reason", "mean", "sd", "n", "planned", "students", "low", "high", "best", "updates"),
    *("condense_s", "artifact_s", "evaluate_s", "peak_mb", "bytes", "contended"),
)


def to_csv(tables: Sequence[Table]) -> str:
    """One line per data set × protocol × architectures × row × budget; empty where there is no number."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for row in table.rows:
            for column, cell in _places(table, row):
                writer.writerow(_where(table) | _who(row) | _budget(row, column) | _numbers(cell))
    return out.getvalue()


def to_json(tables: Sequence[Table]) -> str:
    """A list of tables with rows, cells and differences to ``random``."""
    return json.dumps([_document(table) for table in tables], indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _document(table: Table) -> dict[str, Any]:
    rows = [
        _who(row) | {
            "cells": [
                _budget(row, column) | _numbers(cell) | {"details": dict(cell.details)}
                for column, cell in _places(table, row)
            ],
            "footnotes": [table.footnotes[mark - 1] for mark in row.marks],
        }
        for row in table.rows
    ]  # fmt: skip
    return _where(table) | {
        "caption": caption(table),
        "n_test": table.n_test,
        "notes": list(table.notes),
        "rows": rows,
        "minus_random": list(_differences(table)),
    }


def _places(table: Table, row: Row) -> Iterator[tuple[Column | None, Cell]]:
    columns: Sequence[Column | None] = [None] if row.spans else table.columns
    for column, cell in zip(columns, row.cells, strict=True):
        if cell is not None:
            yield column, cell


def _where(table: Table) -> dict[str, Any]:
    setting = table.setting
    return {
        "dataset": table.dataset,
        "split": table.split,
        "preprocess": table.preprocess,
        "protocol": setting.protocol,
        "profile": setting.profile,
        "arch": setting.arch,
        "eval_arch": setting.eval_arch,
    }


def _who(row: Row) -> dict[str, Any]:
    return {"row": row.label, "method": row.method, "kind": row.kind, "source": row.source}


def _budget(row: Row, column: Column | None) -> dict[str, Any]:
    if column is None:
        return {"budget": "all", "ipc": None, "fraction": None, "n_images": row.n}
    budget = column.budget
    return {"budget": budget.label, "ipc": budget.ipc, "fraction": budget.fraction, "n_images": column.n}


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
                yield {"row": row.label, "budget": table.columns[column].budget.label} | _comparison(
                    comparison, row.conditional
                )


def _comparison(comparison: Comparison, conditional: bool) -> dict[str, Any]:
    return {
        **asdict(comparison.paired),
        "p_holm": comparison.p,
        "verdict": None if conditional else comparison.verdict,
        "n_needed": comparison.needed,
    }
