"""MTT (Cazenavette et al., "Dataset Distillation by Matching Training Trajectories", CVPR 2022), algorithm 1.

    min_{X, β}  E_{expert, t}  ‖θ_N(X, β; θ*_t) − θ*_{t+M}‖² / ‖θ*_t − θ*_{t+M}‖²

θ_N: the student after N SGD steps of size β on the synthetic images, started at the expert's snapshot t.

Deltas from the authors' code: the gradient is the exact one at constant memory; experts are drawn with replacement;
β is kept above 1e-5; seeded generators instead of the clock; the set after the last step, not the best on test.
"""

from collections.abc import Mapping

from ddbench import CondensedSet, RunContext
from ddbench.blocks.matcher import TrajectoryMethod
from ddbench_plugins.mtt.params import MTTParams


class MTT(TrajectoryMethod[MTTParams]):
    """Learns images, and the step size to train on them with."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images and β₀."""
        self.open_pool(ctx)
        self.learn(ctx)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One segment: train the student along it, and move images and β towards ending where the expert did."""
        start, target = self.draw(ctx, bound=self.params.max_start)
        return self.update(ctx, self.follow(ctx, start, target))

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their hard labels, and β."""
        return self.condensed(ctx, self.images.value)
