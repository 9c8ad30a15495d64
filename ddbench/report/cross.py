"""The cross-architecture table: one set of each method, trained into several students."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ddbench.report.captions import protocol_of
from ddbench.report.cells import Cell
from ddbench.report.figures import NONE
from ddbench.report.tables import Table
from ddbench.stats import summary


@dataclass(frozen=True, slots=True)
class Cross:
    """Tables that differ in the student alone, at one budget.

    Attributes:
        caption: What they have in common.
        students: Student architectures in order of appearance.
        rows: Label → one cell per student, None where there is none.
    """

    caption: str
    students: tuple[str, ...]
    rows: dict[str, tuple[Cell | None, ...]]


def cross_tables(tables: Sequence[Table]) -> list[Cross]:
    """One for each group of tables that differ in the student alone, and each budget; none for a single student."""
    groups: dict[tuple[object, ...], list[Table]] = {}
    for table in tables:
        s = table.setting
        groups.setdefault((s.data, s.protocol, s.arch, s.profile), []).append(table)
    found = []
    for members in groups.values():
        students = tuple(dict.fromkeys(str(table.setting.eval_arch) for table in members))
        if len(students) < 2:
            continue
        for budget in dict.fromkeys(column.budget for table in members for column in table.columns):
            cells = [_cells(table, budget) for table in members]
            labels = dict.fromkeys(label for those in cells for label in those)
            first = members[0]
            where = f"{first.dataset} · {first.setting.arch} → students · {first.preprocess} · {protocol_of(first)}"
            rows = {label: tuple(those.get(label) for those in cells) for label in labels}
            found.append(Cross(f"{where} · {budget.label} · test top-1 %, means over repetitions", students, rows))
    return found


def _cells(table: Table, budget: object) -> dict[str, Cell]:
    """Label → the row's cell at a budget; a reference has one for all."""
    place = next((i for i, column in enumerate(table.columns) if column.budget == budget), None)
    chosen = {}
    for row in table.rows:
        cell = row.cells[0] if row.spans else None if place is None else row.cells[place]
        if cell is not None:
            chosen[row.label] = cell
    return chosen


def cross_grid(cross: Cross) -> list[list[str]]:
    """Header and a line per method: each student, then mean ± sd over repetitions of the students' mean, worst, spread.

    ``spread`` is the best student's mean minus the worst's. A row without a result for every student has no summary;
    where students have different repetitions, it is over those that all have.
    """
    lines = [["method", *cross.students, "mean", "worst", "spread"]]
    lines += [[label, *map(_score, cells), *_over_students(cells)] for label, cells in cross.rows.items()]
    return lines


def _score(cell: Cell | None) -> str:
    found = None if cell is None else cell.summary
    return NONE if found is None else f"{found.mean:.1f}"


def _over_students(cells: Sequence[Cell | None]) -> list[str]:
    complete = [cell for cell in cells if cell is not None and cell.complete and cell.scores]
    if len(complete) < len(cells):
        return [NONE] * 3
    shared = sorted(set.intersection(*(set(cell.scores) for cell in complete)))
    if not shared:
        return [NONE] * 3
    over = summary([fmean(cell.scores[r] for cell in complete) for r in shared])
    means = [fmean(cell.scores[r] for r in shared) for cell in complete]
    text = f"{over.mean:.1f}" + (f" ± {over.sd:.1f}" if over.sd is not None else "")
    return [f"{text} ({len(shared)})", f"{min(means):.1f}", f"{max(means) - min(means):.1f}"]
