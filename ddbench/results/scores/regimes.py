"""The regime table: the same sets trained under different labels and augmentations, one column each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import active
from ddbench.core.roles import baseline_of
from ddbench.core.specs import Budget
from ddbench.models.names import parse
from ddbench.results.scores.scores import siblings
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.conditions import conditions
from ddbench.results.tables.protocols import OURS, name_of
from ddbench.results.tables.tables import Table

OWN_RANDOM = "random, that recipe"


@dataclass(frozen=True, slots=True)
class Regimes:
    """Tables that differ in the protocol alone, at one budget.

    Attributes:
        caption: What they have in common.
        protocols: One per column, ``native@2+random`` for the column of ``random`` under each row's own recipe.
        headers: What the columns are called.
        rows: Label → one cell per column, None where there is none.
    """

    caption: str
    protocols: tuple[str, ...]
    headers: tuple[str, ...]
    rows: dict[str, tuple[Cell | None, ...]]


def regime_tables(tables: Sequence[Table]) -> list[Regimes]:
    """One for each group of tables that differ in the protocol alone, and each budget; none for a single protocol.

    Tables of protocols that train no student belong to the group of every student.
    """
    found, seen = [], list[Table]()
    for table in sorted(tables, key=lambda one: not one.trains_student):
        if any(table is other for other in seen):
            continue
        members = [other for other in siblings(table, tables) if other.trains_student] + _untrained(table, tables)
        members.sort(key=_order)
        seen += members
        if len(members) > 1:
            budgets = dict.fromkeys(column.budget for member in members for column in member.columns)
            found += [_regimes(members, budget) for budget in budgets]
    return found


def _untrained(table: Table, tables: Sequence[Table]) -> list[Table]:
    """Those of protocols that train no student, of the same sets.

    Where no network condensed these, either, the predictor stands in place of a condensing network.
    """
    every = [other for other in siblings(table, tables, "eval_arch", "arch") if not other.trains_student]
    return [other for other in every if other.setting.arch == table.setting.arch or not _by_a_network(other)]


def _by_a_network(table: Table) -> bool:
    """Whether its condensing network is one, as far as the plugins that are loaded know."""
    try:
        parse(str(table.setting.arch), active().architectures)
    except UsageError:
        return table.setting.arch != table.setting.eval_arch
    return True


def _order(table: Table) -> tuple[bool, int, str]:
    """Ours with a heading first, in the order of the catalog; others by name; those without a student last."""
    protocol, ours = str(table.setting.protocol), list(OURS)
    known = table.standing.regime and name_of(protocol) in ours
    return not table.trains_student, (ours.index(name_of(protocol)) if known else len(ours)), protocol


def _regimes(tables: Sequence[Table], budget: Budget) -> Regimes:
    protocols, headers = list[str](), list[str]()
    columns = list[dict[str, Cell]]()
    for table in tables:
        protocol, cells = str(table.setting.protocol), table.cells_at(budget)
        protocols.append(protocol)
        named = (
            protocol
            if table.setting.eval_arch == tables[0].setting.eval_arch
            else f"{protocol} → {table.setting.eval_arch}"
        )
        headers.append(f"{table.standing.regime} ({named})" if table.standing.regime else named)
        rows_here = [row for row in table.rows if row.label in cells]
        shown = [row for row in rows_here if row.role.kind != "twin"]
        columns.append({row.label: cells[row.label] for row in shown})
        baselines = {row.label: baseline_of(row, rows_here) for row in shown}
        own = {label: cells[row.label] for label, row in baselines.items() if row and row.role.kind == "twin"}
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
