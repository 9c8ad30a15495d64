"""MTT's outer step against all graphs kept and the authors' own: `python -m benchmarks.mtt`."""

from __future__ import annotations

from benchmarks.kit import peers
from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

ROWS = [
    Row(
        f"mtt N={steps} w{width}", f"MTT, one outer step, N = {steps} updates of 100 images, ipc 10, width {width}",
        Case("mtt", ipc=10, steps=steps, width=width), "benchmarks.mtt", (Goal("ratio", 1.5),), peers.MTT, sides, box_s,
    )
    for steps, width, sides, box_s in (
        (10, 32, ("authors", "reference", "ours"), 30.0),
        (80, 32, ("authors", "ours"), 60.0),  # 80 graphs take 11 GB: not twice
        (10, 128, ("authors", "reference", "ours"), 60.0),
    )
]  # fmt: skip


def ours(case: Case, turns: Turns, **params: object) -> None:
    """The authors' window, M and first β; ``params`` on top."""
    from benchmarks.kit.ours import FOREVER, serve

    own = {"syn_steps": case.steps, "batch_syn": case.batch_syn, "max_start": 3, "match_snapshots": 2, "lr_init": 0.01}
    pool = {"experts": 1, "expert_epochs": 5, "iterations": FOREVER}
    serve(case, turns, {**own, **pool, **params}, experts=True)


def reference(case: Case, turns: Turns) -> None:
    plain(case, turns)


def plain(case: Case, turns: Turns, *, tesla: bool = False, soft: bool = False) -> None:
    """Gradients by autograd through the whole training; SGD with momentum on images, step size and soft labels."""
    import torch
    from torch.nn.functional import one_hot

    from benchmarks.kit.case import CLASSES
    from benchmarks.kit.plain import Problem
    from benchmarks.kit.pool import pool
    from ddbench.blocks.experts import Experts
    from tests.parity.reference.mtt import trajectory_loss

    problem, experts = Problem(case), Experts(pool(case)[0])
    net, n = problem.net(), len(problem.images)
    lr = torch.tensor(0.01, device=case.device, requires_grad=True)
    labels = (5.0 * one_hot(problem.labels, CLASSES)).requires_grad_() if soft else problem.labels
    groups = [{"params": [problem.images], "lr": 100.0}, {"params": [lr], "lr": 1e-5}]
    optimiser = torch.optim.SGD(groups + ([{"params": [labels], "lr": 2.0}] if soft else []), momentum=0.5)

    def step() -> None:
        start, target = (experts.snapshot(0, t).to(case.device) for t in (1, 3))
        batches = [torch.randperm(n, generator=problem.draws)[: case.batch_syn] for _ in range(case.steps)]
        loss = trajectory_loss(
            net, start, target, problem.images, labels, lr, batches, lambda x, i: problem.augmented(x), tesla=tesla
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    turns.serve(step)


def authors(case: Case, turns: Turns) -> None:
    from benchmarks.kit.authors import trajectory

    trajectory(case, turns)


if __name__ == "__main__":
    main(ROWS)
