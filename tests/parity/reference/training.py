"""SGD as its formula says: oracle of the trainer, and baseline of its speed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def sgd_step(
    net: nn.Module,
    velocities: Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> Tensor:
    """v ← μ v + ∇ℓ + λ θ, θ ← θ − lr v.

    Args:
        net: The network; changed.
        velocities: v of each parameter, zeros at first; changed.
        images: [n, C, H, W].
        labels: [n] int64.
        lr: Learning rate.
        momentum: μ.
        weight_decay: λ.

    Returns:
        The loss before the step, detached.
    """
    parameters = list(net.parameters())
    loss = functional.cross_entropy(net(images), labels)
    gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        for theta, v, gradient in zip(parameters, velocities, gradients, strict=True):
            v.mul_(momentum).add_(gradient + weight_decay * theta)
            theta.sub_(lr * v)
    return loss.detach()
