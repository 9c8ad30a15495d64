"""CRAIG (Mirzasoleiman, Bilmes & Leskovec, ICML 2020, algorithm 1), within each class.

1. d_ij = ‖g_i − g_j‖ of last-layer gradients.
2. Facility location on max d − d: greedily the image that adds most to Σ_i max_{j picked} (max d − d_ij).
3. The weight of a pick is the number of images whose nearest pick it is, itself among them; weights sum to n.

Deltas: gradients are those of one softmax; as many images are picked as the budget says, not until an error is reached;
the set is chosen once, before training.
"""

import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features, greedy, last_layer
from ddbench.blocks.last_layer import Gradients, Picks
from ddbench_plugins.craig.params import CRAIGParams


class CRAIG(Selector[CRAIGParams]):
    """Keeps an image near each gradient, greedily: a budget contains the smaller ones; students train with weights."""

    def select(self, ctx: RunContext) -> Selection:
        """Cover every class."""
        found = features.said(ctx)
        return last_layer.select(ctx, found, self.params.balance, lambda gradients, group: cover(gradients, group.n))


def cover(gradients: Gradients, n: int) -> Picks:
    """The rows that CRAIG picks, in order, and for how many rows each stands.

    Args:
        gradients: Of N images.
        n: How many rows to pick, ≤ N.

    Returns:
        Rows [n] int64, distinct, of equals the first; weights [n] float64, ≥ 1, of sum N.
    """
    count = len(gradients)
    sums = torch.empty_like(gradients.e[:, 0])
    distances = greedy.held(gradients.distances, sums)
    longest = torch.zeros_like(sums[0])
    for part in greedy.blocks(sums):
        found = distances(part)
        longest = longest.maximum(found.max())
        sums[part] = found.sum(1)
    rows = greedy.facility_location(lambda part: longest - distances(part), count * longest - sums, n, count * longest)
    nearest = owners(distances, rows, sums)
    return Picks(rows, nearest.bincount(minlength=n).double())


def owners(distances: greedy.Rows, rows: Tensor, like: Tensor) -> Tensor:
    """Which pick is nearest each row, of equals the first, but for a pick itself: positions in ``rows``, [N] int64."""
    shortest, owner = torch.full_like(like, torch.inf), torch.zeros(len(like), dtype=torch.int64, device=like.device)
    for place in torch.split(torch.arange(len(rows), device=like.device), greedy.rows_per_block(len(like))):
        found = distances(rows[place]).min(0)
        nearer = found.values < shortest
        shortest = shortest.minimum(found.values)
        owner = torch.where(nearer, place[found.indices], owner)
    owner[rows] = torch.arange(len(rows), device=like.device)
    return owner
