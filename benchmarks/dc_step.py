"""DC's matching of all classes, in one batched pass and class by class, in one run: `python -m benchmarks.dc_step`.

Prints seconds of the synthetic images' part of a matching step (gradients of every class, distance, gradient of the
images; median of `--repeats`), and the ratio: why `ddbench.blocks.matching.TOGETHER` is what it is. FashionMNIST-sized
noise, ConvNet-3, 10 classes.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from tabulate import tabulate

import ddbench.engine  # noqa: F401 - sets how OpenMP waits, before torch is imported
from ddbench.blocks import matching
from ddbench.models import build_model

CLASSES, SIZE = 10, 28
BUDGETS = (1, 2, 4, 10)


def main() -> None:
    """Time both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for ipc in BUDGETS:
        times = {limit: [] for limit in (max(BUDGETS), 0)}
        for repeat in range(options.repeats + 1):
            for limit, found in times.items():
                matching.TOGETHER = limit
                net, images, labels, target = problem(ipc, options.width, repeat)
                start = time.perf_counter()
                match(net, images, labels, target, ipc)
                if repeat:  # the first warms up
                    found.append(time.perf_counter() - start)
        together, apart = (median(seconds) for seconds in times.values())
        rows.append({"ipc": ipc, "one pass [s]": together, "by class [s]": apart, "ratio": apart / together})
    print(f"DC, matching of synthetic images, convnet3-w{options.width}, {options.threads} threads")
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


def match(net, images, labels, target, ipc: int) -> None:
    """Distance of every class's gradient to its target, and the gradient of the images."""
    found = matching.class_gradients(net, images, labels, [ipc] * CLASSES, graph=True)
    losses = [matching.gradient_distance(real, ours) for real, ours in zip(target, found, strict=True)]
    torch.autograd.grad(torch.stack(losses).sum(), images)


if __name__ == "__main__":
    main()
