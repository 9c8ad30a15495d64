"""Commands that compute nothing: help, a list, a plan, a run that is done: `python -m benchmarks.commands`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.kit.alone import line_of, spent
from benchmarks.kit.case import Case
from benchmarks.kit.places import work
from benchmarks.kit.row import Goal, Line, Options, Row
from benchmarks.kit.run import main

METHODS = "random,herding,kmeans,dm,dc,dsa,idc,mtt,datm,tesla"
BUDGETS = ",".join(map(str, range(1, 11)))
CACHED = [
    "run", "--methods", "random", "--ipc", BUDGETS, "--seeds", "20", "--eval-seeds", "1", "--profile", "smoke",
    "--reference-limit", "0", "--out", str(work() / "cached"), "--threads", "1", "--progress", "plain",
]  # fmt: skip


def plan(seeds: int) -> list[str]:
    """A plan of 100 · seeds cells."""
    return ["plan", "--methods", METHODS, "--ipc", BUDGETS, "--seeds", str(seeds), "--out", str(work() / "none")]


def timed(arguments: Sequence[str], *, first: bool = False) -> Callable[[Row, Options], Line]:
    """CPU seconds of a command; ``first``: also once before, which is not counted."""

    def measure(row: Row, options: Options) -> Line:
        home = {"DDBENCH_HOME": str(work() / "home"), "OMP_NUM_THREADS": "1"}
        if first:
            spent(arguments, Path(work()), **home)
        return line_of([spent(arguments, Path(work()), **home) for _ in range(options.repeats)], "cpu_s")

    return measure


def command(name: str, what: str, seconds: float, arguments: Sequence[str], *, first: bool = True) -> Row:
    """A row of CPU seconds."""
    goals = (Goal("seconds", seconds, "≤"),)
    return Row(f"commands {name}", what, Case(), "", goals, sides=("ours",), measure=timed(arguments, first=first))


ROWS = [
    command("help", "ddbench --help", 0.1, ["--help"]),
    command("list", "ddbench list methods", 0.5, ["list", "methods"]),
    command("plan", "ddbench plan of 10,000 cells", 5.0, plan(100), first=False),
    command("cached", "ddbench run of 200 cells that are done", 1.0, CACHED),
]


if __name__ == "__main__":
    main(ROWS)
