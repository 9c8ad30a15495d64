"""DM's outer step against the plain class loop, in one run: `python -m benchmarks.dm_step`.

Prints seconds per step of both (median of `--repeats`), and the ratio. FashionMNIST-sized noise, ConvNet-3, 10 classes
of 256 real images, as in the paper's script.
"""

from __future__ import annotations

from functools import partial

import torch
from tabulate import tabulate

from benchmarks.paired import medians, options
from ddbench.blocks.augment import DSA, Draw
from ddbench.blocks.features import chunk_size, embed, frozen
from ddbench.blocks.matching import class_mean_feature_distance
from ddbench.models import build_model
from tests.parity.reference.dm import dm_loss

CLASSES, REAL, SIZE = 10, 256, 28


def main() -> None:
    """Time both."""
    given = options(__doc__, repeats=3)
    rows = []
    for ipc in (1, 10):
        ways = {
            name: lambda repeat, step=step, ipc=ipc: partial(step, ipc, given.width, repeat)
            for name, step in (("ours", ours), ("plain", plain))
        }
        found = medians(ways, given.repeats)
        fast, slow = found["ours"], found["plain"]
        rows.append({"ipc": ipc, "ours [s]": fast, "plain loop [s]": slow, "ratio": slow / fast})
    print(f"DM step, convnet3-w{given.width}, {given.threads} threads, median of {given.repeats}")
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
