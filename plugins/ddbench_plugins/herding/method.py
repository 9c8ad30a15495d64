"""Herding (Welling, ICML 2009; used for exemplars by Rebuffi et al., CVPR 2017).

Per class, with features h and their mean μ, image k+1 is

    argmin_x ‖ (k+1) μ − Σ_{selected} h − h(x) ‖        over images not yet selected.

Delta: DeepCore's widely used code takes the arg max, which is another method; this is the published rule.
"""

import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features
from ddbench.blocks.nearest import Rows
from ddbench_plugins.herding.params import HerdingParams


class Herding(Selector[HerdingParams]):
    """Keeps the mean feature of each class, greedily: a budget contains the smaller ones."""

    def select(self, ctx: RunContext) -> Selection:
        """Herd every class."""
        return Selection(features.select_per_class(ctx, herd, dtype=torch.float32))


def herd(h: Tensor, n: int) -> Tensor:
    """The rows that herding picks, in order.

    Args:
        h: Features of one class, [N_c, D].
        n: How many rows to pick, ≤ N_c.

    Returns:
        [n] int64, distinct; the same for features in float32 as for these in float64.
    """
    rows = Rows(h)
    free = torch.ones(len(h), dtype=torch.bool, device=h.device)
    wanted, picked = rows.mean.clone(), []
    for _ in range(n):
        best = rows.nearest(wanted, free)
        free[best] = False
        picked.append(best)
        wanted += rows.mean - rows.points(best)
    return torch.stack(picked)
