"""The regime table: the same sets trained under different labels and augmentations, one column each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ddbench.report.captions import conditions
from ddbench.report.cells import Cell
from ddbench.report.differences import baseline_of, is_twin
from ddbench.report.scores import siblings
from ddbench.report.tables import Table
from ddbench.specs import Budget

REGIMES = {
    "hard@1": "hard labels, DSA",
    "hard-fixed@1": "hard labels, DSA, lr .01",
    "hard-long@1": "hard labels, DSA, long",
    "noaug@1": "hard labels, no augmentation",
    "soft@1": "soft labels, DSA",
    "native@1": "own recipe",
}
"""Protocol → its labels and augmentation; other protocols stand under their own names, after these."""
OWN_RANDOM = "random, that recipe"


@dataclass(frozen=True, slots=True)
class Regimes:
    """Tables that differ in the protocol alone, at one budget.

    Attributes:
        caption: What they have in common.
        protocols: One per column, ``native@1+random`` for the column of ``random`` under each row's own recipe.
        headers: What the columns are called.
        rows: Label → one cell per column, None where there is none.
    """

    caption: str
    protocols: tuple[str, ...]
    headers: tuple[str, ...]
    rows: dict[str, tuple[Cell | None, ...]]


def regime_tables(tables: Sequence[Table]) -> list[Regimes]:
    """One for each group of tables that differ in the protocol alone, and each budget; none for a single protocol."""
    found, seen = [], list[Table]()
    for table in tables:
        if any(table is other for other in seen):
            continue
        members = sorted(siblings(table, tables), key=_order)
        seen += members
        if len(members) > 1:
            budgets = dict.fromkeys(column.budget for member in members for column in member.columns)
            found += [_regimes(members, budget) for budget in budgets]
    return found


def _order(table: Table) -> tuple[int, str]:
    protocol = str(table.setting.protocol)
    return (list(REGIMES).index(protocol) if protocol in REGIMES else len(REGIMES)), protocol


def _regimes(tables: Sequence[Table], budget: Budget) -> Regimes:
    protocols, headers = list[str](), list[str]()
    columns = list[dict[str, Cell]]()
    for table in tables:
        protocol, cells = str(table.setting.protocol), table.cells_at(budget)
        protocols.append(protocol)
        headers.append(f"{REGIMES[protocol]} ({protocol})" if protocol in REGIMES else protocol)
        columns.append({label: cell for label, cell in cells.items() if not is_twin(label)})
        own = {label: cells[baseline_of(label, cells)] for label in columns[-1] if is_twin(baseline_of(label, cells))}
        if own:
            protocols.append(f"{protocol}+random")
            headers.append(OWN_RANDOM)
            columns.append(own)
    labels = dict.fromkeys(label for column in columns for label in column)
    rows = {label: tuple(column.get(label) for column in columns) for label in labels}
    first = tables[0]
    return Regimes(
        f"{conditions(first)} · {first.setting.profile} · {budget.label}", tuple(protocols), tuple(headers), rows
    )
