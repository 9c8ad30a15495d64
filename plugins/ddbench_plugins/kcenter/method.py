"""k-Center greedy (Gonzalez, 1985; as a core-set for deep nets: Sener & Savarese, ICLR 2018), within each class.

The first centre is the image nearest the class mean μ; then, repeatedly, the image farthest from its nearest centre:

    argmax_x min_{s selected} ‖ h(x) − h(s) ‖.

Delta: DeepCore starts from a random image; starting at μ makes the result a function of the features.
"""

import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features
from ddbench_plugins.kcenter.params import KCenterParams


class KCenter(Selector[KCenterParams]):
    """Covers each class, greedily: a budget contains the smaller ones."""

    def select(self, ctx: RunContext) -> Selection:
        """Cover every class."""
        return Selection(features.select_per_class(ctx, cover))


def cover(h: Tensor, n: int) -> Tensor:
    """The rows that k-center picks, in order.

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
