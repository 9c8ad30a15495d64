"""Real images that represent a class: k-center. Symbols: n images, D features."""

from __future__ import annotations

import torch
from torch import Tensor


def cover(h: Tensor, n: int) -> Tensor:
    """The rows that k-center picks, in order: the one nearest the mean, then always the one farthest from its centre.

    Args:
        h: Features of one class, [N_c, D] float64.
        n: How many rows to pick, ≤ N_c.

    Returns:
        [n] int64, distinct.
    """
    squares = h.square().sum(dim=1)

    def distance_to(point: Tensor) -> Tensor:
        return squares - 2 * (h @ point) + point.square().sum()

    picked = [distance_to(h.mean(dim=0)).argmin()]
    gap = torch.full_like(squares, torch.inf)  # squared distance to the nearest centre
    for _ in range(n - 1):
        gap = gap.minimum(distance_to(h[picked[-1]]))
        gap[picked[-1]] = -torch.inf  # a centre stays one, even among copies of itself
        picked.append(gap.argmax())
    return torch.stack(picked)
