"""Real images that represent a class: k-center. Symbols: n images, D features."""

from __future__ import annotations

import torch
from torch import Tensor

from ddbench.blocks.nearest import Rows, smallest

_FEW = 16
"""Rows that are measured one by one."""


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
    exact_gap = gap.clone()  # the same in float64, as far as a row was measured
    measured = torch.zeros_like(gap, dtype=torch.int64)  # to how many of the centres
    longest = torch.zeros_like(gap[0])
    for _ in range(n - 1):
        newest = rows.points(picked[-1])
        longest = longest.maximum(newest.norm())
        gap = gap.minimum(rows.rough(newest))
        gap[picked] = -torch.inf  # a centre stays one, even among copies of itself

        def exact(left: Tensor, centres: Tensor = picked) -> Tensor:
            if len(left) <= _FEW:
                for row in left[measured[left] < len(centres)]:
                    found = rows.exact(centres[measured[row] :], rows.points(row)).min()
                    exact_gap[row] = exact_gap[row].minimum(found)
            else:
                for i in range(int(measured[left].min()), len(centres)):
                    behind = left[measured[left] <= i]
                    found = rows.exact_of_many(behind, rows.points(centres[i]))
                    exact_gap[behind] = exact_gap[behind].minimum(found)
                    measured[behind] = i + 1
            measured[left] = len(centres)
            return -exact_gap[left]

        farthest = smallest(-gap, rows.margin(longest), exact)
        picked = torch.cat([picked, farthest[None]])
    return picked
