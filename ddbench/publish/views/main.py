"""The main table, its differences to ``random``, and what a cell is to programs and people wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from itertools import count
from operator import attrgetter, itemgetter
from typing import Any

from ddbench.publish.text.captions import (
    caption,
    costs_legend,
    decidable,
    differences_caption,
    differences_legend,
    legend,
)
from ddbench.publish.views.columns import HEADERS, Column, column, decimals
from ddbench.publish.views.view import View
from ddbench.results.scores.scores import making_timer
from ddbench.results.stats import Comparison, Summary
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.conditions import place
from ddbench.results.tables.costs import CellCost, name_of
from ddbench.results.tables.differences import Difference
from ddbench.results.tables.figures import NONE, fixed, mark_source, rounded, spread, superscript
from ddbench.results.tables.tables import Row, Table

MAIN = "main"
"""The name of what is shown without being asked for."""
WIDEST = 124
"""Characters of a main table on a page that holds its costs, too."""

_summary = attrgetter("summary")


def _end(found: Summary, sign: int) -> float | None:
    return None if found.half_width is None else found.mean + sign * found.half_width


def _place(cell: Cell, end: int) -> int | None:
    return None if cell.rank is None else cell.rank[end]


CELL: tuple[Column[Cell], ...] = (
    *map(column, ("source", "status", "reason")),
    column("mean").of(_summary),
    column("sd").of(_summary),
    column("n", value=lambda cell: len(cell.scores)),
    *map(column, ("planned", "students")),
    column("low", value=lambda found: _end(found, -1)).of(_summary),
    column("high", value=lambda found: _end(found, 1)).of(_summary),
    column("bold"),
    *(column(name, value=partial(_place, end=end)) for end, name in enumerate(("rank_best", "rank_worst"))),
    column("n_needed"),
    column("updates"),
    *(column(cost.name).of(attrgetter("cost")) for cost in fields(CellCost)),
)
"""What programs read of a cell: scores in percent, ``low`` and ``high`` the 95 % t-interval, ``rank_best`` and
``rank_worst`` the places among the methods of its column that the verdicts leave it, ``n_needed`` the repetitions that
these take, costs per set."""


def mean_column(
    name: str,
    header: str,
    cell_of: Callable[[Any], Cell | None],
    text: Callable[[Any], str],
    shown: Callable[[float], float | None] = float,
) -> Column[Any]:
    """A column of one cell of each row, whose value is the mean."""

    def value(row: Any) -> float | None:
        found = None if (cell := cell_of(row)) is None else cell.summary
        return None if found is None else found.mean

    return Column(name, header, value, text, shown=shown)


def across_tables(
    names: Sequence[str], headers: Sequence[str], text: Callable[[Cell | None], str]
) -> list[Column[tuple[str, Sequence[Cell | None]]]]:
    """Columns of rows of a label and its cells from several tables: the label, then each cell with one decimal."""

    def label(row: tuple[str, Sequence[Cell | None]]) -> str:
        return mark_source(row[0], next((cell.source for cell in row[1] if cell is not None), "measured"))

    def one(place: int, name: str, header: str) -> Column[tuple[str, Sequence[Cell | None]]]:
        return mean_column(name, header, lambda row: row[1][place], lambda row: text(row[1][place]), decimals(1).shown)

    return [Column("row", HEADERS["row"], itemgetter(0), label), *map(one, count(), names, headers)]


def cell_text(cell: Cell | None, *, plain: bool = False) -> str:
    """``**58.3 ± 2.1** (3)``, ``58.3 ± 2.1 (2 of 3) ²``, ``nan ²``, ``– ¹``, ``= random (labels only)``.

    ``plain``: without stars and footnotes.
    """
    if cell is None:
        return NONE
    if cell.equals:
        return cell.reason
    marks = "" if plain else superscript(cell.marks)
    found = cell.summary
    if found is None:
        return f"{NONE if cell.status == 'skipped' else cell.status} {marks}".rstrip()
    score = fixed(found.mean, 1) + (f" ± {fixed(found.sd, 1)}" if found.sd is not None else "")
    count = f"({found.n})" if cell.complete else f"({found.n} of {cell.planned})"
    return f"{f'**{score}**' if cell.bold and not plain else score} {count} {marks}".rstrip()


def main_view(table: Table) -> View:
    """A row per method; columns for its label, each budget, and the costs of its sets over all budgets."""
    # A run of references alone has no budgets, and still has a result to show.
    budgets = [(found.budget.label, found.label) for found in table.columns] or [("all", "all images")]
    timer = making_timer(table)
    columns = [
        column(
            "row", value=attrgetter("label"), text=lambda row: f"{row.shown_label} {superscript(row.marks)}".rstrip()
        ),
        *(_budget(place, *names) for place, names in enumerate(budgets)),
        _cost(name_of("condense", timer), lambda row, costs: spread(costs, apart=1.5) + _busy(row)),
        *([_cost(name_of("artifact", timer), _near)] if _has_artifacts(table) else []),
        _cost("peak_mb", _near),
        *([_cost("device_mb", _near)] if any(cell.cost.device_mb is not None for cell in table.cells()) else []),
        _cost("bytes", lambda _, costs: spread(costs)),
    ]
    footnotes = [f"{superscript([i])} {text}" for i, text in enumerate(table.footnotes, 1)]
    return View(MAIN, caption(table), [*footnotes, *legend(table), *table.outdated], columns, table.rows)


def main_views(table: Table, width: int = WIDEST) -> list[View]:
    """The same, as two tables where one would be wider than a page or terminal: accuracies, then costs."""
    view = main_view(table)
    if view.width <= width:
        return [view]
    budgets, told = 1 + max(1, len(table.columns)), costs_legend(table)
    label = column("row", value=attrgetter("label"), text=attrgetter("shown_label"))
    notes = [told, *table.outdated] if told else [*table.outdated]
    # A twin is the set of another row.
    rows = [row for row in table.rows if row.role.kind != "twin"]
    return [
        replace(view, columns=view.columns[:budgets], notes=[note for note in view.notes if note != told]),
        View(MAIN, f"cost of one set · {place(table)}", notes, [label, *view.columns[budgets:]], rows),
    ]


def _has_artifacts(table: Table) -> bool:
    return any(cell.cost.artifact_s for cell in table.cells())


def _budget(place: int, name: str, header: str) -> Column[Row]:
    def text(row: Row) -> str:
        if not row.spans:
            return cell_text(row.cells[place])
        return "" if place else _reference_text(row)

    return mean_column(name, header, lambda row: row.cells[place] if place < len(row.cells) else None, text)


def _reference_text(row: Row) -> str:
    cell = row.cells[0]
    if cell is None or row.unmeasured(cell):
        return NONE if cell is None else cell.reason or "not measured"
    text = cell_text(cell)
    return f"{text} (all {row.n} images)" if row.n is not None and cell.scores else text


def _cost(name: str, text: Callable[[Row, list[float]], str]) -> Column[Row]:
    """A cost of a row over its budgets: people see from where to where it goes, its value is the upper end."""

    def known(row: Row) -> list[float]:
        found = (getattr(cell.cost, name) for cell in row.cells if cell is not None)
        return [cost for cost in found if cost is not None]

    return Column(
        name,
        HEADERS[name],
        lambda row: max(known(row), default=None),
        lambda row: text(row, known(row)),
        shown=rounded,
        optional=True,
    )


def _near(row: Row, costs: list[float]) -> str:
    return spread(costs, apart=1.5)


def _busy(row: Row) -> str:
    return " †" if any(cell.cost.contended for cell in row.cells if cell is not None) else ""


def differences_view(table: Table) -> View | None:
    """A row per method and a column per budget with any comparison; None where nothing is compared."""
    versus = table.versus_random
    if versus is None:
        return None
    columns = [column("row", value=attrgetter("label"))]
    shown = [table.columns[place] for place in versus.columns]
    columns += [_difference(i, each.budget.label, each.label) for i, each in enumerate(shown)]
    lines = [
        {"row": row.label, "budget": each.budget.label}
        | asdict(found.paired)
        | {
            "draws": found.draws,
            "p_holm": found.p if row.judged else None,
            "verdict": found.verdict if row.judged else None,
            "n_needed": found.needed if row.judged else None,
            "power_equivalent": found.power if row.judged else None,
            "control": row.control,
        }
        for row in versus.rows
        for each, found in zip(shown, row.comparisons, strict=True)
        if found is not None
    ]
    notes = [differences_legend(table)]
    return View("minus_random", differences_caption(table), notes, columns, versus.rows, {"lines": lines})


def _difference(place: int, name: str, header: str) -> Column[Difference]:
    def value(row: Difference) -> float | None:
        found = row.comparisons[place]
        return None if found is None else found.paired.difference

    def text(row: Difference) -> str:
        return _difference_text(row.comparisons[place], row.judged)

    return Column(name, header, value, text, shown=decimals(1, sign=True).shown)


def _difference_text(comparison: Comparison | None, judged: bool) -> str:
    """``+12.3 [+8.1, +16.5]``, with a verdict where there is evidence for one."""
    if comparison is None:
        return NONE
    found = comparison.paired
    difference, low, high = (fixed(points, 1, sign=True) for points in (found.difference, found.low, found.high))
    text = f"{difference} [{low}, {high}]"
    return f"{text} {comparison.verdict}" if judged and decidable(comparison) else text
