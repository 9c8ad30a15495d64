"""Scores derived from a table, without training anything: how much of the gap is closed, and what it cost.

Units: accuracies in percent [0, 100], differences in points, and what is called a fraction in fractions (1 is all).
``random`` is the row of that name in the same column; under ``native`` it is the one trained by the row's own recipe.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from ddbench.core.records import Timer
from ddbench.core.roles import RANDOM, Kind, baseline_of
from ddbench.results.stats import DIGITS
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.costs import MAKING, timer_of
from ddbench.results.tables.figures import significant
from ddbench.results.tables.protocols import name_of
from ddbench.results.tables.tables import Row, Table

WEIGHT = 0.5
"""Of the first part in LRS and ARS, as DD-Ranking sets it."""
LEAST_GAP = 2.0
"""Below this gap between ``full`` and ``random`` a fraction of it says nothing [points]."""
LEAST_ERRORS = 3.0
"""The same in standard errors of the gap."""
COSTS = ("seconds", "memory", "bytes")


@dataclass(frozen=True, slots=True)
class Score:
    """Derived scores of one row at one budget; None where an ingredient is missing or a result is incomplete.

    Attributes:
        row: Label of the row.
        source: ``measured``, ``imported`` or ``reported``.
        budget: Label of the column, ``all images`` for a reference.
        n: Repetitions.
        accuracy: Mean test accuracy [%].
        recovery: (accuracy − random) / (full − random), a fraction: 0 is random, 1 is full; may be negative or above 1;
            over the repetitions that row and random have, of full those of them that it has, else all.
        unrecovered: Why ``recovery`` is None; empty otherwise.
        ior: Improvement over random: accuracy − random, over common repetitions [points].
        hlr: Hard-label recovery: full − accuracy under hard labels, over the repetitions that both have, else over all
            of each [points]; lower is better.
        lrs: Label-robust score, a fraction: (e^α − e⁻¹)/(e − e⁻¹), α = ½·IOR under the own recipe − ½·HLR, both as
            fractions of 1. α = 0 gives 0.269. (DD-Ranking's formula; its release feeds percent into the exponent.)
        ars: Augmentation-robust score, a fraction: the same of β = ½·IOR with augmentation + ½·IOR without.
        over_bytes: Accuracy − that of as many real images as the set's bytes buy, over common repetitions [points].
        worst_class: Lowest of the classes' mean accuracies [%].
        worst_class_index: Which class that is, counted from 0; the first of several.
        quartiles: Accuracy by difficulty of the test images, easiest quarter first [%]; of one difficulty per table.
        unquartered: Why quartiles that were measured are not shown; empty otherwise.
    """

    row: str
    source: str
    budget: str
    n: int
    accuracy: float | None
    recovery: float | None = None
    unrecovered: str = ""
    ior: float | None = None
    hlr: float | None = None
    lrs: float | None = None
    ars: float | None = None
    over_bytes: float | None = None
    worst_class: float | None = None
    worst_class_index: int | None = None
    quartiles: tuple[float, ...] | None = None
    unquartered: str = ""


@dataclass(frozen=True, slots=True)
class CostLine:
    """What one row at one budget cost, and whether that was worth it.

    Attributes:
        row: Label of the row.
        source: ``measured``, ``imported`` or ``reported``.
        budget: Label of the column, ``all images`` for a reference.
        accuracy: Mean test accuracy [%].
        cell: The cell, and so what it cost.
        break_even: How many students must be trained until condensing has paid: its seconds / (those of a student of
            ``full`` − those of one of the set), by :func:`break_even_timer`; ``math.inf`` when training on the set is
            not faster; None without ``full``.
        break_even_with_artifacts: The same with the artifacts charged to this set alone.
        at_uint8: Accuracy of as many real images as the set's bytes with uint8 images pay for, from their own row [%].
        pareto: Of ``seconds`` (condensing and artifacts, by :func:`making_timer`), ``memory`` and ``bytes`` those for
            which no line of the table, whatever its budget, is at least as accurate and at least as cheap, and better
            in one of both; empty for what is not ranked.
    """

    row: str
    source: str
    budget: str
    accuracy: float
    cell: Cell
    break_even: float | None = None
    break_even_with_artifacts: float | None = None
    at_uint8: float | None = None
    pareto: tuple[str, ...] = ()


def scores_of(table: Table, tables: Sequence[Table] = ()) -> list[Score]:
    """One score per cell, in the order of the table, references first.

    Args:
        table: Where accuracy, ``random`` and ``full`` are taken from.
        tables: All tables of the report: LRS also needs the one under the sets' own recipes (``native``), ARS the one
            without augmentation (``noaug``), of the same data, networks and profile. HLR, LRS and ARS stand under
            protocols that name these (:class:`ddbench.core.infos.Standing`).
    """
    hard = table.standing.own_recipe is not None
    native, bare = (_sibling(table, tables, name) for name in (table.standing.own_recipe, table.standing.unaugmented))
    full, difficulty = full_of(table), _difficulty(table)
    found = []
    for line in table.filled():
        row, place, budget, cell = line.row, line.place, line.budget, line.cell
        score = _of_one_difficulty(_plain(row, budget, cell), cell, difficulty)
        if not row.spans and cell.complete:
            ior = _over_random(table, row.label, place)
            recovery, why = _recovery(cell, _random(table, row, place), full)
            if cell.own_n is not None:
                recovery, why = None, ""  # of another size than random: a footnote of its row says so
            equal = _at_bytes(table, row.label, place)
            score = replace(score, ior=ior, recovery=recovery, unrecovered=why, over_bytes=_gain(cell, equal))
            if hard and full is not None and score.accuracy is not None:
                paired = _gain(full, cell)
                score = replace(score, hlr=_rounded(_mean(full) - score.accuracy) if paired is None else paired)
            if native is not None:
                own = _over_random(native, row.label, _place(native, budget))
                # A method without labels or recipe of its own has no native row: hard labels are its recipe.
                mentioned = any(other.label == row.label for other in native.rows)
                gain = own if mentioned else ior
                if gain is not None and score.hlr is not None:
                    score = replace(score, lrs=index(WEIGHT * gain - (1 - WEIGHT) * score.hlr))
            if bare is not None:
                without = _over_random(bare, row.label, _place(bare, budget))
                if ior is not None and without is not None:
                    score = replace(score, ars=index(WEIGHT * ior + (1 - WEIGHT) * without))
        found.append(score)
    return found


def index(points: float) -> float:
    """Where a gain lies between −100 points (0) and +100 points (1), on DD-Ranking's exponential scale."""
    return _rounded((math.exp(points / 100) - math.exp(-1)) / (math.e - math.exp(-1)))


def cost_of(table: Table) -> list[CostLine]:
    """One line per cell with a result, in the order of the table, references first."""
    full, making, whole = full_of(table), making_timer(table), break_even_timer(table)
    full_s = None if full is None else full.cost.get("train", whole)
    found, ranked = [], []
    for one in table.filled():
        row, cell = one.row, one.cell
        if cell.summary is None:
            continue
        cost = cell.cost
        student_s = cost.get("train", whole)
        line = CostLine(
            row=row.label,
            source=row.source,
            budget=one.budget,
            accuracy=cell.summary.mean,
            cell=cell,
            break_even=break_even(cost.get("condense", whole), full_s, student_s),
            break_even_with_artifacts=break_even(cost.making(whole), full_s, student_s),
            at_uint8=_mean_of(None if row.spans else _at_bytes(table, row.label, one.place, "at_uint8")),
        )
        found.append(line)
        if competes(row, cell):
            ranked.append(line)
    return [
        replace(line, pareto=tuple(kind for kind in COSTS if _undominated(line, ranked, kind, making)))
        if any(line is other for other in ranked)
        else line
        for line in found
    ]


def making_timer(table: Table) -> Timer:
    """The seconds by which the sets of a table are compared, in every view of it."""
    return timer_of(cell.cost for cell in table.cells())


def break_even_timer(table: Table) -> Timer:
    """The seconds that break-even is counted in: also of students, those of ``full`` included."""
    return timer_of((one.cell.cost for one in table.filled() if one.cell.summary is not None), (*MAKING, "train"))


def competes(row: Row, cell: Cell) -> bool:
    """Whether a cell may lie on a Pareto front: it counts, and is a set that somebody would choose.

    Not one at which another row starts, nor another row's set trained otherwise.
    """
    return cell.counts and row.role.kind not in ("twin", "start")


def front_of(table: Table, kind: str) -> set[tuple[str, str]]:
    """Row and label of the column of every cell on the Pareto front of a table, all its budgets together.

    Args:
        table: The table.
        kind: One of :data:`COSTS`.
    """
    return {(line.row, line.budget) for line in cost_of(table) if kind in line.pareto}


def break_even(condense_s: float | None, full_s: float | None, set_s: float | None) -> float | None:
    """Trainings until condensing has paid; ``math.inf`` for never, None when a duration is not known."""
    if condense_s is None or full_s is None or set_s is None:
        return None
    return math.inf if full_s <= set_s else condense_s / (full_s - set_s)


def siblings(table: Table, tables: Sequence[Table], *free: str) -> list[Table]:
    """Those tables, itself among them, that differ in the protocol alone, or in the ``free`` fields of settings too."""
    blank: dict[str, Any] = dict.fromkeys(("protocol", *free))
    return [other for other in tables if replace(other.setting, **blank) == replace(table.setting, **blank)]


def _sibling(table: Table, tables: Sequence[Table], protocol: str | None) -> Table | None:
    found = (other for other in siblings(table, tables) if name_of(str(other.setting.protocol)) == protocol)
    return next(found, None)


def _plain(row: Row, budget: str, cell: Cell) -> Score:
    found = cell.summary
    score = Score(row.label, row.source, budget, len(cell.scores), None if found is None else found.mean)
    if not cell.per_class:
        return replace(score, quartiles=cell.quartiles)
    worst = min(cell.per_class)
    return replace(score, worst_class=worst, worst_class_index=cell.per_class.index(worst), quartiles=cell.quartiles)


def _difficulty(table: Table) -> str | None:
    """The difficulty behind most quartiles of a table, of several the first; None where there are none."""
    known = Counter(one.cell.difficulties[0] for one in table.filled() if one.cell.quartiles is not None)
    return known.most_common(1)[0][0] if known else None


def _of_one_difficulty(score: Score, cell: Cell, difficulty: str | None) -> Score:
    """Without quartiles that are of other test images than those of the table."""
    if len(cell.difficulties) > 1:
        return replace(score, unquartered="its results are by different difficulties of the test images")
    if cell.quartiles is not None and cell.difficulties[0] != difficulty:
        return replace(score, quartiles=None, unquartered="by another difficulty of the test images than the others")
    return score


def full_of(table: Table) -> Cell | None:
    """The finished cell of ``full``, if it was measured here."""
    row = next((row for row in table.rows if row.spans and row.method == "full" and row.source == "measured"), None)
    cell = None if row is None else row.cells[0]
    return cell if cell is not None and cell.complete and cell.scores else None


def _random(table: Table, row: Row, place: int) -> Cell | None:
    baseline = baseline_of(row, table.rows)
    cell = None if baseline is None else baseline.cells[place]
    return cell if cell is not None and cell.ranked and cell.scores else None


def _place(table: Table, budget: str) -> int | None:
    return next((i for i, column in enumerate(table.columns) if column.label == budget), None)


def _over_random(table: Table, label: str, place: int | None) -> float | None:
    """Points over ``random``, over common repetitions; None for ``random`` itself, which gains nothing."""
    row = next((row for row in table.rows if row.label == label), None)
    if row is None or row.spans or place is None or row.method == RANDOM:
        return None
    cell = row.cells[place]
    return _gain(cell, _random(table, row, place)) if cell is not None and cell.complete else None


def _at_bytes(table: Table, label: str, place: int, kind: Kind = "at_bytes") -> Cell | None:
    """The cell of as many real images as a row's sets cost, or would cost with uint8 images."""
    cells = [row.cells[place] for row in table.rows if row.role.kind == kind and label in row.role.of]
    return next((cell for cell in cells if cell is not None and cell.counts), None)


def _mean_of(cell: Cell | None) -> float | None:
    return None if cell is None or cell.summary is None else cell.summary.mean


def _gain(cell: Cell, base: Cell | None) -> float | None:
    """Points over another cell, over common repetitions."""
    shared = set() if base is None else cell.scores.keys() & base.scores.keys()
    if base is None or not shared:
        return None
    return _rounded(fmean(cell.scores[r] - base.scores[r] for r in sorted(shared)))


def _recovery(cell: Cell, random: Cell | None, full: Cell | None) -> tuple[float | None, str]:
    """Recovery, and why there is none; how well the gap is known is judged by all repetitions of its two ends."""
    if full is None:
        return None, "full was not measured"
    shared = set() if random is None else cell.scores.keys() & random.scores.keys()
    if random is None or not shared:
        return None, "random was not measured" + ("" if random is None else " in the same repetitions")
    bottom = _mean(_over(random, shared))
    gap = _mean(_over(full, shared & full.scores.keys() or full.scores.keys())) - bottom
    if gap < LEAST_GAP:
        return None, f"full − random is below {LEAST_GAP:g} points"
    error = _error_of_gap(full, random)
    if error is None:
        return None, "one repetition: the error of full − random is not known"
    if gap < LEAST_ERRORS * error:
        return None, f"full − random is below {LEAST_ERRORS:g} standard errors"
    return _rounded((_mean(_over(cell, shared)) - bottom) / gap), ""


def _over(cell: Cell, repetitions: Set[int]) -> Cell:
    return replace(cell, scores={r: top1 for r, top1 in cell.scores.items() if r in repetitions})


def _error_of_gap(full: Cell, random: Cell) -> float | None:
    """Standard error of full − random: paired by repetition where two or more are common."""
    shared = sorted(full.scores.keys() & random.scores.keys())
    if len(shared) > 1:
        return stdev([full.scores[r] - random.scores[r] for r in shared]) / math.sqrt(len(shared))
    found = full.summary, random.summary
    squares = [s.sd**2 / s.n for s in found if s is not None and s.sd is not None]
    return math.sqrt(sum(squares)) if len(squares) == 2 else None


def _undominated(line: CostLine, lines: Sequence[CostLine], kind: str, timer: Timer) -> bool:
    own = _price(line, kind, timer)
    if own is None:
        return False
    for other in lines:
        price = _price(other, kind, timer)
        if price is None:
            continue
        ours, theirs = _rounded(line.accuracy), _rounded(other.accuracy)
        if theirs >= ours and price <= own and (theirs > ours or price < own):
            return False
    return True


def _price(line: CostLine, kind: str, timer: Timer) -> float | None:
    """What is compared, at most as precisely as tables show it: the rest is the machine's noise."""
    cost = line.cell.cost
    if kind == "bytes":
        # The rest of bytes is labels: real images carry one more each, which decides nothing.
        return None if cost.bytes is None else significant(cost.bytes, 2)
    if kind == "memory":
        return None if cost.peak_mb is None else significant(max(1.0, cost.peak_mb), 2)
    if (value := cost.making(timer)) is None:
        return None
    return significant(value, 3) if value >= 10 else max(0.1, round(value, 1))


def _mean(cell: Cell) -> float:
    return fmean(cell.scores.values())


def _rounded(value: float) -> float:
    return round(value, DIGITS)
