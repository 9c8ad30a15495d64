"""The third table, on demand: what methods say about their own runs (:meth:`ddbench.api.Method.diagnostics`)."""

from __future__ import annotations

from ddbench.report.figures import NONE
from ddbench.report.tables import Table

CAPTION = "inside the methods · means over repetitions; what the columns are: the README of each method"


def details_grid(table: Table) -> list[list[str]]:
    """Header and a line per row and budget; empty when no method says anything."""
    found = [
        (row.shown_label, column.label, cell.details)
        for row in table.rows
        if not row.spans
        for column, cell in zip(table.columns, row.cells, strict=True)
        if cell is not None and cell.details
    ]
    names = list(dict.fromkeys(name for _, _, details in found for name in details))
    if not names:
        return []
    lines = [
        [label, budget, *(f"{details[name]:.4g}" if name in details else NONE for name in names)]
        for label, budget, details in found
    ]
    return [["method", "budget", *names], *lines]
