"""EL2N (Paul, Ganguli & Dziugaite, Deep Learning on a Data Diet, NeurIPS 2021, definition 2.2).

An image's score is the length of its error after k epochs, averaged over networks θ before images are ranked:

    s(x, y) = E_θ ‖ softmax(z(x; θ_k)) − onehot(y) ‖₂,

the larger, the harder. With ``window: first_ten`` it is the sum over the first ten epochs of what one network said when
training showed it the image (CCS's variant). Deltas: networks, epochs and rates are those of the ConvNets.
"""

import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics, errors
from ddbench.blocks.dynamics_params import EARLY
from ddbench.blocks.ranking import ranked
from ddbench_plugins.el2n.params import EL2NParams


class EL2N(Selector[EL2NParams]):
    """Keeps images by how wrong young networks are about them."""

    def select(self, ctx: RunContext) -> Selection:
        """Score every image by all networks, then rank."""
        nets = [Dynamics.of(ctx, net) for net in range(1 + self.params.other_nets)]
        if self.params.window == "first_ten":
            scores = nets[0].presented("el2n")[:EARLY].double().sum(0)
            ctx.warn(f"scores are summed over the first {EARLY} of {self.params.epochs} epochs")
        else:
            epoch, labels = self.params.looked_at, ctx.train.labels.cpu()
            scores = el2n([net.logits(epoch) for net in nets], labels)
            ctx.warn(self.params.said)
        return ranked(ctx, scores, self.params)


def el2n(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Mean length of the errors of several networks.

    Args:
        logits: One [N, K] of each network.
        labels: [N] int64.

    Returns:
        [N] float64.
    """
    return torch.stack([errors(one, labels).norm(dim=1) for one in logits]).mean(0)
