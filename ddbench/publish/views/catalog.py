"""Tables derived from the main ones, shown on demand: scores, cost, regimes, ranks, stability, failures, crossings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from operator import itemgetter

from ddbench.core.errors import unknown
from ddbench.core.words import plural
from ddbench.publish.views.columns import COUNT, Column, column, decimals, values
from ddbench.publish.views.cost import cost_view
from ddbench.publish.views.crossing import crossing_views
from ddbench.publish.views.lossless import lossless_views
from ddbench.publish.views.main import CELL, MAIN, across_tables, cell_text
from ddbench.publish.views.scores import scores_view
from ddbench.publish.views.verdicts import verdict_views
from ddbench.publish.views.view import View, caution, empty_view
from ddbench.results.scores.ranking import Range, Ranking, Stability, rankings, stabilities
from ddbench.results.scores.regimes import OWN_RANDOM, Regimes, regime_tables
from ddbench.results.tables.conditions import conditions
from ddbench.results.tables.figures import fixed, mark_source
from ddbench.results.tables.tables import Table


def views_of(tables: Sequence[Table], names: Sequence[str]) -> list[View]:
    """The named views, in that order; :data:`MAIN` is no view but the tables themselves, and left out.

    Raises:
        UsageError: If a name is unknown.
    """
    check_names(names)
    told = [line for table in tables for line in table.outdated]
    told = list(dict.fromkeys(told + [f"{table.named}, {line}" for table in tables for line in table.short]))
    return [
        replace(view, notes=[*view.notes, *told]) if view.rows else view
        for name in dict.fromkeys(names) if name != MAIN
        for view in VIEWS[name](tables)
    ]  # fmt: skip


def check_names(names: Sequence[str]) -> None:
    """Refuse unknown names.

    Raises:
        UsageError: If a name is unknown.
    """
    for name in names:
        if name not in VIEWS and name != MAIN:
            raise unknown("view", name, [MAIN, *VIEWS], "ddbench results show --help")


def _regimes(tables: Sequence[Table]) -> list[View]:
    why = "this needs one set under two protocols, e.g. --protocols hard,native"
    found = [_regime_view(regimes) for regimes in regime_tables(tables)]
    return found or [empty_view("regime", "labels and augmentation", why)]


def _regime_view(regimes: Regimes) -> View:
    notes = ["mean ± sd (repetitions); the same sets in every column, students trained anew"]
    if OWN_RANDOM in regimes.headers:
        notes.append(f"{OWN_RANDOM}: real images at random, trained by the recipe of the row's method")
    notes += caution(len(cell.scores) for cells in regimes.rows.values() for cell in cells if cell is not None)
    lines = [
        {"row": label, "protocol": protocol} | values(CELL, cell)
        for label, cells in regimes.rows.items()
        for protocol, cell in zip(regimes.protocols, cells, strict=True)
        if cell is not None
    ]
    columns = across_tables(regimes.protocols, regimes.headers, partial(cell_text, plain=True))
    caption = f"labels and augmentation · {regimes.caption} · test top-1 %"
    facts = {"where": regimes.caption, "lines": lines}
    return View("regime", caption, notes, columns, list(regimes.rows.items()), facts)


def _ranks(tables: Sequence[Table]) -> list[View]:
    found = [_ranks_view(ranking) for ranking in rankings(tables)]
    return found or [empty_view("ranks", "average ranks", "this needs two methods in the same tables")]


def _ranks_view(ranking: Ranking) -> View:
    names = list(ranking.per_dataset)
    columns = [column("row", value=str)]
    if len(names) > 1:
        columns += [_rank(name, name, ranking.per_dataset[name], ranking.places[name]) for name in names]
    columns.append(_rank("average", "average rank [open places]", ranking.average, ranking.range))
    columns += [
        column(name, value=partial(_end, ranking, end)) for end, name in enumerate(("range_best", "range_worst"))
    ]
    cells = f"{plural(ranking.complete, 'complete cell')} of {plural(len(names), 'data set')}"
    notes = [
        f"1 is the best of {len(ranking.average)}; ranks of means in {cells} (a cell: data set, network, budget), "
        "averaged per data set first; equal means share a rank, failures come last; [a, b]: the best and the worst "
        "place that the verdicts on all pairs leave a row"
        if ranking.average
        else "no cell in which every method has a result"
    ]
    if ranking.average and not ranking.decided:
        notes.append("no row is found better, so every place is open: averages are no order (see the view verdicts)")
    notes += [f"not counted: {cell.where} ({cell.why})" for cell in ranking.excluded]
    if ranking.left_out:
        notes.append(f"not ranked, because not in every table: {', '.join(ranking.left_out)}")
    test = ranking.friedman
    if test is not None:
        notes.append(
            f"Friedman's test that all are equally good: χ² = {test.statistic:.2f}, p = {test.p:.2g}, "
            f"{test.n} data sets"
        )
    return View("ranks", f"average ranks · {ranking.where}", notes, columns, list(ranking.average), asdict(ranking))


def _end(ranking: Ranking, end: int, row: str) -> float:
    return ranking.range[row][end]


def _rank(name: str, header: str, ranks: Mapping[str, float], ranges: Mapping[str, Range]) -> Column[str]:
    """A mean rank with the places that are open."""
    two = decimals(2)

    def text(row: str) -> str:
        low, high = (f"{end:.2f}".rstrip("0").rstrip(".") for end in ranges[row])
        return f"{two.text(ranks[row])} [{low}, {high}]"

    return column(name, two, header, value=ranks.get, text=text)


STABILITY: tuple[Column[Stability], ...] = (
    column("differs", header="what differs"), column("first", header="first"), column("second", header="second"),
    column("where", header="the same in both"), column("rows", COUNT, "methods"),
    column("tau", decimals(2, sign=True), "Kendall τ"),
)  # fmt: skip


def _stability(tables: Sequence[Table]) -> list[View]:
    found = [one for one in stabilities(tables) if one.tau is not None]
    caption = "does the order of the methods depend on the protocol, the student, the budget?"
    if not found:
        return [empty_view("stability", caption, "this needs three methods under two protocols, students or budgets")]
    notes = [
        "τ: 1 the same order, 0 unrelated, −1 reversed; by means, so methods that differ by noise alone change "
        "places too",
        *_mean_taus(found),
    ]
    return [View("stability", caption, notes, STABILITY, found)]


def _mean_taus(found: Sequence[Stability]) -> list[str]:
    groups: dict[str, list[float]] = {}
    for one in found:
        if one.tau is not None:
            groups.setdefault(one.differs, []).append(one.tau)
    parts = [
        f"{name} {fixed(math.fsum(taus) / len(taus), 2, sign=True)} (of {len(taus)})" for name, taus in groups.items()
    ]
    return [f"mean τ by what differs: {', '.join(parts)}"]


FAILURES: tuple[Column[tuple[str, ...]], ...] = (
    column("row", value=itemgetter(0), text=lambda line: mark_source(*line[:2])),
    column("source", value=itemgetter(1)),
    *(column(x, header=x, value=itemgetter(i)) for i, x in enumerate(("where", "budget", "status", "reason"), 2)),
)


def _failures(tables: Sequence[Table]) -> list[View]:
    caption, some = "failed and skipped", False
    found: dict[tuple[str, ...], list[str]] = {}
    for table in tables:
        for row, cell, budget in ((one.row, one.cell, one.budget) for one in table.filled()):
            if not cell.complete:
                missing = cell.planned - len(cell.scores)
                some |= missing < cell.planned
                status = cell.status if missing == cell.planned else f"{cell.status} ({missing} of {cell.planned})"
                key = row.label, row.source, conditions(table), budget, status, " ".join(cell.reason.split())
                found.setdefault(key, []).append(str(table.setting.protocol))
    if not found:
        return [empty_view("failures", caption, "every planned cell has a result")]
    rows = [
        (label, source, f"{where} · {', '.join(dict.fromkeys(protocols))}", *rest)
        for (label, source, where, *rest), protocols in found.items()
    ]
    notes = ["(1 of 3): that many repetitions have no result"] if some else []
    return [View("failures", caption, notes, FAILURES, rows)]


VIEWS: dict[str, Callable[[Sequence[Table]], list[View]]] = {
    "scores": lambda tables: [scores_view(table, tables) for table in tables],
    "cost": lambda tables: [cost_view(table) for table in tables],
    "regime": _regimes,
    "ranks": _ranks,
    "stability": _stability,
    "failures": _failures,
    "lossless": lossless_views,
    "verdicts": verdict_views,
    "crossing": crossing_views,
}
ONCE = frozenset({"lossless"})
"""Views whose verdicts are adjusted for all claims of a page, so that one block of a page must make them all."""
