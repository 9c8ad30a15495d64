"""What a derived table is made of: a grid of text, the words around it, and its numbers for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ddbench.report.figures import NONE, compact
from ddbench.stats import smallest_n

Grid = list[list[str]]


@dataclass(frozen=True, slots=True)
class View:
    """A table with the words around it.

    Attributes:
        name: Which view; several may have the same name, one per main table or group of them.
        caption: What its numbers are.
        grid: Header and rows of text, the first column left-aligned; empty when there is nothing to show.
        notes: How to read it, a line each; why it is empty if it is.
        facts: What it says as numbers, for programs: full precision, no text made for people.
    """

    name: str
    caption: str
    grid: Grid
    notes: list[str]
    facts: dict[str, Any] = field(default_factory=dict)


def caution(repetitions: Iterable[int]) -> list[str]:
    """What too few repetitions cannot show."""
    few = min((n for n in repetitions if n), default=smallest_n(1)) < smallest_n(1)
    return [f"n < {smallest_n(1)}: no significance claimed"] if few else []


def nothing(name: str, caption: str, why: str) -> View:
    """A view without lines, and why."""
    return View(name, caption, [], [f"nothing to show: {why}"], {"lines": []})


def fixed(value: float | None, digits: int) -> str:
    """A number with so many decimals."""
    return NONE if value is None else f"{value + 0.0:.{digits}f}"


def signed(value: float | None, digits: int = 1) -> str:
    """A difference with its sign."""
    return NONE if value is None else f"{value:+.{digits}f}"


def short_number(value: float | None) -> str:
    """A number as short as it can be read."""
    return NONE if value is None else compact(value)
