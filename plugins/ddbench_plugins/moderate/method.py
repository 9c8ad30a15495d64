"""Moderate coreset (Xia et al., ICLR 2023).

With features h after the last epoch of the proxy net and m_y the feature-wise median of class y,

    d(x, y) = ‖ h(x) − m_y ‖₂;

of N images sorted by d, n in the middle are kept: ranks ⌊(N − n)/2⌋ to ⌊(N − n)/2⌋ + n − 1, counted from 0.
"""

import numpy as np
import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics
from ddbench.blocks.ranking import chosen, require_numbers
from ddbench_plugins.moderate.params import ModerateParams


class Moderate(Selector[ModerateParams]):
    """Keeps images that are neither typical of their class nor far from it."""

    def select(self, ctx: RunContext) -> Selection:
        """Measure the distances, then cut out the middle."""
        features = Dynamics.of(ctx).features()
        require_numbers(features)
        return chosen(ctx, from_median(features, ctx.train.labels.cpu()), middle, self.params.balance)


def from_median(h: Tensor, labels: Tensor) -> Tensor:
    """Distance of each row to the feature-wise median of its class: [N] float64.

    Args:
        h: Features [N, D].
        labels: [N] int64.
    """
    found = torch.empty(len(h), dtype=torch.float64)
    for c in torch.unique(labels):
        of_class = h[labels == c].double()
        centre = torch.from_numpy(np.median(of_class.numpy(), axis=0))
        found[labels == c] = (of_class - centre).norm(dim=1)
    return found


def middle(distances: Tensor, n: int) -> Tensor:
    """Positions of the n of m candidates whose ranks are in the middle, the nearest first: [n] int64."""
    first = (len(distances) - n) // 2
    return distances.argsort(stable=True)[first : first + n]
