"""Where a distiller starts: real images, noise, or images that a rule picks. [n, C, H, W]: a batch of n images."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from ddbench.blocks.clusters import cover
from ddbench.blocks.features import select_per_class
from ddbench.blocks.sampling import first_of_each_class
from ddbench.core.api import RunContext


def class_slots(ctx: RunContext, times: int = 1) -> Tensor:
    """The class that each synthetic image stands for: [n] int64, class-major, on the device.

    Args:
        ctx: The run.
        times: Images for each one of the budget (see :mod:`ddbench.blocks.parametrize`).
    """
    counts = torch.tensor(ctx.per_class) * times
    return torch.arange(len(counts)).repeat_interleave(counts).to(ctx.device)


def noise(ctx: RunContext, times: int = 1) -> Tensor:
    """N(0, 1) noise in normalised units, from the run's generator: [n, C, H, W] on the device."""
    example = ctx.train.images(torch.tensor([0]))
    return torch.randn(times * sum(ctx.per_class), *example.shape[1:], generator=ctx.generator).to(example)


def first_images(ctx: RunContext, rule: Literal["noise", "real", "kcenter", "kmeans"], times: int = 1) -> Tensor:
    """The images that ``init`` asks for, ``times`` for each one of the budget: [n, C, H, W] on the device."""
    return noise(ctx, times) if rule == "noise" else ctx.train.images(real_start(ctx, rule, times))


def real_start(ctx: RunContext, rule: Literal["real", "kcenter", "kmeans"], times: int = 1) -> Tensor:
    """Real images to start from: ``random``'s, k-center's, or those nearest the k-means centres of their class.

    ``kcenter`` and ``kmeans`` read the artifact ``features`` (see :class:`ddbench.blocks.params.StartParams`).

    Returns:
        [n] int64 indices into train, class-major, on the CPU.
    """
    if rule == "real":
        return first_of_each_class(ctx, times)
    if rule == "kcenter":
        return select_per_class(ctx, cover, times, torch.float32)
    from ddbench.blocks.medoids import medoids  # scikit-learn, for those who cluster

    return select_per_class(ctx, partial(medoids, seed=ctx.seed("kmeans") % 2**32), times)
