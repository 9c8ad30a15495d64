"""Graph cut (Iyer, Khargoankar, Bilmes & Asanani, ALT 2021; as a coreset: Guo et al., 2022), within each class.

With S = ½ + ½ cos of last-layer gradients, the next image is

    argmax_x  λ Σ_i S_ix − 2 Σ_{j picked} S_jx        over images not yet picked; i runs over all images, x too.

The first sum is n/2 + ½ ⟨ĝ_x, Σ_i ĝ_i⟩ with unit gradients ĝ, so that S is looked at in the rows of picks alone.
Delta: gradients are those of one softmax.
"""

import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features, last_layer
from ddbench.blocks.greedy import first_of_largest
from ddbench.blocks.last_layer import Gradients, Picks
from ddbench_plugins.graphcut.params import GraphCutParams


class GraphCut(Selector[GraphCutParams]):
    """Keeps images that are like all and unlike each other, greedily: a budget contains the smaller ones."""

    def select(self, ctx: RunContext) -> Selection:
        """Cut every class."""
        p, found = self.params, features.said(ctx)
        return last_layer.select(
            ctx, found, p.balance, lambda gradients, group: Picks(cut(gradients, group.n, lam=p.lam))
        )


def cut(gradients: Gradients, n: int, *, lam: float = 1.0) -> Tensor:
    """The rows that graph cut picks, in order.

    Args:
        gradients: Of N images; one of length 0 has cosine 0 with all, itself too.
        n: How many rows to pick, ≤ N.
        lam: λ.

    Returns:
        [n] int64, distinct; of equals the first.
    """
    unit = gradients.units()
    total = unit.weighted_sum(torch.ones_like(unit.e[:, 0]))
    gains = lam * (len(unit) + unit.dot(total)) / 2
    picked: list[Tensor] = []
    for _ in range(n):
        best = first_of_largest(gains, (lam + 2) * len(unit))
        picked.append(best)
        gains -= 2 * unit.similarities(best[None])[0]
        gains[best] = -torch.inf
    return torch.stack(picked)
