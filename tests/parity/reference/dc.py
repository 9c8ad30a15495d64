"""DC and DSA as one would write them first, class by class: oracle of the fast forms, and baseline of their speed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.parity.reference.dm import Transform

EPS = 1e-6


def class_gradient(net: nn.Module, images: Tensor, c: int, *, graph: bool = False) -> tuple[Tensor, ...]:
    """The gradient of a class's mean cross-entropy, for parameters of two or more dimensions."""
    weights = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    target = torch.full((len(images),), c, device=images.device)
    return torch.autograd.grad(functional.cross_entropy(net(images), target), weights, create_graph=graph)


def distance(real: Sequence[Tensor], syn: Sequence[Tensor]) -> Tensor:
    """Σ over outputs of 1 − cosine between the two gradients of an output's weights."""
    total = torch.zeros((), dtype=syn[0].dtype, device=syn[0].device)
    for a, b in zip(real, syn, strict=True):
        x, s = a.flatten(1), b.flatten(1)
        total = total + (1 - (x * s).sum(1) / (x.norm(dim=1) * s.norm(dim=1) + EPS)).sum()
    return total


def dc_loss(
    net: nn.Module, real: Sequence[Tensor], syn: Sequence[Tensor], transforms: Sequence[Transform] | None = None
) -> Tensor:
    """Σ_c D( ∇ℓ_c(A_c(s)), ∇ℓ_c(A_c(x)) ).

    Args:
        net: The network.
        real: For each class, [B_c, C, H, W].
        syn: For each class, [n_c, C, H, W].
        transforms: A_c of each class, applied to both sides; None: none (DC).
    """
    total = torch.zeros((), dtype=syn[0].dtype, device=syn[0].device)
    for c in range(len(syn)):
        x, s = real[c], syn[c]
        if transforms is not None:
            x, s = transforms[c](x), transforms[c](s)
        theirs = class_gradient(net, x, c)
        ours = class_gradient(net, s, c, graph=True)
        total = total + distance(theirs, ours)
    return total


def dc_step(
    net: nn.Module,
    real: Sequence[Tensor],
    images: Tensor,
    counts: Sequence[int],
    optimiser: torch.optim.Optimizer,
    transforms: Sequence[Transform] | None = None,
) -> float:
    """One matching: the optimiser (over ``images``) moves all classes at once."""
    loss = dc_loss(net, real, images.split(list(counts)), transforms)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return float(loss.detach())
