"""DC's gradients of all classes in one batched pass and class by class: `python -m benchmarks.dc_passes`.

Why `ddbench.blocks.matching.TOGETHER` is what it is, by PyTorch's own operations: fused ones go class by class.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.kit.case import Case
from benchmarks.kit.row import Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

ROWS = [
    Row(
        f"dc-passes ipc {ipc}",
        f"DC, synthetic images alone: one batched pass (ours) and class by class (apart), ipc {ipc}, width 32",
        Case("dc", ipc=ipc), "benchmarks.dc_passes", sides=("apart", "ours"),
    )
    for ipc in (1, 4, 10)
]  # fmt: skip


def ours(case: Case, turns: Turns) -> None:
    """All classes together."""
    match(case, turns, together=case.ipc)


def apart(case: Case, turns: Turns) -> None:
    """Class by class."""
    match(case, turns, together=0)


def match(case: Case, turns: Turns, *, together: int) -> None:
    """Distance of every class's gradient to some other one, and the gradient of the images."""
    from benchmarks.kit.ours import apply_engine

    apply_engine(replace(case, engine="eager"))
    import torch

    from benchmarks.kit.plain import Problem
    from ddbench.blocks import matching

    matching.TOGETHER = together
    problem = Problem(case)
    net, images = problem.net(), problem.images
    shapes = [parameter.shape for parameter in net.parameters() if parameter.ndim > 1]
    target = [torch.randn(shape, generator=problem.draws).to(images) for shape in shapes]

    def step() -> None:
        found = matching.class_gradients(net, images, problem.labels, problem.counts, graph=True)
        losses = [matching.gradient_distance(target, gradient) for gradient in found]
        torch.autograd.grad(torch.stack(losses).sum(), images)

    turns.serve(step)


if __name__ == "__main__":
    main(ROWS)
