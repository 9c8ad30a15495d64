"""Entropy (Shannon, 1948; as a score of deep nets in Coleman et al., Selection via Proxy, ICLR 2020, and DeepCore).

With p = softmax(z(x)) after the last epoch of the proxy net,

    s(x) = − Σ_c p_c log p_c,

the larger, the harder.
"""

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics, entropy
from ddbench.blocks.ranking import ranked
from ddbench_plugins.entropy.params import EntropyParams


class Entropy(Selector[EntropyParams]):
    """Keeps images by how undecided a trained network is."""

    def select(self, ctx: RunContext) -> Selection:
        """Score the last epoch's predictions, then rank."""
        dynamics = Dynamics.of(ctx)
        return ranked(ctx, entropy(dynamics.logits(dynamics.epochs)), self.params)
