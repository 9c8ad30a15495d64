"""Average ranks over complete cells, and how much the order depends on protocol, student and budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import Any

from ddbench.core.records import FAILURES
from ddbench.results.stats import DIGITS, Friedman, average_ranks, friedman, kendall_tau
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.observations import Setting
from ddbench.results.tables.tables import Row, Table

RANKED_LAST = FAILURES - {"oom"}
"""Failures of the method; running out of memory or time says something about the machine, and excludes the cell."""

Scores = dict[str, float | None]
Range = tuple[float, float]
"""Best and worst place."""
Places = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Excluded:
    """A cell that does not count.

    Attributes:
        where: Which one: data set, networks, budget.
        why: Which rows have no result there.
    """

    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """The order of methods under one protocol.

    Attributes:
        where: Protocol, profile, preprocessing, split and student: what all cells share.
        per_dataset: Data set → row → mean rank over its complete cells, 1 the best.
        average: Row → mean over data sets; best first where there are verdicts, else in the order of the tables.
        places: Data set → row → the best and the worst place that verdicts leave it, means over its complete cells.
        range: Row → their means over data sets.
        decided: Whether any pair is: else every place is open, and the averages are no order.
        complete: Number of complete cells.
        excluded: Cells that are not complete.
        left_out: Rows that are not in every table, so not ranked.
        friedman: Test that all rows are equally good; None below six data sets.
    """

    where: str
    per_dataset: dict[str, dict[str, float]]
    average: dict[str, float]
    places: dict[str, dict[str, Range]]
    range: dict[str, Range]
    decided: bool
    complete: int
    excluded: tuple[Excluded, ...]
    left_out: tuple[str, ...]
    friedman: Friedman | None


@dataclass(frozen=True, slots=True)
class Stability:
    """How alike two orders are that differ in one thing.

    Attributes:
        differs: ``protocol``, ``student`` or ``budget``.
        first: Its one value.
        second: Its other value.
        where: What both share.
        tau: Kendall's τ-b; None when fewer than three rows are common or all of them tie.
        rows: Common rows.
    """

    differs: str
    first: str
    second: str
    where: str
    tau: float | None
    rows: int


def rankings(tables: Sequence[Table]) -> list[Ranking]:
    """One for each protocol, profile, preprocessing, split and student; none for fewer than two rows."""
    return [found for members in _comparable(tables) if (found := _ranking(members)) is not None]


def _comparable(tables: Sequence[Table]) -> list[list[Table]]:
    """Groups that may share a ranking: never two revisions of one data set."""
    groups: dict[tuple[Any, ...], list[Table]] = {}
    for table in tables:
        setting = table.setting
        student = "" if setting.eval_arch == setting.arch else setting.eval_arch
        key = (setting.protocol, setting.profile, table.preprocess, table.split, student)
        groups.setdefault(key, []).append(table)
    found: list[list[Table]] = []
    for members in groups.values():
        revisions: dict[str, set[str]] = {}
        for table in members:
            name, revision = table.source
            revisions.setdefault(name, set()).add(revision)
        parts: dict[tuple[str, str] | None, list[Table]] = {}
        for table in members:
            alone = len(revisions[table.source[0]]) > 1
            parts.setdefault(table.source if alone else None, []).append(table)
        found += parts.values()
    return found


def _ranking(tables: list[Table]) -> Ranking | None:
    everyone = list(dict.fromkeys(row.label for table in tables for row in table.rows if row.competes))
    rows = [label for label in everyone if all(label in _competitors(table) for table in tables)]
    if len(rows) < 2:
        return None
    cells: list[tuple[str, Scores]] = []
    left: list[tuple[str, Places]] = []
    excluded = []
    for table in tables:
        for place, column in enumerate(table.columns):
            scores, why = _scores(table, place, rows)
            if why:
                excluded.append(Excluded(f"{table.dataset}, {table.setting.arch}, {column.label}", why))
                continue
            name = table.source[0]  # views of one data set are not independent
            cells.append((name, scores))
            failed = {label for label, score in scores.items() if score is None}
            left.append((name, table.families[place].places(rows, failed)))
    per_dataset = average_ranks(cells, rows)
    mean = {row: _average([found[row] for found in per_dataset.values()]) for row in rows if per_dataset}
    places = _places(left, rows)
    decided = any(found != (1, len(rows)) for _, those in left for found in those.values())
    first = tables[0]
    setting = first.setting
    student = "student: the condensing network" if setting.eval_arch == setting.arch else f"student {setting.eval_arch}"
    split = "" if first.split == "default" else f" · split {first.split}"
    return Ranking(
        where=f"{setting.protocol} ({setting.profile}) · {first.preprocess}{split} · {student}",
        per_dataset=per_dataset,
        average=dict(sorted(mean.items(), key=lambda item: item[1])) if decided else mean,
        places=places,
        range={row: _mean_range([found[row] for found in places.values()]) for row in mean},
        decided=decided,
        complete=len(cells),
        excluded=tuple(excluded),
        left_out=tuple(label for label in everyone if label not in rows),
        friedman=friedman(per_dataset),
    )


def _places(cells: Sequence[tuple[str, Places]], rows: Sequence[str]) -> dict[str, dict[str, Range]]:
    """Data set → row → its range, the mean over the data set's cells."""
    found: dict[str, list[Places]] = {}
    for name, places in cells:
        found.setdefault(name, []).append(places)
    return {name: {row: _mean_range([one[row] for one in those]) for row in rows} for name, those in found.items()}


def _mean_range(ranges: Sequence[Range]) -> Range:
    return _average([low for low, _ in ranges]), _average([high for _, high in ranges])


def _average(values: Sequence[float]) -> float:
    return round(fmean(values), DIGITS)


def _competitors(table: Table) -> dict[str, Row]:
    return {row.label: row for row in table.rows if row.competes}


def _scores(table: Table, place: int, rows: Sequence[str]) -> tuple[Scores, str]:
    """Score of each row in a column, None for a failure; and which rows have none, in words."""
    members = _competitors(table)
    cells = {label: members[label].cells[place] for label in rows}
    missing: dict[str, list[str]] = {}
    for label, cell in cells.items():
        if cell is None or not (cell.complete or cell.status in RANKED_LAST):
            missing.setdefault("not run" if cell is None else cell.status, []).append(label)
    why = "; ".join(f"{status}: {', '.join(labels)}" for status, labels in missing.items())
    if why:
        return {}, why
    sound = {label: cell for label, cell in cells.items() if cell is not None and cell.complete}
    means = _means(sound)
    if means is None:
        return {}, "no repetition that all rows have"
    return {label: means.get(label) for label in rows}, ""


def _means(cells: dict[str, Cell]) -> dict[str, float] | None:
    """Means over the repetitions that all have; None when there is none."""
    if not cells:
        return {}
    shared = sorted(set.intersection(*(set(cell.scores) for cell in cells.values())))
    return {label: fmean(cell.scores[r] for r in shared) for label, cell in cells.items()} if shared else None


def stabilities(tables: Sequence[Table]) -> list[Stability]:
    """All pairs of orders that differ in the protocol, the student or the budget alone: in this sequence."""
    return [*_across(tables, "protocol"), *_across(tables, "eval_arch"), *_across_budgets(tables)]


def _across(tables: Sequence[Table], name: str) -> Iterator[Stability]:
    def without(setting: Setting) -> Setting:
        return replace(setting, protocol=None) if name == "protocol" else replace(setting, eval_arch=None)

    for a, b in combinations(tables, 2):
        if without(a.setting) != without(b.setting):
            continue
        first, second = str(getattr(a.setting, name)), str(getattr(b.setting, name))
        rest = f"{a.setting.arch} → {a.setting.eval_arch}" if name == "protocol" else str(a.setting.protocol)
        for place, column in enumerate(a.columns):
            other = next((i for i, found in enumerate(b.columns) if found.budget == column.budget), None)
            if other is not None:
                where = f"{a.dataset} · {rest} · {column.budget.label}"
                differs = "protocol" if name == "protocol" else "student"
                yield _stability(differs, first, second, where, (a, place), (b, other))


def _across_budgets(tables: Sequence[Table]) -> Iterator[Stability]:
    for table in tables:
        where = f"{table.dataset} · {table.setting.arch} → {table.setting.eval_arch} · {table.setting.protocol}"
        for a, b in combinations(range(len(table.columns)), 2):
            first, second = (table.columns[place].budget.label for place in (a, b))
            yield _stability("budget", first, second, where, (table, a), (table, b))


def _stability(
    differs: str, first: str, second: str, where: str, a: tuple[Table, int], b: tuple[Table, int]
) -> Stability:
    orders = [_order(*a), _order(*b)]
    common = [label for label in orders[0] if label in orders[1]]
    return Stability(differs, first, second, where, kendall_tau(*orders), len(common))


def _order(table: Table, place: int) -> Scores:
    """Scores of the rows that have one in a column, over the repetitions that all of them have; failures last."""
    cells = {label: cell for label, row in _competitors(table).items() if (cell := row.cells[place]) is not None}
    means = _means({label: cell for label, cell in cells.items() if cell.complete}) or {}
    return {label: means.get(label) for label, cell in cells.items() if label in means or cell.status in RANKED_LAST}
