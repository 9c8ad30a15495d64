"""Herding (Welling, ICML 2009; used for exemplars by Rebuffi et al., CVPR 2017).

Per class, with features h and their mean μ, image k+1 is

    argmin_x ‖ (k+1) μ − Σ_{selected} h − h(x) ‖        over images not yet selected.

Delta: DeepCore's widely used code takes the arg max, which is another method; this is the published rule.
"""

import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features
from ddbench_plugins.herding.params import HerdingParams


class Herding(Selector[HerdingParams]):
    """Keeps the mean feature of each class, greedily: a budget contains the smaller ones."""

    def select(self, ctx: RunContext) -> Selection:
        """Herd every class."""
        return Selection(features.select_per_class(ctx, herd))


def herd(h: Tensor, n: int) -> Tensor:
    """The rows that herding picks, in order.

    Args:
        h: Features of one class, [N_c, D] float64.
        n: How many rows to pick, ≤ N_c.

    Returns:
        [n] int64, distinct.
    """
    mean, squares = h.mean(dim=0), h.square().sum(dim=1)
    free = torch.ones(len(h), dtype=torch.bool, device=h.device)
    wanted, picked = mean.clone(), []
    for _ in range(n):
        # ‖wanted − h‖² without ‖wanted‖², which is the same for every image.
        distance = (squares - 2 * (h @ wanted)).where(free, torch.inf)
        best = distance.argmin()
        free[best] = False
        picked.append(best)
        wanted += mean - h[best]
    return torch.stack(picked)
