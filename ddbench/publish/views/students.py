"""The cross-architecture table: a row per method, a column per student, then mean, worst and spread over students."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from ddbench.publish.views.columns import Column, column, decimals, values
from ddbench.publish.views.main import CELL, across_tables
from ddbench.publish.views.view import View
from ddbench.results.scores.cross import Cross, OverStudents, over_students
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.figures import NONE

LEGEND = "mean ± sd over repetitions of the mean over students; worst student; spread: best minus worst student"
_ONE = decimals(1)


def _mean(over: OverStudents) -> str:
    return _ONE.text(over.mean) + (f" ± {_ONE.text(over.sd)}" if over.sd is not None else "") + f" ({over.n})"


OVER: tuple[Column[OverStudents], ...] = (
    column("mean", _ONE, "mean", text=_mean), column("sd"), column("n", header=""),
    column("worst", _ONE, "worst"), column("spread", _ONE, "spread"),
)  # fmt: skip
"""What is said of one set in several students [%]."""


def _score(cell: Cell | None) -> str:
    found = None if cell is None else cell.summary
    return NONE if found is None else _ONE.text(found.mean)


def students_view(cross: Cross) -> View:
    """A row without a result for every student has no summary; else it is over the repetitions that all have."""
    rows = [(label, cells, over_students(cells)) for label, cells in cross.rows.items()]
    columns: list[Column[Any]] = [*across_tables(cross.students, cross.students, _score)]
    columns += [each.of(itemgetter(2)) for each in OVER]
    documents = [
        {
            "row": label,
            "cells": [
                {"eval_arch": student} | values(CELL, cell)
                for student, cell in zip(cross.students, cells, strict=True)
                if cell is not None
            ],
            "over_students": None if over is None else values(OVER, over),
        }
        for label, cells, over in rows
    ]
    return View(
        "students", cross.caption, [LEGEND], columns, rows, {"students": list(cross.students), "rows": documents}
    )
