"""The cross-architecture table: one set of each method, trained into several students."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ddbench.results.stats import summary
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.conditions import protocol_of
from ddbench.results.tables.tables import Table


@dataclass(frozen=True, slots=True)
class Cross:
    """Tables that differ in the student alone, at one budget.

    Attributes:
        caption: What they have in common.
        students: Student architectures in order of appearance.
        rows: Label → one cell per student, None where there is none.
        group: Data, protocol, condensing architecture and profile of the tables.
        budget: Label of the budget.
    """

    caption: str
    students: tuple[str, ...]
    rows: dict[str, tuple[Cell | None, ...]]
    group: tuple[object, ...]
    budget: str


@dataclass(frozen=True, slots=True)
class OverStudents:
    """One set in several students [%].

    Attributes:
        mean: Mean over repetitions of the mean over students.
        sd: Its standard deviation over repetitions; None for one.
        n: Repetitions that all students have.
        worst: Mean of the worst student.
        spread: Mean of the best student minus that of the worst [points].
    """

    mean: float
    sd: float | None
    n: int
    worst: float
    spread: float


def group_of(table: Table) -> tuple[object, ...]:
    """What tables share that differ in the student alone."""
    setting = table.setting
    return setting.data, setting.protocol, setting.arch, setting.profile


def groups_of(tables: Sequence[Table]) -> list[list[Table]]:
    """Tables that differ in the student alone, together."""
    groups: dict[tuple[object, ...], list[Table]] = {}
    for table in tables:
        groups.setdefault(group_of(table), []).append(table)
    return list(groups.values())


def cross_tables(tables: Sequence[Table]) -> list[Cross]:
    """One for each group of tables that differ in the student alone, and each budget; none for a single student."""
    found = []
    for members in groups_of(tables):
        students = tuple(dict.fromkeys(str(table.setting.eval_arch) for table in members))
        if len(students) < 2:
            continue
        for budget in dict.fromkeys(column.budget for table in members for column in table.columns):
            cells = [table.cells_at(budget) for table in members]
            labels = dict.fromkeys(label for those in cells for label in those)
            first = members[0]
            where = f"{first.dataset} · {first.setting.arch} → students · {first.preprocess} · {protocol_of(first)}"
            rows = {label: tuple(those.get(label) for those in cells) for label in labels}
            caption = f"{where} · {budget.label} · test top-1 %, means over repetitions"
            found.append(Cross(caption, students, rows, group_of(first), budget.label))
    return found


def over_students(cells: Sequence[Cell | None]) -> OverStudents | None:
    """Mean, worst and spread over students; None unless all have a result and a repetition in common."""
    complete = [cell for cell in cells if cell is not None and cell.complete and cell.scores]
    if len(complete) < len(cells):
        return None
    shared = sorted(set.intersection(*(set(cell.scores) for cell in complete)))
    if not shared:
        return None
    over = summary([fmean(cell.scores[r] for cell in complete) for r in shared])
    means = [fmean(cell.scores[r] for r in shared) for cell in complete]
    return OverStudents(over.mean, over.sd, len(shared), min(means), max(means) - min(means))
