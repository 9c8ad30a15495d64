"""What a file of claims says: contrasts of rows at budgets, in tables, all of which must be above zero.

A contrast is, in each repetition, the mean accuracy over some cells minus that over others [points], or the same of the
logarithm of what their sets took. The cells are rows at budgets, of the table of the claim unless they say another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ddbench.core.specs import Budget, Frozen
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
    """The claims that are judged together.

    Attributes:
        beforehand: Whether they were written down before their results; else the table says that they were not.
        claims: The claims.
    """

    beforehand: bool = True
    claims: tuple[FixedClaim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _named_apart(self) -> ClaimsFile:
        _once(tuple(claim.name for claim in self.claims))
        return self
