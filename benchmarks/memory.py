"""Peak memory of MTT's step at N = 80 and at N = 10: `python -m benchmarks.memory`."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import mtt
from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Line, Options, Row, paired
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

SHORT, LONG = 10, 80


def growth(row: Row, options: Options) -> Line:
    """Two sides of ours."""
    line = paired(row, options)
    long, short = (line["sides"].get(side, {}).get("peak_mb") for side in ("ours", "short"))
    line["numbers"] = {"peak_mb": long, "memory_growth": long / short} if long and short else {}
    return line


ROWS = [
    Row(
        "memory mtt", f"MTT, peak memory at N = {LONG} (ours) over that at N = {SHORT} (other), ipc 10, width 32",
        Case("mtt", ipc=10, steps=LONG), "benchmarks.memory", (Goal("memory_growth", 1.2, "≤"),),
        sides=("ours", "short"), box_s=1.0, measure=growth,
    )
]  # fmt: skip

ours = mtt.ours


def short(case: Case, turns: Turns) -> None:
    mtt.ours(replace(case, steps=SHORT), turns)


if __name__ == "__main__":
    main(ROWS)
