"""TESLA's outer step against the same gradient by autograd and the authors' own: `python -m benchmarks.tesla`."""

from __future__ import annotations

from benchmarks import mtt
from benchmarks.kit import peers
from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

ROWS = [
    Row(
        "tesla N=10", "TESLA, one outer step, N = 10 updates of 100 images, ipc 10, width 32",
        Case("tesla", ipc=10), "benchmarks.tesla", (Goal("ratio", 1.5),), peers.TESLA,
    )
]  # fmt: skip

authors = mtt.authors


def ours(case: Case, turns: Turns) -> None:
    mtt.ours(case, turns)


def reference(case: Case, turns: Turns) -> None:
    mtt.plain(case, turns, tesla=True)


if __name__ == "__main__":
    main(ROWS)
