"""The view ``cost``: what a set took, and whether that was worth it, a row per cell with a result."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any

from ddbench.publish.text.captions import cost_remarks
from ddbench.publish.views.columns import COMPACT, WORD, Column, Style, column, decimals, label_of, values
from ddbench.publish.views.view import View, caution
from ddbench.results.scores.scores import CostLine, break_even_timer, cost_of, making_timer
from ddbench.results.tables.conditions import place
from ddbench.results.tables.costs import WORDS, Phase, name_of
from ddbench.results.tables.figures import NONE, compact
from ddbench.results.tables.tables import Table

_derived = partial(column, optional=True)
_ONE = decimals(1)
NEVER = "never"


def _students(value: float | str) -> float | None:
    return None if isinstance(value, str) else max(1, math.ceil(value))


_STUDENTS = Style(lambda value: str(_students(value) or NEVER), _students)
"""A whole number of students, at least 1, or never."""


def _spent(name: str, **more: Any) -> Column[CostLine]:
    return _derived(name, COMPACT, value=attrgetter(f"cell.cost.{name}"), **more)


def _timed(phase: Phase, write: Callable[[CostLine, float], str] | None = None) -> list[Column[CostLine]]:
    """Seconds of a phase, a column for each timer that was read."""

    def text(name: str, line: CostLine) -> str:
        seconds = getattr(line.cell.cost, name)
        return NONE if seconds is None or write is None else write(line, seconds)

    names = [name_of(phase, timer) for timer in WORD]
    return [_spent(name, **({} if write is None else {"text": partial(text, name)})) for name in names]


def _busy(line: CostLine, seconds: float) -> str:
    return compact(seconds) + (" †" if line.cell.cost.contended else "")


def _rest(line: CostLine, seconds: float) -> str:
    """Nothing where there is no rest: the column is left out where that holds of all rows."""
    return compact(seconds) if seconds else NONE


def _of_cell(name: str, header: str = "", note: str = "") -> Column[CostLine]:
    return _derived(name, _ONE, header, value=attrgetter(f"cell.{name}"), note=note)


def _finite(value: float | None) -> float | str | None:
    """JSON has no infinity."""
    return NEVER if value == math.inf else value


COSTS: tuple[Column[CostLine], ...] = (
    column("row", text=label_of), column("source"), column("budget"),
    column("n", header="", value=lambda line: len(line.cell.scores)), column("accuracy", _ONE),
    *_timed("condense", _busy), *_timed("artifact"), *_timed("artifact_rest", _rest), *_timed("evaluate"),
    *_timed("train"),
    *map(_spent, ("peak_mb", "device_mb", "bytes", "warm", "kept", "contended", "beside")),
    _of_cell("top1_uint8", "uint8 top-1 %", note="uint8: the set rounded to 8-bit pixels before training"),
    _derived("at_uint8", _ONE, "random@uint8 %",
             note="random@uint8: as many real images as the bytes of the set with uint8 images buy"),
    _of_cell("full_stopped", "full stopped %",
             note="full stopped: all images, trained for no longer than the set, what it can open of its artifacts and "
                  "one student took, at the pace that full was recorded with (updates rounded down to two digits, the "
                  "schedule shortened with them)"),
    _of_cell("full_stopped_updates"),
    _derived("break_even", _STUDENTS, "pays after", value=lambda line: _finite(line.break_even),
             note="pays after: students to train until condensing has cost less time than training each on all "
                  "images; with artifacts: when they serve this set alone; never: training on the set is not faster"),
    _derived("break_even_with_artifacts", _STUDENTS, "with artifacts",
             value=lambda line: _finite(line.break_even_with_artifacts)),
    _derived("pareto", header="Pareto", text=lambda line: ", ".join(line.pareto) or NONE,
             note="Pareto, over all budgets together: no other line is as accurate for as little (seconds with "
                  "artifacts, memory, bytes) and better in one of the two, by the means; costs count to the digits "
                  "shown, memory to two and as 1 MB at least"),
)  # fmt: skip
"""Costs, each with its meaning."""


def _by(name: str, table: Table) -> str:
    """Which seconds a column rests on."""
    if name == "full_stopped":
        timers = sorted({timer for one in table.filled() for timer in one.cell.full_stopped_by})
        return f"; by {' or '.join(WORDS[timer] for timer in timers)}"
    if name == "break_even":
        return f"; by {WORDS[break_even_timer(table)]}"
    return f"; by {WORDS[making_timer(table)]}" if name == "pareto" else ""


def cost_view(table: Table) -> View:
    """The costs of a table; programs read of twins, too."""
    found = cost_of(table)
    notes = [
        "cost of one set in our implementation, medians over repetitions: seconds to prepare and condense, to build "
        "what it can open of the artifacts it reads (the rest of them apart), to train and test one student, without "
        "the search for a learning rate; wall: on the clock; CPU: of all threads; device: on a GPU's clock, idle "
        "moments included; peak memory of condensing above a warm start; stored bytes (real images as uint8; k = 10³)",
        "where repetition −1 chose the learning rate, no column has its set and its student",
        *cost_remarks(table),
    ]
    # A twin is the set of another line, trained otherwise: it costs the same.
    twins = {row.label for row in table.rows if row.role.kind == "twin"}
    shown = [line for line in found if line.row not in twins]
    facts = {"where": place(table), "lines": [values(COSTS, line) for line in found]}
    view = View("cost", f"cost · {place(table)} · medians over repetitions", notes, COSTS, shown, facts)
    names = {column.name for column in view.shown}
    for each in COSTS:
        if each.name in names and each.note:
            notes.append(each.note + _by(each.name, table))
        elif each.name == "break_even":
            notes.append("no break-even: full was not measured")
    notes += caution(len(line.cell.scores) for line in found)
    return view
