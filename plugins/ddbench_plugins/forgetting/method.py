"""Forgetting (Toneva et al., ICLR 2019).

An image is forgotten at presentation t + 1 when training gets it right at t and wrong at t + 1:

    s(x) = number of such t,    and more than any other image can have if x was never right;

the larger, the harder. Delta: one training run (the authors add the events of five).
"""

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics, forgetting
from ddbench.blocks.ranking import ranked
from ddbench_plugins.forgetting.params import ForgettingParams


class Forgetting(Selector[ForgettingParams]):
    """Keeps images by how often training forgot them."""

    def select(self, ctx: RunContext) -> Selection:
        """Count, then rank."""
        return ranked(ctx, forgetting(Dynamics.of(ctx).presented("correct")), self.params)
