"""FTD (Du et al., "Minimizing the Accumulated Trajectory Error to Improve Dataset Distillation", CVPR 2023).

MTT's loop on experts that were trained towards flat minima (adaptive GSAM, eq. 13: artifact ``experts``), so that the
errors a student makes early harm it less later; and the reported images are a running average of the learned ones:

    X̄ ← d X̄ + (1 − d) X

Deltas from the authors' code: exact gradients at constant memory; experts are drawn with replacement; β is kept above
1e-5; X̄ is scored by freshly initialised students, theirs goes on with the students trained on X.
"""

from collections.abc import Mapping

from torch import Tensor

from ddbench import CondensedSet, RunContext, State
from ddbench.blocks.matcher import TrajectoryMethod
from ddbench_plugins.ftd.params import FTDParams


class FTD(TrajectoryMethod[FTDParams]):
    """MTT on flat trajectories; the set is an average over the steps."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images and β₀."""
        self.open_pool(ctx)
        self.learn(ctx)
        self.average = self.start

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One segment, as in MTT; then the average follows the images."""
        start, target = self.draw(ctx, bound=self.params.max_start)
        shown = self.update(ctx, self.follow(ctx, start, target))
        self.average = self.params.ema * self.average + (1 - self.params.ema) * self.images.value
        return shown

    @property
    def reported(self) -> Tensor:
        """X̄."""
        return self.average

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """X̄ with hard labels; β is the learned one, not averaged."""
        return self.condensed(ctx, self.average)

    def state_dict(self) -> State:
        """As the base, and X̄."""
        return {**super().state_dict(), "average": self.average}

    def load_state_dict(self, state: State) -> None:
        """Restore what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.average = state["average"].to(self.start)
