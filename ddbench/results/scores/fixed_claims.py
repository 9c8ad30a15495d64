"""Claims that were written down before anything was measured, held against tables.

A claim names contrasts that must all be above zero. A contrast is, in each repetition, the mean accuracy over some
cells minus that over others [points], or the same of the logarithm of what their sets took. The cells are rows at
budgets, of the table of the claim unless they say another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from statistics import fmean
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ddbench.core.errors import UsageError
from ddbench.core.specs import TUNE, Budget, Frozen
from ddbench.results.stats.claims import Judged, contrast_power, judge, one_sided
from ddbench.results.stats.contrasts import Contrasts, paired_contrasts
from ddbench.results.stats.intervals import MARGIN
from ddbench.results.stats.verdicts import LEAST_N, smallest_n
from ddbench.results.tables.cells import Cell, in_common
from ddbench.results.tables.conditions import place
from ddbench.results.tables.protocols import name_of
from ddbench.results.tables.tables import Table


def _budget(text: str) -> str:
    """The label of the budget that a text means, ``ipc 10`` or ``5 %``."""
    ipc, percent = re.fullmatch(r"ipc\s*(\d+)", text.strip()), re.fullmatch(r"([\d.]+)\s*%", text.strip())
    try:
        if ipc:
            return Budget(ipc=int(ipc[1])).label
        if percent:
            return Budget(fraction=float(percent[1]) / 100).label
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no budget: write `ipc 10` or `5 %`")


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names, each of which counts once.

    Raises:
        ValueError: If one stands there twice.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{twice[0]!r} stands there twice")
    return names


Labels = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_once)]
BudgetLabels = Annotated[
    tuple[Annotated[str, AfterValidator(_budget)], ...], Field(min_length=1), AfterValidator(_once)
]


class Where(Frozen):
    """Which table a claim is about; what is empty fits every one.

    Attributes:
        dataset: Name or label of the data set.
        arch: Condensing network.
        eval_arch: Student network.
        protocol: Name of the protocol, with or without version.
        preprocess: Preprocessing.
        split: Split.
        profile: Profile.
    """

    dataset: str = ""
    arch: str = ""
    eval_arch: str = ""
    protocol: str = ""
    preprocess: str = ""
    split: str = ""
    profile: str = ""

    def fits(self, table: Table) -> bool:
        """Whether a table is of these conditions."""
        setting, protocol = table.setting, str(table.setting.protocol)
        known = {
            "dataset": (table.dataset, table.named, table.source[0]),
            "arch": (setting.arch,), "eval_arch": (setting.eval_arch,), "protocol": (protocol, name_of(protocol)),
            "preprocess": (table.preprocess,), "split": (table.split,), "profile": (setting.profile,),
        }  # fmt: skip
        return all(wanted in known[name] for name, wanted in self.given.items())

    def but(self, other: Where) -> Where:
        """These conditions, and in place of some those of ``other``."""
        return self.model_copy(update=other.given)

    @property
    def given(self) -> dict[str, str]:
        """What is not empty."""
        return {name: value for name, value in self if value}


class Place(NamedTuple):
    """Where a cell stands."""

    row: str
    budget: str
    where: Where

    def __str__(self) -> str:
        return f"{self.row} at {self.budget}"


class Term(Frozen):
    """Some rows of a side, where they need not stand in the table of the claim.

    Attributes:
        rows: Their labels.
        budgets: Labels of the budgets to average over; None: those of the contrast.
        where: In which conditions its table differs from that of the claim.
    """

    rows: Labels
    budgets: BudgetLabels | None = None
    where: Where = Where()

    def text(self, common: tuple[str, ...] | None) -> str:
        """``dm, dc at ipc 1 (eval_arch mlp)``; without the budgets where they are the ones in ``common``."""
        told = ", ".join(self.rows)
        if self.budgets is not None and self.budgets != common:
            told += f" at {', '.join(self.budgets)}"
        differing = ", ".join(f"{name} {value}" for name, value in self.where.given.items())
        return f"{told} ({differing})" if differing else told


def _terms(side: Any) -> Any:
    """A side of labels alone is one term."""
    if not isinstance(side, list | tuple):
        return side
    labels = [part for part in side if isinstance(part, str)]
    return [*([{"rows": labels}] if labels else []), *(part for part in side if not isinstance(part, str))]


Terms = Annotated[tuple[Term, ...], BeforeValidator(_terms), Field(min_length=1)]

Measure = Literal["accuracy", "cpu_s", "peak_mb"]
"""What a contrast compares: test accuracy [points]; or, as the logarithm of ratios, the CPU seconds or the peak memory
that one set took."""


class Contrast(Frozen):
    """Rows that should be above other rows.

    Attributes:
        plus: The rows that should be above: labels, or terms.
        minus: The others.
        budgets: Labels of the budgets to average over; None where every term has its own.
        measure: By what they are compared.
    """

    plus: Terms
    minus: Terms
    budgets: BudgetLabels | None = None
    measure: Measure = "accuracy"

    @model_validator(mode="after")
    def _apart(self) -> Contrast:
        if any(term.budgets is None for term in (*self.plus, *self.minus)) and self.budgets is None:
            raise ValueError("budgets is missing: write `budgets: [ipc 1]` beside plus and minus, or in each term")
        both = sorted(set(self.places(self.plus, Where())) & set(self.places(self.minus, Where())), key=str)
        if both:
            raise ValueError(f"row {both[0].row!r} stands in plus and in minus")
        for side in (self.plus, self.minus):
            _once(tuple(map(str, self.places(side, Where()))))
        return self

    def places(self, side: Sequence[Term], where: Where) -> list[Place]:
        """The cells of a side, of a claim about the table ``where``."""
        return [
            Place(row, budget, where.but(term.where))
            for term in side
            for budget in term.budgets or self.budgets or ()
            for row in term.rows
        ]

    @property
    def text(self) -> str:
        """``ccs − el2n, aum at 1 %, 2 %``, and by what where that is not accuracy."""
        told = " − ".join(" and ".join(term.text(self.budgets) for term in side) for side in (self.plus, self.minus))
        shared = any(term.budgets in (None, self.budgets) for term in (*self.plus, *self.minus))
        at = f" at {', '.join(self.budgets)}" if self.budgets and shared else ""
        return f"{WORDS[self.measure]}{told}{at}"


WORDS: dict[Measure, str] = {"accuracy": "", "cpu_s": "CPU seconds: ", "peak_mb": "peak memory: "}


class FixedClaim(Frozen):
    """A claim.

    Attributes:
        name: What it says, in words.
        where: The table that it is about.
        holds_if: What must be above zero, all of it.
    """

    name: str = Field(min_length=1)
    where: Where = Where()
    holds_if: tuple[Contrast, ...] = Field(min_length=1)


class ClaimsFile(Frozen):
    """The claims that are judged together."""

    claims: tuple[FixedClaim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _named_apart(self) -> ClaimsFile:
        _once(tuple(claim.name for claim in self.claims))
        return self


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
