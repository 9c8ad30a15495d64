"""Which sets do as well as all the data: the verdicts of ``results.stats.lossless`` about the cells of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ddbench.core.correctness import unpack
from ddbench.results.scores.scores import full_of, siblings
from ddbench.results.stats import Lossless, lossless
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.protocols import OURS, id_of, name_of
from ddbench.results.tables.tables import Table

LONG = next(protocol for protocol in OURS.values() if protocol.standing.full_under)
NEEDED = f"{id_of(LONG.name)}, and {id_of(LONG.standing.full_under or '')}"


@dataclass(frozen=True, slots=True)
class Claim:
    """The verdict about one row at one budget.

    Attributes:
        row: Label of the row.
        budget: Label of the column.
        n: Repetitions that it rests on: those of row and both ``full`` rows.
        accuracy: Mean test accuracy [%].
        verdict: What was found.
    """

    row: str
    budget: str
    n: int
    accuracy: float
    verdict: Lossless


def claims_of(table: Table, tables: Sequence[Table]) -> list[Claim]:
    """One verdict for each ranked cell of a table, in its order; none where its protocol makes no such claim.

    Args:
        table: The table.
        tables: All tables of the report: ``full`` under the protocol that suits real data stands in another one.
    """
    found: list[Claim] = []
    if table.standing.full_under is None:
        return found
    alike = siblings(table, tables, "arch")  # nothing was condensed for full
    fulls = {str(other.setting.protocol): full_of(other) for other in alike}
    real = best_suited(table, alike)
    wanted = (str(table.setting.protocol), real)
    known = {name: cell for name in wanted if name is not None and (cell := fulls.get(name)) is not None}
    for one in table.filled():
        cell = one.cell
        if cell.ranked and cell.summary is not None and one.row.role.kind != "twin":
            n, verdict = _judged(cell, known, table, real)
            found.append(Claim(one.row.label, one.budget, n, cell.summary.mean, verdict))
    return found


def best_suited(table: Table, alike: Sequence[Table]) -> str | None:
    """Id of the protocol that suits real data, as the table's own protocol names it."""
    name = table.standing.full_under
    ids = (str(other.setting.protocol) for other in alike)
    return None if name is None else next((found for found in ids if name_of(found) == name), id_of(name))


def _judged(cell: Cell, full: dict[str, Cell], table: Table, real: str | None) -> tuple[int, Lossless]:
    """The verdict about a cell, and from how many repetitions."""
    shared = sorted(set.intersection(*(set(one.correct) for one in (cell, *full.values()))))
    if cell.shared or cell.one_set:
        what = "one set" if cell.one_set else f"one artifact ({', '.join(cell.shared)})"
        return len(shared), Lossless("not shown", f"all repetitions share {what}")
    if not shared or table.n_test is None:
        return 0, Lossless("not shown", "no repetition of which records say which test images were right")
    protocol, n_test = str(table.setting.protocol), table.n_test
    return len(shared), lossless(
        _matrix(cell, shared, n_test),
        {name: _matrix(one, shared, n_test) for name, one in full.items()},
        real=real, protocol=protocol, preprocess=table.preprocess, full_preprocess=table.preprocess,
    )  # fmt: skip


def _matrix(cell: Cell, repetitions: Sequence[int], n_test: int) -> npt.NDArray[np.float64]:
    """Correctness [R, T], students of one repetition averaged."""
    return np.stack([np.mean([unpack(text, n_test) for text in cell.correct[r]], axis=0) for r in repetitions])
