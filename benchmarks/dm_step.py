"""DM's outer step against the plain class loop, in one run: `python -m benchmarks.dm_step`.

Prints seconds per step of both (median of `--repeats`), and the ratio. FashionMNIST-sized noise, ConvNet-3, 10 classes
of 256 real images, as in the paper's script.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from tabulate import tabulate

import ddbench.engine  # noqa: F401 - sets how OpenMP waits, before torch is imported
from ddbench.blocks.augment import DSA, Draw
from ddbench.blocks.features import chunk_size, embed, frozen
from ddbench.blocks.matching import class_mean_feature_distance
from ddbench.models import build_model
from tests.parity.reference.dm import dm_loss

CLASSES, REAL, SIZE = 10, 256, 28


def main() -> None:
    """Time both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for ipc in (1, 10):
        times = {name: [] for name in ("ours", "plain")}
        for repeat in range(options.repeats + 1):
            for name, step in (("ours", ours), ("plain", plain)):
                start = time.perf_counter()
                step(ipc, options.width, repeat)
                if repeat:  # the first warms up
                    times[name].append(time.perf_counter() - start)
        fast, slow = median(times["ours"]), median(times["plain"])
        rows.append({"ipc": ipc, "ours [s]": fast, "plain loop [s]": slow, "ratio": slow / fast})
    print(f"DM step, convnet3-w{options.width}, {options.threads} threads, median of {options.repeats}")
    print(tabulate(rows, headers="keys", floatfmt=".2f", tablefmt="github"))


def problem(ipc: int, width: int, seed: int):
    """A network, real and synthetic images, and one draw per class."""
    net = build_model(f"convnet3-w{width}", channels=1, classes=CLASSES, size=SIZE, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    real = torch.randn(CLASSES * REAL, 1, SIZE, SIZE, generator=generator)
    syn = torch.randn(CLASSES * ipc, 1, SIZE, SIZE, generator=generator).requires_grad_()
    dsa = DSA()
    return net, real, syn, dsa, [dsa.draw(generator) for _ in range(CLASSES)]


def ours(ipc: int, width: int, seed: int) -> None:
    """All classes in one pass, in chunks that fit the cache; gradients of the images only."""
    net, real, syn, dsa, draws = problem(ipc, width, seed)
    net = frozen(net, syn)
    chunk = chunk_size(net, syn[:1].detach())
    with torch.no_grad():
        target = embed(net, dsa(real, Draw.cat(draws, [REAL] * CLASSES)), chunk)
    features = embed(net, dsa(syn, Draw.cat(draws, [ipc] * CLASSES)), chunk)
    loss = class_mean_feature_distance(target, features, [REAL] * CLASSES, [ipc] * CLASSES)
    torch.autograd.grad(loss, syn)


def plain(ipc: int, width: int, seed: int) -> None:
    """Class by class, as the paper writes it."""
    net, real, syn, dsa, draws = problem(ipc, width, seed)
    transforms = [lambda x, draw=draw: dsa(x, draw) for draw in draws]
    dm_loss(net, real.split(REAL), syn.split(ipc), transforms).backward()


if __name__ == "__main__":
    main()
