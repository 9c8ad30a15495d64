"""Rows: what is timed, against whom, and with which goal; a row becomes one JSON line. No torch."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from benchmarks.kit import data, machine
from benchmarks.kit.case import Case
from benchmarks.kit.places import peer
from benchmarks.kit.turns import Worker, interleave

BOX_S = 30.0
"""Wall seconds after which a row begins no further turn."""

Line = dict[str, Any]
"""One row as JSON."""


@dataclass(frozen=True, slots=True)
class Options:
    """How rows are measured.

    Attributes:
        repeats: Turns of each side; more of quick ones, fewer of slow ones.
        engine: Of ddbench, ``auto`` or a name.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of each side.
        sides: The only ones to run; empty: all.
    """

    repeats: int = 3
    engine: str = "auto"
    device: str = "cpu"
    threads: int = 1
    sides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound of one number of a row.

    Attributes:
        of: Name of the number.
        bound: The bound.
        how: Whether the number must be at least, or at most, that.
    """

    of: str
    bound: float
    how: Literal["≥", "≤"] = "≥"

    def met(self, numbers: Mapping[str, float]) -> bool | None:
        """Whether it is met; None where the number is not known."""
        if self.of not in numbers:
            return None
        return numbers[self.of] >= self.bound if self.how == "≥" else numbers[self.of] <= self.bound


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Attributes:
        name: Unique; ``--only`` looks at its first word.
        work: What a step does.
        case: The work.
        module: Where its sides are defined.
        goals: All must be met.
        peer: OWNER+NAME of the authors' repository.
        sides: In the order of their turns.
        box_s: Wall seconds after which no further turn begins.
        measure: Fills the line; None: :func:`paired`.
    """

    name: str
    work: str
    case: Case
    module: str
    goals: tuple[Goal, ...] = ()
    peer: str = ""
    sides: tuple[str, ...] = ("authors", "reference", "ours")
    box_s: float = BOX_S
    measure: Callable[[Row, Options], Line] | None = None


def paired(row: Row, options: Options) -> Line:
    """Let the sides of a row take turns; the ratio is against the first of them that is not ours.

    A side that fails is missing, and the line has its error.
    """
    case = replace(row.case, device=options.device, engine=options.engine, threads=options.threads)
    sides = [side for side in row.sides if side != "authors" or peer(row.peer)]
    sides = [side for side in sides if not options.sides or side in options.sides]
    data.archive(case)
    workers: dict[str, Worker] = {}
    try:
        for side in sides:
            workers[side] = Worker(row.module, side, case)
        taken, failed = interleave(workers, options.repeats, row.box_s, cuda=options.device == "cuda")
    finally:
        for worker in workers.values():
            worker.close()
    line: Line = {"sides": {side: one.dump() for side, one in taken.items()}, "data": data.kind(case), "numbers": {}}
    line["error"] = "; ".join(failed.values())
    against = next((side for side in taken if side != "ours"), None)
    if "ours" in taken:
        line["numbers"] |= {"seconds": taken["ours"].seconds, "peak_mb": taken["ours"].peak_mb}
        if against is not None:
            line["against"] = against
            line["numbers"]["ratio"] = taken[against].seconds / taken["ours"].seconds
    return line


def measured(row: Row, options: Options) -> Line:
    """The line of a row; one that fails has its error, and the run goes on."""
    began = time.monotonic()
    line: Line = {"row": row.name, "work": row.work, "error": "", "load": round(os.getloadavg()[0], 2)}
    try:
        line |= (row.measure or paired)(row, options)
    except Exception as error:
        line["error"] = " ".join(f"{type(error).__name__}: {error}".split())
    numbers = line.setdefault("numbers", {})
    line["goals"] = [[goal.of, goal.how, goal.bound] for goal in row.goals]
    met = [goal.met(numbers) for goal in row.goals]
    alone = bool(row.peer) and line.get("against") != "authors"  # goals are about their code, not about a plain loop
    line["met"] = None if line["error"] or alone or not met or None in met else all(met)
    line |= {"device": options.device, "engine": options.engine, "threads": options.threads}
    with contextlib.suppress(KeyError):
        line["ratio"] = numbers["ratio"]
    return line | {"machine": machine.describe(), "wall_s": round(time.monotonic() - began, 1)}
