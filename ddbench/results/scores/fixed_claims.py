"""Claims that were written down before anything was measured, held against tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from statistics import fmean

import numpy as np

from ddbench.core.errors import UsageError
from ddbench.core.specs import TUNE
from ddbench.results.scores.claims_file import WORDS, ClaimsFile, FixedClaim, Measure, Place, Where
from ddbench.results.stats.claims import Judged, contrast_power, judge, one_sided
from ddbench.results.stats.contrasts import Contrasts, paired_contrasts
from ddbench.results.stats.intervals import MARGIN
from ddbench.results.stats.verdicts import LEAST_N, smallest_n
from ddbench.results.tables.cells import Cell, in_common
from ddbench.results.tables.conditions import place
from ddbench.results.tables.tables import Table


@dataclass(frozen=True, slots=True)
class Measured:
    """A contrast as it was measured.

    Attributes:
        n: Repetitions that all its cells have.
        difference: Mean over them [points], or of the logarithms of the ratios.
        interval: Ends of its plain 95 % interval; None for fewer than three repetitions.
        p: One-sided p-value that it is above zero; None likewise, and where no significance can be claimed.
        power: Chance that a true contrast of :data:`ddbench.results.stats.MARGIN` points, or of a factor of
            :data:`FACTOR`, would be found above zero; None likewise.
    """

    n: int
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    power: float | None


FACTOR = 1.1
"""The ratio that a power is told for, of seconds and of memory."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a claim.

    Attributes:
        claim: The claim.
        tables: The tables that it is about, each once; none where one is not there.
        measured: Its contrasts in order, None of each where something is missing.
        judged: The verdict; None where there can be none.
        why: What is missing, or why there can be no verdict; empty otherwise.
        needed: Fewest repetitions with which as many claims can be decided.
        as_run: Whether it is about these runs alone (:attr:`ddbench.core.records.Record.as_run`).
    """

    claim: FixedClaim
    tables: tuple[Table, ...]
    measured: tuple[Measured | None, ...]
    judged: Judged | None
    why: str
    needed: int
    as_run: bool

    @property
    def n(self) -> int:
        """Fewest repetitions of its contrasts."""
        return min((one.n for one in self.measured if one is not None), default=0)

    @property
    def verdict(self) -> str:
        """``holds``, ``undecided: n = 3 of 9``, ``not measured: no row aum``, ``no verdict: …``."""
        if self.judged is None:
            return self.why
        text = self.judged.outcome
        return f"{text}: n = {self.n} of {self.needed}" if text == "undecided" else text + " (as run)" * self.as_run


def findings(file: ClaimsFile, tables: Sequence[Table]) -> list[Finding]:
    """Judge the claims of a file by the tables of a report.

    Raises:
        UsageError: If a claim fits several tables.
    """
    m = len(file.claims)
    held = [_hold(_Held(claim, tables), m) for claim in file.claims]
    judged = judge([found for _, found in held])
    return [replace(finding, judged=verdict) for (finding, _), verdict in zip(held, judged, strict=True)]


class _Held:
    """A claim beside the tables that it is about."""

    def __init__(self, claim: FixedClaim, tables: Sequence[Table]) -> None:
        self.claim = claim
        self.sides = [
            tuple(contrast.places(side, claim.where) for side in (contrast.plus, contrast.minus))
            for contrast in claim.holds_if
        ]
        self.places = list(dict.fromkeys(at for plus, minus in self.sides for at in (*plus, *minus)))
        wheres = dict.fromkeys(at.where for at in self.places)
        self.tables = {where: _table_of(claim, where, tables) for where in wheres}

    def cell(self, at: Place) -> Cell | None:
        """The cell at a place."""
        table = self.tables[at.where]
        row = None if table is None else next((row for row in table.rows if row.label == at.row), None)
        if table is None or row is None or row.spans:
            return None
        return next((c for c, it in zip(row.cells, table.columns, strict=True) if it.budget.label == at.budget), None)

    def lacks(self) -> str:
        """What is missing for the claim to be judged; empty where nothing is."""
        missing = [why for at in self.places for why in self._missing(at)]
        return "; ".join(dict.fromkeys(missing or list(self._unmeasured()) or self._apart()))

    def _missing(self, at: Place) -> Iterator[str]:
        """Why there is no complete result at a place; nothing where there is one."""
        table = self.tables[at.where]
        if table is None:
            given = ", ".join(f"{name} {value}" for name, value in at.where.given.items())
            yield f"no table of {given}" if given else "no table"
            return
        rows, cell = {row.label: row for row in table.rows}, self.cell(at)
        if at.row not in rows:
            yield f"no row {at.row}"
        elif rows[at.row].spans:
            yield f"{at.row} stands at no budget"
        elif at.budget not in {column.budget.label for column in table.columns}:
            yield f"no budget {at.budget}"
        elif cell is None:
            yield f"no {at}"
        elif not cell.complete:
            yield f"{at} is not complete ({cell.status})"
        elif not cell.ranked:
            yield f"{at} was not measured here with a set of this size"

    def _unmeasured(self) -> Iterator[str]:
        """The cells that took nothing, or of which it is unknown what they took."""
        for contrast, (plus, minus) in zip(self.claim.holds_if, self.sides, strict=True):
            for at in (*plus, *minus) if contrast.measure != "accuracy" else ():
                if not _values(self.cell(at), contrast.measure):
                    yield f"{WORDS[contrast.measure].removesuffix(': ')} of {at}"

    def _apart(self) -> Iterator[str]:
        """The contrasts whose cells, all of them there, have no repetition in common."""
        for i, contrast in enumerate(self.claim.holds_if):
            if not self._common(i):
                yield f"no repetition that all cells of {contrast.text} have"

    def _common(self, i: int) -> list[int]:
        """The repetitions that all cells of a contrast have."""
        measure = self.claim.holds_if[i].measure
        known = [set(_values(self.cell(at), measure)) for side in self.sides[i] for at in side]
        return sorted(set.intersection(*known))

    def contrasts(self) -> Contrasts:
        """The contrasts of a claim of which nothing is missing [k]."""
        found = []
        for i, contrast in enumerate(self.claim.holds_if):
            plus, minus = ([_values(self.cell(at), contrast.measure) for at in side] for side in self.sides[i])
            found.append(paired_contrasts([_mean(plus, r) - _mean(minus, r) for r in self._common(i)]))
        return Contrasts.stacked(found)

    @property
    def cells(self) -> list[tuple[str, Cell]]:
        """All cells with the labels of their rows."""
        return [(at.row, cell) for at in self.places if (cell := self.cell(at))]

    def shared(self) -> str:
        """Why no significance can be claimed; empty where it can."""
        found = {label: cell.conditional for label, cell in self.cells if cell.conditional}
        told: dict[tuple[str, ...], list[str]] = {}
        for label, names in found.items():
            told.setdefault(names, []).append(label)
        return "; ".join(f"no verdict: {', '.join(labels)}: {in_common(names)}" for names, labels in told.items())


def _hold(held: _Held, m: int) -> tuple[Finding, Contrasts | None]:
    """What can be said of one of m claims before the verdict, and its contrasts where there can be one."""
    claim, tables = held.claim, tuple(table for table in held.tables.values() if table is not None)
    if lacks := held.lacks():
        nothing = (None,) * len(claim.holds_if)
        return Finding(claim, tables, nothing, None, f"not measured: {lacks}", smallest_n(m), False), None
    found, why = held.contrasts(), held.shared()
    as_run = any(cell.as_run for _, cell in held.cells)
    measured = _measured(found, claim, m, claimed=not why)
    return Finding(claim, tables, measured, None, why, smallest_n(m), as_run), None if why else found


def _table_of(claim: FixedClaim, where: Where, tables: Sequence[Table]) -> Table | None:
    fitting = [table for table in tables if table.split != TUNE and where.fits(table)]  # no result is there
    if len(fitting) > 1:
        first, second, *more = map(place, fitting)
        listed = "; ".join([first, second, *([f"{len(more)} more"] if more else [])])
        raise UsageError(
            f"claim {claim.name!r} fits {len(fitting)} tables ({listed}): say which under `where` "
            f"({', '.join(Where.model_fields)})"
        )
    return fitting[0] if fitting else None


def _values(cell: Cell | None, measure: Measure) -> Mapping[int, float]:
    """Of each repetition its accuracy, or the logarithm of what its set took."""
    if cell is None or measure == "accuracy":
        return {} if cell is None else cell.scores
    spent = {r: getattr(took, measure) for r, took in cell.spent.items()}
    return {r: log(value) for r, value in spent.items() if value and r in cell.scores}


def _mean(cells: Sequence[Mapping[int, float]], r: int) -> float:
    return fmean(scores[r] for scores in cells)


def _measured(found: Contrasts, claim: FixedClaim, m: int, *, claimed: bool) -> tuple[Measured, ...]:
    half, p = found.half_width().tolist(), one_sided(found).tolist()
    truths = [MARGIN if contrast.measure == "accuracy" else log(FACTOR) for contrast in claim.holds_if]
    power = contrast_power(found, m, np.array(truths)).tolist()
    return tuple(
        Measured(
            n, difference, (difference - half[i], difference + half[i]) if n >= LEAST_N else None,
            p[i] if claimed and n >= LEAST_N else None, power[i] if claimed and n >= LEAST_N else None,
        )
        for i, (n, difference) in enumerate(zip(found.n.tolist(), found.difference.tolist(), strict=True))
    )  # fmt: skip
