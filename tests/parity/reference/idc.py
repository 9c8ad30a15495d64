"""IDC's matching as one would write it first: oracle of the method, and baseline of its speed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


def idc_loss(net: nn.Module, real: Tensor, syn: Tensor, c: int, metric: Literal["l1", "mse"]) -> Tensor:
    """Σ |a − b|, or Σ (a − b)², over the gradients of convolutions on real and on synthetic images of class c."""
    weights = [parameter for parameter in net.parameters() if parameter.ndim > 2]

    def gradient(images: Tensor, *, graph: bool) -> tuple[Tensor, ...]:
        target = torch.full((len(images),), c, device=images.device)
        return torch.autograd.grad(functional.cross_entropy(net(images), target), weights, create_graph=graph)

    gaps = [b - a for a, b in zip(gradient(real, graph=False), gradient(syn, graph=True), strict=True)]
    return torch.stack([gap.abs().sum() if metric == "l1" else gap.square().sum() for gap in gaps]).sum()


def idc_match(
    net: nn.Module,
    batch: Callable[[int], tuple[Tensor, Tensor]],
    classes: int,
    optimiser: torch.optim.Optimizer,
    metric: Literal["l1", "mse"] = "l1",
) -> None:
    """Classes take turns: each makes a step of the optimiser, which owns all canvases.

    Args:
        net: The network.
        batch: Class → its real images and the images that its canvases decode to, under one augmentation.
        classes: K.
        optimiser: Over the canvases.
        metric: As in :func:`idc_loss`.
    """
    for c in range(classes):
        loss = idc_loss(net, *batch(c), c, metric)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
