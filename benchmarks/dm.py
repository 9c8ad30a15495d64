"""DM's outer step against the plain class loop and the authors' own: `python -m benchmarks.dm`."""

from __future__ import annotations

from benchmarks.kit.case import Case
from benchmarks.kit.peers import DC
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

ROWS = [
    Row(
        f"dm ipc {ipc}", f"DM, one outer step, ipc {ipc}, 256 real images a class, width 32",
        Case("dm", ipc=ipc), "benchmarks.dm", (Goal("ratio", 2.5),), DC,
    )
    for ipc in (1, 10, 50)
]  # fmt: skip


def ours(case: Case, turns: Turns) -> None:
    from benchmarks.kit.ours import FOREVER, serve

    serve(case, turns, {"batch_real": case.batch, "iterations": FOREVER})


def reference(case: Case, turns: Turns) -> None:
    import torch

    from benchmarks.kit.plain import Problem
    from tests.parity.reference.dm import dm_step

    problem = Problem(case)
    optimiser = torch.optim.SGD([problem.images], lr=1.0, momentum=0.5)
    turns.serve(
        lambda: dm_step(
            problem.net(), problem.batches(), problem.images, problem.counts, optimiser, problem.transforms()
        )
    )


def authors(case: Case, turns: Turns) -> None:
    from benchmarks.kit.authors import condensation

    condensation(case, turns)


if __name__ == "__main__":
    main(ROWS)
