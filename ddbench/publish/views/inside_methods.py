"""The third table, on demand: what methods say about their own runs (:meth:`ddbench.core.api.Method.diagnostics`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from ddbench.blocks.said import SAID, Quantity
from ddbench.publish.views.columns import Column, column
from ddbench.publish.views.view import View
from ddbench.results.tables.figures import NONE
from ddbench.results.tables.tables import Filled, Table

CAPTION = "inside the methods · means over repetitions"


def details_view(table: Table) -> View:
    """A row per cell about which its method says anything, a column for each thing that is said."""
    rows = [one for one in table.filled() if not one.row.spans and one.cell.details]
    columns = [column("row", value=attrgetter("row.label"), text=attrgetter("row.shown_label")), column("budget")]
    shown = [each for quantity in quantities([one.cell.details for one in rows]) for each in _columns(quantity)]
    return View(
        "details", CAPTION, [f"{each.header}: {each.note}" for each in shown if each.note], [*columns, *shown], rows
    )


def quantities(rows: Sequence[Mapping[str, float]]) -> list[Quantity]:
    """What rows say: what is known in its order, then what is not, under its own name.

    Numbers that are shown together stand alone where a row has only some of them.

    Args:
        rows: What each says, by name.
    """
    names = dict.fromkeys(name for said in rows for name in said)
    found = [known for known in SAID if not names.keys().isdisjoint(known.names) and _together(known, rows)]
    covered = {name for known in found for name in known.names}
    return [*found, *(Quantity((name,), name, "") for name in names if name not in covered)]


def _together(quantity: Quantity, rows: Iterable[Mapping[str, float]]) -> bool:
    return all(sum(name in said for name in quantity.names) in (0, len(quantity.names)) for said in rows)


def told(quantity: Quantity, said: Mapping[str, float]) -> str:
    """The numbers of a quantity as people read them, where a row says all of them."""
    values = [said[name] for name in quantity.names if name in said]
    return quantity.text(values) if len(values) == len(quantity.names) else NONE


def _columns(quantity: Quantity) -> list[Column[Filled]]:
    """One for people, and one for programs alone of every further number in it."""
    first, *others = quantity.names

    def text(one: Filled) -> str:
        return told(quantity, one.cell.details)

    shown = Column(first, quantity.header, _value(first), text, quantity.meaning, quantity.shown)
    return [shown, *(column(name, header="", value=_value(name)) for name in others)]


def _value(name: str) -> Callable[[Filled], float | None]:
    return lambda one: one.cell.details.get(name)
