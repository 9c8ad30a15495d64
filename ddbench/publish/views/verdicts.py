"""The view ``verdicts``: every pair of methods of every column, the better one first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from ddbench.publish.text.verdicts import verdict_lines, wanted_text
from ddbench.publish.views.columns import COUNT, INTERVAL, P_VALUE, Column, column, decimals
from ddbench.publish.views.view import View, empty_view
from ddbench.results.stats import LEAST_POWER, MARGIN
from ddbench.results.tables.conditions import place
from ddbench.results.tables.families import ColumnFamily, Pair
from ddbench.results.tables.figures import NONE
from ddbench.results.tables.tables import BudgetColumn, Table

CAPTION = "verdicts on pairs of methods"
MEANING = (
    "row − versus in points, paired by repetition, with its plain 95 % interval; p and verdicts are adjusted for all "
    "pairs of the column (Holm), and need its least n; equivalent: two one-sided tests (Bonferroni over the pairs) "
    f"place the difference within ±{MARGIN:g} points, where their power is {LEAST_POWER:g} or more; n would do: "
    "repetitions that would decide the measured difference at the measured spread four times out of five"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A pair in its column.

    Attributes:
        pair: The pair.
        column: Its column.
        family: What it is judged with.
    """

    pair: Pair
    column: BudgetColumn
    family: ColumnFamily


def _of(name: str) -> Any:
    """A part of a comparison, where there is one."""
    return lambda line: None if (found := line.pair.comparison) is None else attrgetter(name)(found)


def _part(*places: int) -> Any:
    """The difference, or ends of its interval."""

    def value(line: Line) -> Any:
        found = line.pair.interval
        return None if found is None else found[places[0]] if len(places) == 1 else tuple(found[i] for i in places)

    return value


def _power(line: Line) -> float | None:
    """Of what is not separated."""
    return None if line.pair.comparison is None or line.pair.verdict == "better" else line.pair.comparison.power


LINES: tuple[Column[Line], ...] = (
    column("row", value=attrgetter("pair.row"), text=lambda line: line.family.named(line.pair.row)),
    column("versus", header="versus", value=attrgetter("pair.versus"),
           text=lambda line: line.family.named(line.pair.versus)),
    column("budget", value=attrgetter("column.label")),
    column("n", COUNT, value=_of("paired.n")),
    column("difference", decimals(2, sign=True), "difference", value=_part(0)),
    column("interval", INTERVAL, "95 % interval", value=_part(1, 2)),
    column("p_holm", P_VALUE, "p (Holm)", value=_of("p")),
    column("verdict", header="verdict", value=attrgetter("pair.verdict"),
           text=lambda line: line.pair.verdict if line.family.enough else f"none (n < {line.family.family.needed})"),
    column("power_equivalent", decimals(2), "power of equivalence", value=_power),
    column("n_needed", COUNT, "least n", value=attrgetter("family.family.needed")),
    column("n_would_do", COUNT, "n would do", value=attrgetter("pair.wanted"),
           text=lambda line: wanted_text(line.pair).removeprefix("= ") or NONE),
)  # fmt: skip


def verdict_views(tables: Sequence[Table]) -> list[View]:
    """The pairs of every table that has any."""
    found = [verdicts_view(table) for table in tables]
    why = "this needs two methods in a column whose repetitions share no artifact"
    return [view for view in found if view.rows] or [empty_view("verdicts", CAPTION, why)]


def verdicts_view(table: Table) -> View:
    """The pairs of a table, a line each."""
    facts = {"where": place(table), "families": [*_families(table)]}
    return View(
        "verdicts", f"{CAPTION} · {place(table)}", [MEANING, *verdict_lines(table)], LINES, lines_of(table), facts
    )


def lines_of(table: Table) -> list[Line]:
    """Every pair of every column."""
    columns = zip(table.columns, table.families, strict=True)
    return [Line(pair, column, family) for column, family in columns for pair in family.pairs()]


def _families(table: Table) -> Iterator[dict[str, Any]]:
    """What the pairs of a column have in common, for programs."""
    for where, family in zip(table.columns, table.families, strict=True):
        yield {
            "budget": where.budget.label,
            "rows": list(family.rows),
            "pairs": len(family.family.pairs),
            "n": family.n,
            "n_needed": family.family.needed,
            "bold": [row for row in family.rows if row in family.family.bold],
            "ranks": {row: list(family.family.ranks[row]) for row in family.rows},
            "as_run": sorted(family.as_run),
            "conditional": {row: list(names) for row, names in family.conditional.items()},
        }
