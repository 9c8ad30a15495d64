"""Margin (Scheffer et al., IDA 2001; of deep nets as in Coleman et al., Selection via Proxy, ICLR 2020, and DeepCore).

With the two largest probabilities p₁ ≥ p₂ of softmax(z(x)) after the last epoch of the proxy net,

    m(x) = p₁ − p₂;    the smaller, the harder.

It does not look at the label, which tells it from AUM's margin.
"""

from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics
from ddbench.blocks.ranking import ranked
from ddbench_plugins.margin.params import MarginParams


class Margin(Selector[MarginParams]):
    """Keeps images by how close the two likeliest classes are."""

    def select(self, ctx: RunContext) -> Selection:
        """Score the last epoch's predictions, then rank; small is hard."""
        dynamics = Dynamics.of(ctx)
        return ranked(ctx, -margin(dynamics.logits(dynamics.epochs)), self.params)


def margin(logits: Tensor) -> Tensor:
    """The largest minus the second largest probability of each row [N, K], K ≥ 2: [N] float64."""
    largest = logits.double().softmax(1).topk(2, dim=1).values
    return largest[:, 0] - largest[:, 1]
