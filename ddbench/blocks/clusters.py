"""Real images that represent a class: k-center. Symbols: n images, D features."""

from __future__ import annotations

import torch
from torch import Tensor

from ddbench.blocks.nearest import Rows, smallest


def cover(h: Tensor, n: int) -> Tensor:
    """The rows that k-center picks, in order: the one nearest the mean, then always the one farthest from its centre.

    Args:
        h: Features of one class, [N_c, D].
        n: How many rows to pick, ≤ N_c.

    Returns:
        [n] int64, distinct; the same for features in float32 as for these in float64.
    """
    rows = Rows(h)
    picked = rows.nearest(rows.mean)[None]
    gap = torch.full_like(rows.squares, torch.inf)  # squared distance to the nearest centre
    for _ in range(n - 1):
        centres = rows.points(picked)
        gap = gap.minimum(rows.rough(centres[-1]))
        gap[picked] = -torch.inf  # a centre stays one, even among copies of itself

        def exact(left: Tensor, centres: Tensor = centres) -> Tensor:
            return -rows.exact(left, centres).amin(dim=1)

        farthest = smallest(-gap, rows.margin(centres.norm(dim=1).max()), exact)
        picked = torch.cat([picked, farthest[None]])
    return picked
