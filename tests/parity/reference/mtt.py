"""Trajectory matching as one would write it first, every graph kept: oracle of the gradients, baseline of their cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional


def trajectory_loss(
    net: nn.Module,
    start: Tensor,
    target: Tensor,
    images: Tensor,
    labels: Tensor,
    lr: Tensor,
    batches: Sequence[Tensor],
    augment: Callable[[Tensor, int], Tensor] | None = None,
    *,
    tesla: bool = False,
) -> Tensor:
    """‖θ_N − θ*‖² / ‖θ_0 − θ*‖² of a student that takes N SGD steps, with the graph to images, labels and lr.

    Args:
        net: The student's network, used as a function.
        start: θ_0, [P].
        target: θ*, [P].
        images: [n, C, H, W].
        labels: [n] int64 classes, or [n, K] logits whose softmax is the target.
        lr: Step size of the student.
        batches: N index tensors [b].
        augment: (images, step) → images.
        tesla: Take each θ_i as a constant in the gradient of its step (TESLA, eq. 6).
    """
    names, shapes = zip(*((name, p.shape) for name, p in net.named_parameters()), strict=True)
    cut = start.detach().split([shape.numel() for shape in shapes])
    theta = [part.view(shape).clone().requires_grad_() for part, shape in zip(cut, shapes, strict=True)]
    for i, batch in enumerate(batches):
        seen = images[batch] if augment is None else augment(images[batch], i)
        wanted = labels[batch].softmax(dim=1) if labels.is_floating_point() else labels[batch]
        at = [part.detach().requires_grad_() for part in theta] if tesla else theta
        logits = functional_call(net, dict(zip(names, at, strict=True)), (seen,))
        gradient = torch.autograd.grad(functional.cross_entropy(logits, wanted), at, create_graph=True)
        theta = [part - lr * g for part, g in zip(theta, gradient, strict=True)]
    reached = torch.cat([part.flatten() for part in theta])
    return (reached - target).square().sum() / (start - target).square().sum()
