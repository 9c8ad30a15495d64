"""DC's matching step against the plain class loop and the authors' own: `python -m benchmarks.dc`."""

from __future__ import annotations

from benchmarks.kit.case import Case
from benchmarks.kit.peers import DC
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

ROWS = [
    Row(
        f"dc ipc {ipc}", f"DC, one matching of all classes, ipc {ipc}, 256 real images a class, width 32",
        Case("dc", ipc=ipc), "benchmarks.dc", (Goal("ratio", 2.5),), DC,
    )
    for ipc in (10, 50)
]  # fmt: skip


def ours(case: Case, turns: Turns) -> None:
    from benchmarks.kit.ours import FOREVER, serve

    serve(case, turns, {"batch_real": case.batch, "iterations": FOREVER, "outer_steps": 1})


def reference(case: Case, turns: Turns) -> None:
    plain(case, turns, augment=False)


def plain(case: Case, turns: Turns, *, augment: bool) -> None:
    """The class loop, with DSA's augmentation or without."""
    import torch

    from benchmarks.kit.plain import Problem
    from tests.parity.reference.dc import dc_step

    problem = Problem(case)
    optimiser = torch.optim.SGD([problem.images], lr=0.1, momentum=0.5)

    def step() -> None:
        transforms = problem.transforms() if augment else None
        dc_step(problem.net(), problem.batches(), problem.images, problem.counts, optimiser, transforms)

    turns.serve(step)


def authors(case: Case, turns: Turns) -> None:
    from benchmarks.kit.authors import condensation

    condensation(case, turns)


if __name__ == "__main__":
    main(ROWS)
