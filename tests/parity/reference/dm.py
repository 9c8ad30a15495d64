"""DM as one would write it first, class by class: oracle of the fast form, and baseline of its speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Transform = Callable[[Tensor], Tensor]


def dm_loss(
    net: nn.Module, real: Sequence[Tensor], syn: Sequence[Tensor], transforms: Sequence[Transform] | None = None
) -> Tensor:
    """Σ_c ‖ mean f(A_c(x)) − mean f(A_c(s)) ‖².

    Args:
        net: With ``.embed``.
        real: For each class, [B_c, C, H, W].
        syn: For each class, [n_c, C, H, W].
        transforms: A_c of each class, applied to both sides; None: none.
    """
    total = torch.zeros((), dtype=syn[0].dtype, device=syn[0].device)
    for c in range(len(syn)):
        x, s = real[c], syn[c]
        if transforms is not None:
            x, s = transforms[c](x), transforms[c](s)
        x_mean = net.embed(x).detach().mean(dim=0)  # type: ignore[operator]
        s_mean = net.embed(s).mean(dim=0)  # type: ignore[operator]
        total = total + ((x_mean - s_mean) ** 2).sum()
    return total


def dm_step(
    net: nn.Module,
    real: Sequence[Tensor],
    images: Tensor,
    counts: Sequence[int],
    optimiser: torch.optim.Optimizer,
    transforms: Sequence[Transform] | None = None,
) -> float:
    """One outer step: the optimiser (over ``images``) moves all classes at once."""
    for parameter in net.parameters():
        parameter.requires_grad = False
    loss = dm_loss(net, real, images.split(list(counts)), transforms)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return float(loss.detach())
