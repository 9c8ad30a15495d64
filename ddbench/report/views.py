"""Tables derived from the main ones, shown on demand: scores, cost, regimes, ranks, stability, failures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from ddbench.errors import unknown
from ddbench.report.captions import conditions, place
from ddbench.report.cells import Cell
from ddbench.report.cross import shown_label
from ddbench.report.figures import NONE, marked, plural
from ddbench.report.lossless import lossless_view
from ddbench.report.ranking import Ranking, Stability, rankings, stabilities
from ddbench.report.regimes import OWN_RANDOM, regime_tables
from ddbench.report.scores import CostLine, Score, cost_of, scores_of
from ddbench.report.tables import Table
from ddbench.report.view import View, caution, fixed, nothing, short_number, signed

MAIN = "main"
"""The name of what is shown without being asked for."""


def views_of(tables: Sequence[Table], names: Sequence[str]) -> list[View]:
    """The named views, in that order; :data:`MAIN` is no view but the tables themselves, and left out.

    Raises:
        UsageError: If a name is unknown.
    """
    check_names(names)
    return [view for name in dict.fromkeys(names) if name != MAIN for view in VIEWS[name](tables)]


def check_names(names: Sequence[str]) -> None:
    """Refuse unknown names.

    Raises:
        UsageError: If a name is unknown.
    """
    for name in names:
        if name not in VIEWS and name != MAIN:
            raise unknown("view", name, [MAIN, *VIEWS], "ddbench results show --help")


def _worst(score: Score) -> str:
    return NONE if score.worst_class is None else f"{score.worst_class:.1f} (class {score.worst_class_index})"


def _quartiles(score: Score) -> str:
    return NONE if score.quartiles is None else " / ".join(f"{value:.1f}" for value in score.quartiles)


SCORES: tuple[tuple[str, Callable[[Score], str], str], ...] = (
    (
        "recovery",
        lambda score: fixed(score.recovery, 2),
        "share of the gap closed, (accuracy − random) / (full − random): 0 is random, 1 is full",
    ),
    ("IOR", lambda score: signed(score.ior), "improvement over random, in points"),
    (
        "HLR",
        lambda score: signed(score.hlr),
        "hard-label recovery, full − accuracy under hard labels, in points: lower is better",
    ),
    (
        "LRS",
        lambda score: fixed(score.lrs, 3),
        "label-robust score, (e^α − e⁻¹)/(e − e⁻¹) with α = ½·IOR under the set's own recipe − ½·HLR as fractions of "
        "1: 0.269 at α = 0, higher is better",
    ),
    (
        "ARS",
        lambda score: fixed(score.ars, 3),
        "augmentation-robust score, the same of ½·IOR with augmentation + ½·IOR without",
    ),
    (
        "− random@bytes",
        lambda score: signed(score.over_bytes),
        "accuracy minus that of as many real images as the set's bytes buy, in points",
    ),
    (
        "worst class",
        _worst,
        "lowest of the classes' mean accuracies [%], and which class (from 0)",
    ),
    ("quartiles", _quartiles, "accuracy on each quarter of the test images, easiest first [%]"),
)
"""Header, text and meaning of each derived score."""


def _scores(tables: Sequence[Table]) -> list[View]:
    return [_scores_view(table, scores_of(table, tables)) for table in tables]


def _scores_view(table: Table, scores: Sequence[Score]) -> View:
    shown = [column for column in SCORES if any(column[1](score) != NONE for score in scores)]
    header = ["method", "budget", "n", "top-1 %", *(name for name, _, _ in shown)]
    grid = [header] + [
        [
            marked(score.row, score.source),
            score.budget,
            str(score.n),
            fixed(score.accuracy, 1),
            *(text(score) for _, text, _ in shown),
        ]
        for score in scores
    ]
    notes = [f"{name}: {words}" for name, _, words in shown]
    reasons: dict[str, list[str]] = {}
    for score in scores:
        if score.unrecovered:
            reasons.setdefault(score.unrecovered, []).append(f"{marked(score.row, score.source)} at {score.budget}")
    if len(reasons) == 1 and not any(score.recovery is not None for score in scores):
        notes.append(f"no recovery: {next(iter(reasons))}")
    else:
        notes += [f"no recovery for {', '.join(where)}: {why}" for why, where in reasons.items()]
    notes += [f"no quartiles for {', '.join(where)}: {why}" for why, where in _unquartered(scores).items()]
    notes += caution(score.n for score in scores)
    facts = {"where": place(table), "lines": [facts_of(score) for score in scores]}
    return View(
        "scores",
        f"derived scores · {place(table)} · means over repetitions, differences over those that both have",
        grid,
        notes,
        facts,
    )


def _unquartered(scores: Sequence[Score]) -> dict[str, list[str]]:
    """Reason → rows without quartiles for it."""
    found: dict[str, list[str]] = {}
    for score in scores:
        if score.unquartered:
            found.setdefault(score.unquartered, []).append(f"{marked(score.row, score.source)} at {score.budget}")
    return found


def _cost(tables: Sequence[Table]) -> list[View]:
    return [_cost_view(table, cost_of(table)) for table in tables]


def _cost_view(table: Table, found: Sequence[CostLine]) -> View:
    columns: list[tuple[str, Callable[[CostLine], str]]] = [
        ("condense s", lambda line: short_number(line.condense_s) + (" †" if line.contended else "")),
        ("artifact s", lambda line: short_number(line.artifact_s)),
        ("train s", lambda line: short_number(line.train_s)),
        ("peak MB", lambda line: short_number(line.peak_mb)),
        ("bytes", lambda line: short_number(line.bytes)),
        ("uint8 top-1 %", lambda line: fixed(line.top1_uint8, 1)),
        ("full stopped %", lambda line: fixed(line.full_stopped, 1)),
        ("pays after", lambda line: break_even_text(line.break_even)),
        ("with artifacts", lambda line: break_even_text(line.break_even_with_artifacts)),
        ("Pareto", lambda line: ", ".join(line.pareto) or NONE),
    ]
    shown = [column for column in columns if any(column[1](line) != NONE for line in found)]
    twins = {row.label for row in table.rows if row.role.kind == "twin"}
    grid = [["method", "budget", "top-1 %", *(name for name, _ in shown)]] + [
        [marked(line.row, line.source), line.budget, fixed(line.accuracy, 1), *(text(line) for _, text in shown)]
        for line in found
        if line.row not in twins  # the set of another line, trained otherwise: it costs the same
    ]
    names = {name for name, _ in shown}
    notes = [
        "cost of one set in our implementation: seconds to prepare and condense, to build the artifacts it reads, to "
        "train and test one student, without the search for a learning rate; peak memory of condensing; stored bytes "
        "(real images as uint8; k = 10³)"
        + ("; †: other processes used the cores meanwhile" if any(line.contended for line in found) else "")
    ]
    if "uint8 top-1 %" in names:
        notes.append("uint8: the set rounded to 8-bit pixels before training")
    if "full stopped %" in names:
        notes.append(
            "full stopped: all images, trained for no longer than the set, its artifacts and one student took, at the "
            "pace that full was recorded with (updates rounded down to two digits, the schedule shortened with them)"
        )
    if "pays after" in names:
        notes.append(
            "pays after: students to train until condensing has cost less time than training each on all images; with "
            "artifacts: when they serve this set alone; never: training on the set is not faster"
        )
    else:
        notes.append("no break-even: full was not measured")
    if "Pareto" in names:
        notes.append(
            "Pareto, over all budgets together: no other line is as accurate for as little (seconds with artifacts, "
            "memory, bytes) and better in one of the two, by the means; costs count to the digits shown, memory to two "
            "and as 1 MB at least"
        )
    notes += caution(line.n for line in found)
    facts = {"where": place(table), "lines": [facts_of(line) for line in found]}
    return View("cost", f"cost · {place(table)} · means over repetitions", grid, notes, facts)


def break_even_text(value: float | None) -> str:
    """``–``, ``never``, or the whole number of students, at least 1."""
    if value is None:
        return NONE
    return "never" if math.isinf(value) else str(max(1, math.ceil(value)))


def _regimes(tables: Sequence[Table]) -> list[View]:
    found = []
    for regimes in regime_tables(tables):
        grid = [["method", *regimes.headers]] + [
            [shown_label(label, cells), *map(cell_text, cells)] for label, cells in regimes.rows.items()
        ]
        notes = ["mean ± sd (repetitions); the same sets in every column, students trained anew"]
        if OWN_RANDOM in regimes.headers:
            notes.append(f"{OWN_RANDOM}: real images at random, trained by the recipe of the row's method")
        notes += caution(len(cell.scores) for cells in regimes.rows.values() for cell in cells if cell is not None)
        values = [
            {"row": label, "protocol": protocol, **cell_facts(cell)}
            for label, cells in regimes.rows.items()
            for protocol, cell in zip(regimes.protocols, cells, strict=True)
            if cell is not None
        ]
        caption = f"labels and augmentation · {regimes.caption} · test top-1 %"
        found.append(View("regime", caption, grid, notes, {"where": regimes.caption, "lines": values}))
    return found or [
        nothing(
            "regime", "labels and augmentation", "this needs one set under two protocols, e.g. --protocols hard,native"
        )
    ]


def cell_text(cell: Cell | None) -> str:
    """``58.3 ± 2.1 (3)``, ``58.3 ± 2.1 (2 of 3)``, a status, or ``–``."""
    found = None if cell is None else cell.summary
    if cell is None or found is None:
        return NONE if cell is None or cell.status == "skipped" else cell.status
    spread = f" ± {found.sd:.1f}" if found.sd is not None else ""
    return f"{found.mean:.1f}{spread} ({found.n if cell.complete else f'{found.n} of {cell.planned}'})"


def cell_facts(cell: Cell) -> dict[str, Any]:
    """Status, mean, sd and n of a cell."""
    found = cell.summary
    return {
        "source": cell.source,
        "status": cell.status,
        "mean": None if found is None else found.mean,
        "sd": None if found is None else found.sd,
        "n": len(cell.scores),
        "planned": cell.planned,
    }


def _ranks(tables: Sequence[Table]) -> list[View]:
    found = [_ranks_view(ranking) for ranking in rankings(tables)]
    return found or [nothing("ranks", "average ranks", "this needs two methods in the same tables")]


def _ranks_view(ranking: Ranking) -> View:
    names = list(ranking.per_dataset)
    grid = []
    if ranking.average:
        several = names if len(names) > 1 else []
        grid = [["method", *several, "average rank"]] + [
            [row, *(fixed(ranking.per_dataset[name][row], 2) for name in several), fixed(mean, 2)]
            for row, mean in ranking.average.items()
        ]
    cells = f"{plural(str(ranking.complete), 'complete cell')} of {plural(str(len(names)), 'data set')}"
    notes = [
        f"1 is the best of {len(ranking.average)}; ranks of means in {cells} (a cell: data set, network, budget), "
        "averaged per data set first; equal means share a rank, failures come last; ranks alone claim no significance"
        if ranking.average
        else "no cell in which every method has a result"
    ]
    notes += [f"not counted: {cell.where} ({cell.why})" for cell in ranking.excluded]
    if ranking.left_out:
        notes.append(f"not ranked, because not in every table: {', '.join(ranking.left_out)}")
    test = ranking.friedman
    if test is not None:
        notes.append(
            f"Friedman's test that all are equally good: χ² = {test.statistic:.2f}, p = {test.p:.2g}, "
            f"{test.n} data sets"
        )
    facts = asdict(ranking)
    return View("ranks", f"average ranks · {ranking.where}", grid, notes, facts)


def _stability(tables: Sequence[Table]) -> list[View]:
    found = [one for one in stabilities(tables) if one.tau is not None]
    caption = "does the order of the methods depend on the protocol, the student, the budget?"
    if not found:
        return [nothing("stability", caption, "this needs three methods under two protocols, students or budgets")]
    grid = [["what differs", "first", "second", "the same in both", "methods", "Kendall τ"]]
    grid += [[one.differs, one.first, one.second, one.where, str(one.rows), signed(one.tau, 2)] for one in found]
    notes = [
        "τ: 1 the same order, 0 unrelated, −1 reversed; by means, so methods that differ by noise alone change "
        "places too",
        *_mean_taus(found),
    ]
    return [View("stability", caption, grid, notes, {"lines": [asdict(one) for one in found]})]


def _mean_taus(found: Sequence[Stability]) -> list[str]:
    groups: dict[str, list[float]] = {}
    for one in found:
        if one.tau is not None:
            groups.setdefault(one.differs, []).append(one.tau)
    parts = [f"{name} {math.fsum(taus) / len(taus):+.2f} (of {len(taus)})" for name, taus in groups.items()]
    return [f"mean τ by what differs: {', '.join(parts)}"]


def _failures(tables: Sequence[Table]) -> list[View]:
    caption = "failed and skipped"
    found: dict[tuple[str, str, str, str, str, str], list[str]] = {}
    for table in tables:
        for row, cell, budget in ((one.row, one.cell, one.budget) for one in table.filled()):
            if not cell.complete:
                missing = cell.planned - len(cell.scores)
                status = cell.status if missing == cell.planned else f"{cell.status} ({missing} of {cell.planned})"
                key = row.label, row.source, conditions(table), budget, status, " ".join(cell.reason.split())
                found.setdefault(key, []).append(str(table.setting.protocol))
    if not found:
        return [nothing("failures", caption, "every planned cell has a result")]
    grid = [["method", "where", "budget", "status", "reason"]]
    facts = []
    for (label, source, where, budget, status, reason), protocols in found.items():
        shown = ", ".join(dict.fromkeys(protocols))
        grid.append([marked(label, source), f"{where} · {shown}", budget, status, reason])
        facts.append(
            {
                "row": label,
                "source": source,
                "where": f"{where} · {shown}",
                "budget": budget,
                "status": status,
                "reason": reason,
            }
        )
    return [
        View(
            "failures",
            caption,
            grid,
            ["(1 of 3): that many repetitions have no result"] if any(" of " in line[3] for line in grid) else [],
            {"lines": facts},
        )
    ]


def facts_of(line: Score | CostLine) -> dict[str, Any]:
    """A line for programs; JSON has no infinity."""
    if isinstance(line, Score):
        return asdict(line)
    finite = asdict(line)
    for name in ("break_even", "break_even_with_artifacts"):
        if finite[name] is not None and math.isinf(finite[name]):
            finite[name] = "never"
    return finite


VIEWS: dict[str, Callable[[Sequence[Table]], list[View]]] = {
    "scores": _scores,
    "cost": _cost,
    "regime": _regimes,
    "ranks": _ranks,
    "stability": _stability,
    "failures": _failures,
    "lossless": lossless_view,
}
