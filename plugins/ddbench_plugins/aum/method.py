"""AUM: the area under the margin (Pleiss et al., NeurIPS 2020, eq. 1 and 2), as a measure of hardness.

    AUM(x, y) = mean over epochs t of  z_y(x; θ_t) − max_{j ≠ y} z_j(x; θ_t),

taken when training shows the image; the smaller, the harder. With ``of: probabilities`` softmax(z) takes the place of
z, as in CCS. Delta: the paper finds mislabelled images, which it throws away; here the ranking itself selects.
"""

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics, aum
from ddbench.blocks.ranking import ranked
from ddbench_plugins.aum.params import AUMParams


class AUM(Selector[AUMParams]):
    """Keeps images by their margin."""

    def select(self, ctx: RunContext) -> Selection:
        """Rank by the mean margin; small is hard."""
        return ranked(ctx, -aum(Dynamics.of(ctx).margins(self.params.of)), self.params)
