"""Claims that were written down before anything was measured, held against tables.

A claim names contrasts that must all be above zero. A contrast is, in each repetition, the mean accuracy over some rows
and budgets minus that over other rows at the same budgets [points].
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from ddbench.core.errors import UsageError
from ddbench.core.specs import TUNE, Budget, Frozen
from ddbench.results.stats.claims import Judged, contrast_power, judge, one_sided
from ddbench.results.stats.contrasts import Contrasts, paired_contrasts
from ddbench.results.stats.verdicts import LEAST_N, smallest_n
from ddbench.results.tables.cells import Cell, in_common
from ddbench.results.tables.conditions import place
from ddbench.results.tables.protocols import name_of
from ddbench.results.tables.tables import Row, Table


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


class Contrast(Frozen):
    """Rows that should be above other rows.

    Attributes:
        plus: Labels of the rows that should be above.
        minus: Labels of the others.
        budgets: Labels of the budgets to average over.
    """

    plus: Labels
    minus: Labels
    budgets: BudgetLabels

    @model_validator(mode="after")
    def _apart(self) -> Contrast:
        if both := sorted(set(self.plus) & set(self.minus)):
            raise ValueError(f"row {both[0]!r} stands in plus and in minus")
        return self

    @property
    def text(self) -> str:
        """``ccs − el2n, aum at 1 %, 2 %``."""
        return f"{', '.join(self.plus)} − {', '.join(self.minus)} at {', '.join(self.budgets)}"


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

    @property
    def given(self) -> dict[str, str]:
        """What is not empty."""
        return {name: value for name, value in self if value}


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
        difference: Mean over them [points].
        interval: Ends of its plain 95 % interval; None for fewer than three repetitions.
        p: One-sided p-value that it is above zero; None likewise, and where no significance can be claimed.
        power: Chance that a true contrast of :data:`ddbench.results.stats.MARGIN` points would be found above zero;
            None likewise.
    """

    n: int
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    power: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a claim.

    Attributes:
        claim: The claim.
        table: The table that it is about; None where there is none.
        measured: Its contrasts in order, None of each where something is missing.
        judged: The verdict; None where there can be none.
        why: What is missing, or why there can be no verdict; empty otherwise.
        needed: Fewest repetitions with which as many claims can be decided.
        as_run: Whether it is about these runs alone (:attr:`ddbench.core.records.Record.as_run`).
    """

    claim: FixedClaim
    table: Table | None
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
    held = [_hold(claim, _table_of(claim, tables), m) for claim in file.claims]
    judged = judge([found for _, found in held])
    return [replace(finding, judged=verdict) for (finding, _), verdict in zip(held, judged, strict=True)]


def _hold(claim: FixedClaim, table: Table | None, m: int) -> tuple[Finding, Contrasts | None]:
    """What can be said of one of m claims before the verdict, and its contrasts where there can be one."""
    lacks = _lacks(claim, table)
    if lacks or table is None:
        nothing = (None,) * len(claim.holds_if)
        return Finding(claim, table, nothing, None, f"not measured: {lacks}", smallest_n(m), False), None
    found, why = _contrasts(claim, table), _shared(claim, table)
    as_run = any(cell.as_run for _, _, cell in _cells(claim, table) if cell)
    measured = _measured(found, m, claimed=not why)
    return Finding(claim, table, measured, None, why, smallest_n(m), as_run), None if why else found


def _table_of(claim: FixedClaim, tables: Sequence[Table]) -> Table | None:
    fitting = [table for table in tables if table.split != TUNE and claim.where.fits(table)]  # no result is there
    if len(fitting) > 1:
        first, second, *more = map(place, fitting)
        listed = "; ".join([first, second, *([f"{len(more)} more"] if more else [])])
        raise UsageError(
            f"claim {claim.name!r} fits {len(fitting)} tables ({listed}): say which under `where` "
            f"({', '.join(Where.model_fields)})"
        )
    return fitting[0] if fitting else None


Named = tuple[str, str, Cell | None]
"""Label of a row, label of a budget, and the cell there."""


def _cells(claim: FixedClaim, table: Table) -> list[Named]:
    """All cells that a claim is about, each once."""
    found = (one for contrast in claim.holds_if for side in _sides(contrast, table) for one in side)
    return list({(row, budget): (row, budget, cell) for row, budget, cell in found}.values())


def _sides(contrast: Contrast, table: Table) -> tuple[list[Named], list[Named]]:
    """The cells of both sides."""
    rows = {row.label: row for row in table.rows}

    def side(labels: Sequence[str]) -> list[Named]:
        return [
            (label, budget, _cell(rows.get(label), budget, table)) for budget in contrast.budgets for label in labels
        ]

    return side(contrast.plus), side(contrast.minus)


def _cell(row: Row | None, budget: str, table: Table) -> Cell | None:
    if row is None or row.spans:
        return None
    return next((c for c, at in zip(row.cells, table.columns, strict=True) if at.budget.label == budget), None)


def _lacks(claim: FixedClaim, table: Table | None) -> str:
    """What is missing for a claim to be judged; empty where nothing is."""
    if table is None:
        given = ", ".join(f"{name} {value}" for name, value in claim.where.given.items())
        return f"no table of {given}" if given else "no table"
    return "; ".join(dict.fromkeys([*_missing(claim, table)] or _apart(claim, table)))


def _missing(claim: FixedClaim, table: Table) -> Iterator[str]:
    """The cells of a claim without a complete result, and why."""
    rows = {row.label: row for row in table.rows}
    known = {column.budget.label for column in table.columns}
    for label, budget, cell in _cells(claim, table):
        if label not in rows:
            yield f"no row {label}"
        elif rows[label].spans:
            yield f"{label} stands at no budget"
        elif budget not in known:
            yield f"no budget {budget}"
        elif cell is None:
            yield f"no {label} at {budget}"
        elif not cell.complete:
            yield f"{label} at {budget} is not complete ({cell.status})"
        elif not cell.ranked:
            yield f"{label} at {budget} was not measured here with a set of this size"


def _apart(claim: FixedClaim, table: Table) -> Iterator[str]:
    """The contrasts whose cells, all of them there, have no repetition in common."""
    for contrast in claim.holds_if:
        if not _common(contrast, table):
            yield f"no repetition that all cells of {contrast.text} have"


def _common(contrast: Contrast, table: Table) -> list[int]:
    """The repetitions that all cells of a contrast have."""
    known = [set(cell.scores) if cell else set() for side in _sides(contrast, table) for _, _, cell in side]
    return sorted(set.intersection(*known))


def _contrasts(claim: FixedClaim, table: Table) -> Contrasts:
    """The contrasts of a claim of which nothing is missing [k]."""
    found = []
    for contrast in claim.holds_if:
        plus, minus = ([cell.scores for _, _, cell in side if cell] for side in _sides(contrast, table))
        found.append(paired_contrasts([_mean(plus, r) - _mean(minus, r) for r in _common(contrast, table)]))
    return Contrasts.stacked(found)


def _mean(cells: Sequence[Mapping[int, float]], r: int) -> float:
    return fmean(scores[r] for scores in cells)


def _shared(claim: FixedClaim, table: Table) -> str:
    """Why no significance can be claimed; empty where it can."""
    found = {label: cell.conditional for label, _, cell in _cells(claim, table) if cell and cell.conditional}
    told: dict[tuple[str, ...], list[str]] = {}
    for label, names in found.items():
        told.setdefault(names, []).append(label)
    return "; ".join(f"no verdict: {', '.join(labels)}: {in_common(names)}" for names, labels in told.items())


def _measured(found: Contrasts, m: int, *, claimed: bool) -> tuple[Measured, ...]:
    half, p, power = (values.tolist() for values in (found.half_width(), one_sided(found), contrast_power(found, m)))
    return tuple(
        Measured(
            n, difference, (difference - half[i], difference + half[i]) if n >= LEAST_N else None,
            p[i] if claimed and n >= LEAST_N else None, power[i] if claimed and n >= LEAST_N else None,
        )
        for i, (n, difference) in enumerate(zip(found.n.tolist(), found.difference.tolist(), strict=True))
    )  # fmt: skip
