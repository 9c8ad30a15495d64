"""k-Center greedy (Gonzalez, 1985; as a core-set for deep nets: Sener & Savarese, ICLR 2018), within each class.

The first centre is the image nearest the class mean μ; then, repeatedly, the image farthest from its nearest centre:

    argmax_x min_{s selected} ‖ h(x) − h(s) ‖.

Delta: DeepCore starts from a random image; starting at μ makes the result a function of the features.
"""

import torch

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features
from ddbench.blocks.clusters import cover
from ddbench_plugins.kcenter.params import KCenterParams


class KCenter(Selector[KCenterParams]):
    """Covers each class, greedily: a budget contains the smaller ones."""

    def select(self, ctx: RunContext) -> Selection:
        """Cover every class."""
        return Selection(features.select_per_class(ctx, cover, dtype=torch.float32))
