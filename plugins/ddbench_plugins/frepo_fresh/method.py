"""FRePo (Zhou et al., NeurIPS 2022) without its pool: a fresh random network each step, never trained.

    min_{X, Y}  E_θ  mean_b ½ ‖ F_b F_sᵀ (F_s F_sᵀ + λ I)⁻¹ Y − y_b ‖²  +  mean_i [ −min(y_i¹ − y_i², 1/C) ]

θ: a random initialisation; all else as in ``frepo``. What its pool adds is the difference between the two.
"""

from collections.abc import Mapping

from ddbench import RunContext
from ddbench.blocks.regression import FeatureRegressionMethod
from ddbench_plugins.frepo_fresh.params import FRePoFreshParams


class FRePoFresh(FeatureRegressionMethod[FRePoFreshParams]):
    """Learns images and labels with random networks."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images, or what ``init`` says, with their centred one-hot labels."""
        self.learn(ctx)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One network, one real batch, one update of images and labels."""
        return {"loss": self.update(ctx, self.build(ctx, ctx.step), *self.batch(ctx))}
