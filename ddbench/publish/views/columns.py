"""Columns: what each is called, its value for programs and its text for people, said once for all formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from ddbench.core.records import Timer
from ddbench.results.tables.costs import Phase, name_of
from ddbench.results.tables.figures import NONE, compact, fixed, mark_source, rounded

R = TypeVar("R")
S = TypeVar("S")

CALLED: dict[Phase, str] = {"condense": "condense", "artifact": "artifact", "artifact_rest": "rest", "train": "train"}
"""What phases are called above columns of their seconds."""
WORD: dict[Timer, str] = {"cpu": "CPU", "device": "device", "wall": "wall"}
HEADERS = {
    "row": "method",
    "budget": "budget",
    "n": "n",
    "accuracy": "top-1 %",
    **{name_of(phase, timer): f"{called} {word} s" for phase, called in CALLED.items() for timer, word in WORD.items()},
    "peak_mb": "peak MB",
    "device_mb": "device MB",
    "bytes": "bytes",
}
"""Name → header of columns that several tables have; a name without one is for programs alone."""


class Style(NamedTuple):
    """How values look.

    Attributes:
        text: Value → what people read.
        shown: Value → the number in that text; None for words.
    """

    text: Callable[[Any], str]
    shown: Callable[[Any], float | None]


def decimals(digits: int, *, sign: bool = False) -> Style:
    """Numbers with so many decimals, and with their sign where they are differences."""
    return Style(lambda value: fixed(value, digits, sign=sign), lambda value: round(value, digits) + 0.0)


_POINTS = decimals(2, sign=True)
INTERVAL = Style(lambda ends: f"[{', '.join(map(_POINTS.text, ends))}]", lambda ends: None)
"""Two ends in points."""
P_VALUE = Style(lambda p: "<0.001" if p < 0.0005 else f"{p:.3f}", lambda p: 0.0005 if p < 0.0005 else round(p, 3))
WORDS = Style(str, lambda value: None)
COUNT = Style(str, float)
COMPACT = Style(compact, rounded)


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """A column of a table whose rows are an ``R`` each.

    Attributes:
        name: What programs call it, in CSV and JSON.
        header: What stands above it for people; empty: it is for programs alone.
        value: Row → value in full precision; None where there is none.
        text: Row → what people read.
        note: What it means, a line below the table; empty where the header says so.
        shown: Value → the number that the text shows, None for words. People sort by it: no order contradicts what
            they see.
        optional: Whether people do not see it where it is empty in every row.
    """

    name: str
    header: str
    value: Callable[[R], Any]
    text: Callable[[R], str]
    note: str = ""
    shown: Callable[[Any], float | None] = WORDS.shown
    optional: bool = False

    def sort(self, row: R) -> float | None:
        """The number that people sort the row by."""
        value = self.value(row)
        return None if value is None else self.shown(value)

    def of(self, part: Callable[[S], R | None]) -> Column[S]:
        """The same column of rows that have an ``R``, or None, as a part."""

        def value(row: S) -> Any:
            return None if (found := part(row)) is None else self.value(found)

        def text(row: S) -> str:
            return NONE if (found := part(row)) is None else self.text(found)

        return Column(self.name, self.header, value, text, self.note, self.shown, self.optional)


def column(
    name: str,
    style: Style = WORDS,
    header: str | None = None,
    *,
    value: Callable[[Any], Any] | None = None,
    text: Callable[[Any], str] | None = None,
    **more: Any,
) -> Column[Any]:
    """A column of an attribute of its rows.

    Args:
        name: What programs call it.
        style: How its values look.
        header: What stands above it; None: as :data:`HEADERS` says.
        value: Row → value, where that is no attribute of its name.
        text: Row → what people read, where that is more than the value in its style, ``–`` for None.
        more: ``note`` and ``optional`` of :class:`Column`.
    """
    get = value or attrgetter(name)

    def written(row: Any) -> str:
        return NONE if (found := get(row)) is None else style.text(found)

    above = HEADERS.get(name, "") if header is None else header
    return Column(name, above, get, text or written, shown=style.shown, **more)


def label_of(row: Any) -> str:
    """The label of a row as people read it, of any record with a ``row`` and a ``source``."""
    return mark_source(row.row, row.source)


def for_people(columns: Iterable[Column[R]], rows: Sequence[R]) -> list[Column[R]]:
    """The columns that people see."""
    return [c for c in columns if c.header and (not c.optional or any(c.text(row) != NONE for row in rows))]


def values(columns: Iterable[Column[R]], row: R) -> dict[str, Any]:
    """Name → value, for programs."""
    return {column.name: column.value(row) for column in columns}
