"""IDC's matching and network's training against plain loops and the authors' own: `python -m benchmarks.idc`."""

from __future__ import annotations

from benchmarks.kit import peers
from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

ROWS = [
    Row(
        f"idc ipc {ipc}", f"IDC, one matching of all classes, 8 updates of the network, ipc {ipc}, factor 2, width 32",
        Case("idc", ipc=ipc, batch=64), "benchmarks.idc", (Goal("ratio", 2.0),), peers.IDC,
    )
    for ipc in (1, 10, 50)
]  # fmt: skip

MATCHED, NET_IMAGES, MIXED = 128, 500, 0.5
"""Decoded images of a class and matching, at most; real images that train the network; share of CutMixed batches."""


def ours(case: Case, turns: Turns) -> None:
    from benchmarks.kit.ours import serve

    own = {"factor": 2, "batch_real": case.batch, "batch_syn": MATCHED, "net_images": NET_IMAGES, "cutmix": MIXED}
    serve(case, turns, {**own, "iterations": 10**4, "outer_steps": 100})


def reference(case: Case, turns: Turns) -> None:
    import torch
    from torch import Tensor
    from torch.nn.functional import cross_entropy

    from benchmarks.kit.case import CLASSES
    from benchmarks.kit.plain import Problem
    from ddbench.blocks.augment import Composed, CutMix
    from ddbench.blocks.parametrize import Parametrisation
    from tests.parity.reference.idc import idc_match

    problem = Problem(case)
    form, draws, canvases = Parametrisation("multi-formation", 2), problem.draws, problem.images
    matched, trained = Composed(ops=("color", "crop", "cutout")), Composed(ops=("color", "crop"))
    mix, net = CutMix(MIXED, CLASSES, draws), problem.net()
    optimiser = torch.optim.SGD([canvases], lr=1e-4, momentum=0.5)
    network = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def batch(c: int) -> tuple[Tensor, Tensor]:
        syn = form.decode(canvases[c * case.ipc : (c + 1) * case.ipc])
        syn = syn[torch.randperm(len(syn), generator=draws)[:MATCHED].to(syn.device)]
        seen = matched(torch.cat([problem.real(c, case.batch), syn]), matched.draw(draws))
        return seen[: case.batch], seen[case.batch :]

    def step() -> None:
        idc_match(net, batch, CLASSES, optimiser)
        for _ in range(-(-NET_IMAGES // case.batch)):
            index = torch.randperm(len(problem.x), generator=draws)[: case.batch].to(problem.x.device)
            images, targets = mix(trained(problem.x[index], trained.draw(draws, n=len(index))), problem.y[index])
            network.zero_grad()
            cross_entropy(net(images), targets).backward()
            network.step()

    turns.serve(step)


def authors(case: Case, turns: Turns) -> None:
    from benchmarks.kit.authors import idc

    idc(case, turns)


if __name__ == "__main__":
    main(ROWS)
