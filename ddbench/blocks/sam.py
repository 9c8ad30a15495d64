"""Adaptive GSAM over SGD, the optimiser of FTD's and DATM's experts (Zhuang et al., ICLR 2022; Kwon et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def gsam_step(model: nn.Module, x: Tensor, y: Tensor, *, lr: float, rho: float, alpha: float) -> Tensor:
    """Step towards a flat minimum, in place.

    With g the gradient at θ, e = ρ θ² ⊙ g / (‖|θ| ⊙ g‖ + 1e-12), g_s the gradient at θ + e, and g_⊥ the part of g that
    is orthogonal to g_s: θ ← θ − lr (g_s − α g_⊥). Norms run over all parameters. No momentum, no weight decay.

    Args:
        model: The network, without batch norm (its statistics would see the perturbed weights).
        x: [b, C, H, W], the same batch for both passes.
        y: [b] int64 classes.
        lr: Learning rate.
        rho: Radius of the perturbation.
        alpha: Weight of the orthogonal part.

    Returns:
        The loss at θ, detached.
    """
    parameters = list(model.parameters())
    loss = functional.cross_entropy(model(x), y)
    gradient = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        reach = rho / (_norm([p.abs() * g for p, g in zip(parameters, gradient, strict=True)]) + 1e-12)
        shifts = [reach * p.square() * g for p, g in zip(parameters, gradient, strict=True)]
        for p, shift in zip(parameters, shifts, strict=True):
            p.add_(shift)
    sharp = torch.autograd.grad(functional.cross_entropy(model(x), y), parameters)
    with torch.no_grad():
        overlap = torch.stack([(g * s).sum() for g, s in zip(gradient, sharp, strict=True)]).sum()
        share = overlap / (_norm(sharp).square() + 1e-12)  # cos(g, g_s) ‖g‖ / ‖g_s‖
        for p, shift, g, s in zip(parameters, shifts, gradient, sharp, strict=True):
            p.sub_(shift).sub_(lr * (s - alpha * (g - share * s)))
    return loss.detach()


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum().sqrt()
