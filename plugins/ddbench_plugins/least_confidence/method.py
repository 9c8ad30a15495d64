"""Least confidence (Lewis & Catlett, ICML 1994; of deep nets as in Coleman et al., Selection via Proxy, ICLR 2020).

With p = softmax(z(x)) after the last epoch of the proxy net,

    s(x) = 1 − max_c p_c,

the larger, the harder. Delta: DeepCore's code ranks by the largest logit, which is another order.
"""

from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics
from ddbench.blocks.ranking import ranked
from ddbench_plugins.least_confidence.params import LeastConfidenceParams


class LeastConfidence(Selector[LeastConfidenceParams]):
    """Keeps images by how unsure a trained network is."""

    def select(self, ctx: RunContext) -> Selection:
        """Score the last epoch's predictions, then rank."""
        dynamics = Dynamics.of(ctx)
        return ranked(ctx, unsureness(dynamics.logits(dynamics.epochs)), self.params)


def unsureness(logits: Tensor) -> Tensor:
    """1 − max p of each row [N, K], as the sum of the other probabilities, which tiny ones survive: [N] float64."""
    p = logits.double().softmax(1)
    return p.scatter(1, p.argmax(1, keepdim=True), 0.0).sum(1)
