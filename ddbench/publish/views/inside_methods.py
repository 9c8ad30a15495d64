"""The third table, on demand: what methods say about their own runs (:meth:`ddbench.core.api.Method.diagnostics`)."""

from __future__ import annotations

from operator import attrgetter

from ddbench.publish.views.columns import Column, Style, column
from ddbench.publish.views.view import View
from ddbench.results.tables.figures import significant
from ddbench.results.tables.tables import Filled, Table

CAPTION = "inside the methods · means over repetitions; what the columns are: the README of each method"


FOUR = Style(lambda value: f"{value:.4g}", lambda value: significant(value, 4))


def details_view(table: Table) -> View:
    """A row per cell about which its method says anything, a column for each thing that is said."""
    rows = [one for one in table.filled() if not one.row.spans and one.cell.details]
    names = dict.fromkeys(name for one in rows for name in one.cell.details)
    columns = [column("row", value=attrgetter("row.label"), text=attrgetter("row.shown_label")), column("budget")]
    return View("details", CAPTION, [], [*columns, *map(_detail, names)], rows)


def _detail(name: str) -> Column[Filled]:
    return column(name, FOUR, name, value=lambda one: one.cell.details.get(name))
