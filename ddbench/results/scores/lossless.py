"""Which sets do as well as all the data: the verdicts of ``results.stats.noninferior`` about the cells of a report.

A set is held against ``full`` under the same protocol and under the one that suits real data, each in the same space.
Students that follow the recipe of their set have no ``full`` beside them, which has no recipe: there the second is all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ddbench.core.correctness import unpack
from ddbench.core.infos import ProtocolInfo
from ddbench.results.scores.scores import full_of, siblings
from ddbench.results.stats import Against, NonInferior, against_full, non_inferior, smallest_n
from ddbench.results.tables.cells import Cell, in_common
from ddbench.results.tables.protocols import OURS, id_of, name_of
from ddbench.results.tables.tables import Filled, Table

LEAST_N = smallest_n(1)


def _both(protocol: ProtocolInfo) -> str:
    """Under which protocols ``full`` must be measured for claims under one."""
    names = ([] if protocol.follows_recipe else [protocol.name]) + [protocol.standing.full_under or ""]
    return " and ".join(map(id_of, names))


NEEDED = "; ".join(f"{_both(one)} for sets under {id_of(one.name)}" for one in OURS.values() if one.standing.full_under)


@dataclass(frozen=True, slots=True)
class Claim:
    """One row at one budget beside ``full``.

    Attributes:
        row: Label of the row.
        budget: Label of the column.
        n: Repetitions that it rests on: those of the row and every ``full``.
        accuracy: Mean test accuracy [%].
        against: Id of the protocol of each ``full`` → the set beside it; empty where something is missing for that.
        found: The verdict; None where nothing is claimed.
        why: Why nothing is, about a method; empty otherwise.
        beside: Whether the row is no method's own: claims are about methods, and it is shown beside them.
        as_run: Whether the claim is one about these runs alone (:attr:`ddbench.core.records.Record.as_run`).
    """

    row: str
    budget: str
    n: int
    accuracy: float
    against: Mapping[str, Against]
    found: NonInferior | None = None
    why: str = ""
    beside: bool = False
    as_run: bool = False

    @property
    def claimed(self) -> bool:
        """Whether there is a verdict on it: then it is among the claims that all verdicts are adjusted for."""
        return not self.beside and not self.why

    @property
    def verdict(self) -> str | None:
        """``lossless``, or ``not shown``, which is not the opposite; None of what is no claim."""
        return None if self.beside else "not shown" if self.found is None else self.found.verdict

    @property
    def hardest(self) -> str | None:
        """The protocol of the ``full`` that decides."""
        if self.found is not None:
            return self.found.hardest
        return max(self.against, key=lambda name: self.against[name].p, default=None)


def claims_of(table: Table, tables: Sequence[Table]) -> list[Claim]:
    """One claim for each ranked cell of a table, in its order; none where its protocol makes no such claim.

    Args:
        table: The table.
        tables: All tables of the report: ``full`` may stand in another one, and the verdicts are adjusted for all
            claims of the report.
    """
    return next((members for one, members in claims(tables) if one is table), [])


def claims(tables: Sequence[Table]) -> list[tuple[Table, list[Claim]]]:
    """The claims of every table whose protocol makes any: those of all tables are judged together (Holm).

    Claims are about methods. Real images at random and controls stand beside them, without a verdict.
    """
    found = [(table, _beside_full(table, tables)) for table in tables if table.standing.full_under is not None]
    judged = iter(non_inferior([one.against for _, members in found for one in members if one.claimed]))

    def decided(claim: Claim) -> Claim:
        return replace(claim, found=next(judged)) if claim.claimed else claim

    return [(table, list(map(decided, members))) for table, members in found]


def fulls_of(table: Table, tables: Sequence[Table]) -> list[str]:
    """Ids of the protocols under which ``full`` must be reached: its own, where that trains ``full``, and the other."""
    alike = siblings(table, tables, "arch")
    name, own = table.standing.full_under, str(table.setting.protocol)
    ids = [str(other.setting.protocol) for other in alike]
    measured = any(full_of(other) is not None for other in alike if str(other.setting.protocol) == own)
    wanted = [own] if measured or not table.follows_recipe else []
    if name is not None:
        wanted.append(next((found for found in ids if name_of(found) == name), id_of(name)))
    return list(dict.fromkeys(wanted))


def _beside_full(table: Table, tables: Sequence[Table]) -> list[Claim]:
    """The cells of a table beside ``full``, before any verdict."""
    alike = siblings(table, tables, "arch")  # nothing was condensed for full
    known = {str(other.setting.protocol): full_of(other) for other in alike}
    fulls = {name: known.get(name) for name in fulls_of(table, tables)}
    return [_claim(one, fulls, table.n_test) for one in table.filled() if one.cell.ranked and one.cell.scores]


def _claim(one: Filled, fulls: Mapping[str, Cell | None], n_test: int | None) -> Claim:
    cell, known = one.cell, [full for full in fulls.values() if full is not None]
    shared = sorted(set.intersection(*(set(each.correct) for each in (cell, *known))))
    summary = cell.summary
    assert summary is not None
    against: dict[str, Against] = {}
    if len(known) == len(fulls) and len(shared) > 1 and n_test is not None:
        ours = _matrix(cell, shared, n_test)
        against = {name: against_full(ours, _matrix(full, shared, n_test)) for name, full in fulls.items() if full}
    beside = not one.row.competes
    why = "" if beside else _lacks(cell, fulls, len(shared))
    return Claim(
        one.row.label, one.budget, len(shared), summary.mean, against, why=why, beside=beside, as_run=cell.as_run
    )


def _lacks(cell: Cell, fulls: Mapping[str, Cell | None], n: int) -> str:
    """Why nothing is claimed of a method's cell."""
    if missing := [name for name, full in fulls.items() if full is None]:
        return f"full was not measured under {' and '.join(missing)}"
    if cell.conditional:
        return in_common(cell.conditional)
    if cell.recipe_updates is not None:
        return f"its recipe was cut to {cell.updates:,} of {cell.recipe_updates:,} updates"
    if not n:
        return "no repetition of which records say which test images were right"
    return "" if n >= LEAST_N else f"fewer than {LEAST_N} repetitions"


def _matrix(cell: Cell, repetitions: Sequence[int], n_test: int) -> npt.NDArray[np.float64]:
    """Correctness [R, T], students of one repetition averaged."""
    return np.stack([np.mean([unpack(text, n_test) for text in cell.correct[r]], axis=0) for r in repetitions])
