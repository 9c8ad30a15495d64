"""DC's matching of all classes, in one batched pass and class by class, in one run: `python -m benchmarks.dc_step`.

Prints seconds of the synthetic images' part of a matching step (gradients of every class, distance, gradient of the
images; median of `--repeats`), and the ratio: why `ddbench.blocks.matching.TOGETHER` is what it is. FashionMNIST-sized
noise, ConvNet-3, 10 classes.
"""

from __future__ import annotations

from functools import partial

import torch
from tabulate import tabulate

from benchmarks.paired import medians, options
from ddbench.blocks import matching
from ddbench.models import build_model

CLASSES, SIZE = 10, 28
BUDGETS = (1, 2, 4, 10)


def main() -> None:
    """Time both."""
    given = options(__doc__, repeats=5)
    rows = []
    for ipc in BUDGETS:
        ways = {
            name: lambda repeat, limit=limit, ipc=ipc: partial(match, limit, ipc, *problem(ipc, given.width, repeat))
            for name, limit in (("together", ipc), ("apart", 0))
        }
        found = medians(ways, given.repeats)
        together, apart = found["together"], found["apart"]
        rows.append({"ipc": ipc, "one pass [s]": together, "by class [s]": apart, "ratio": apart / together})
    print(f"DC, matching of synthetic images, convnet3-w{given.width}, {given.threads} threads")
    print(tabulate(rows, headers="keys", floatfmt=".3f", tablefmt="github"))


def problem(ipc: int, width: int, seed: int):
    """A network, images, labels, and gradients to match."""
    net = build_model(f"convnet3-w{width}", channels=1, classes=CLASSES, size=SIZE, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(CLASSES * ipc, 1, SIZE, SIZE, generator=generator).requires_grad_()
    labels = torch.arange(CLASSES).repeat_interleave(ipc)
    shapes = [parameter.shape for parameter in net.parameters() if parameter.ndim > 1]
    target = [[torch.randn(shape, generator=generator) for shape in shapes] for _ in range(CLASSES)]
    return net, images, labels, target


def match(limit: int, ipc: int, net, images, labels, target) -> None:
    """Distance of every class's gradient to its target, and the gradient of the images; one pass up to ``limit``."""
    matching.TOGETHER = limit
    found = matching.class_gradients(net, images, labels, [ipc] * CLASSES, graph=True)
    losses = [matching.gradient_distance(real, ours) for real, ours in zip(target, found, strict=True)]
    torch.autograd.grad(torch.stack(losses).sum(), images)


if __name__ == "__main__":
    main()
