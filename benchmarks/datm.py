"""DATM's outer step, labels learned, against all graphs kept and the authors' own: `python -m benchmarks.datm`."""

from __future__ import annotations

from benchmarks import mtt
from benchmarks.kit import peers
from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

ROWS = [
    Row(
        "datm N=10", "DATM, one outer step, N = 10 updates of 100 images, ipc 10, width 32",
        Case("datm", ipc=10), "benchmarks.datm", (Goal("ratio", 1.5),), peers.DATM,
    )
]  # fmt: skip

authors = mtt.authors


def ours(case: Case, turns: Turns) -> None:
    mtt.ours(case, turns, init="real", expert_optimiser="sgd")


def reference(case: Case, turns: Turns) -> None:
    mtt.plain(case, turns, soft=True)


if __name__ == "__main__":
    main(ROWS)
