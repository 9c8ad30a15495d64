"""Facility location (Iyer, Khargoankar, Bilmes & Asanani, ALT 2021; as a coreset: Guo et al., 2022), within each class.

With S = ½ + ½ cos of last-layer gradients, and how well each image is covered by what is picked, c_i = max_j S_ij (at
first 0), the next image is

    argmax_x  Σ_i max(0, S_ix − c_i)        over images not yet picked; i runs over all images.

What an image adds never grows, so that few are looked at again for a pick (lazy greedy: Minoux, 1978).
Delta: gradients are those of one softmax.
"""

import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features, greedy, last_layer
from ddbench.blocks.last_layer import Gradients, Picks
from ddbench_plugins.facility_location.params import FacilityLocationParams


class FacilityLocation(Selector[FacilityLocationParams]):
    """Keeps an image like each image, greedily: a budget contains the smaller ones."""

    def select(self, ctx: RunContext) -> Selection:
        """Cover every class."""
        found = features.said(ctx)
        return last_layer.select(
            ctx, found, self.params.balance, lambda gradients, group: Picks(locate(gradients, group.n))
        )


def locate(gradients: Gradients, n: int) -> Tensor:
    """The rows that facility location picks, in order.

    Args:
        gradients: Of N images; one of length 0 has cosine 0 with all, itself too.
        n: How many rows to pick, ≤ N.

    Returns:
        [n] int64, distinct; of equals the first.
    """
    unit = gradients.units()
    total = unit.weighted_sum(torch.ones_like(unit.e[:, 0]))
    sums = (len(unit) + unit.dot(total)) / 2
    return greedy.facility_location(greedy.held(unit.similarities, sums), sums, n, len(unit))
