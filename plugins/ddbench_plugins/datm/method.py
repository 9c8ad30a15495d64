"""DATM (Guo et al., "Towards Lossless Dataset Distillation via Difficulty-Aligned Trajectory Matching", ICLR 2024).

MTT's loop, with the difficulty of what is matched aligned to the size of the set:
(a) starts come from a window [T⁻, U) of the experts' epochs, early for small sets and late for large ones, whose upper
    bound U grows from T to T⁺ over K steps: easy patterns are learned before hard ones;
(b) images start from real ones that an expert classifies correctly;
(c) labels are logits, first the mean of those experts' that classify the image correctly, then learned;
(d) a step whose loss exceeds a gate is skipped.

Deltas from the authors' code: exact gradients at constant memory; experts are drawn with replacement; a class with too
few expert-correct images is filled up (their code searches for ever); β stays above 1e-5; the set after the last step.
"""

from collections.abc import Mapping

from torch import Tensor

from ddbench import CondensedSet, RunContext
from ddbench.blocks.initial import real_start
from ddbench.blocks.matcher import TrajectoryMethod
from ddbench.blocks.teachers import average_where_correct, expert_logits, pool_logits
from ddbench.blocks.trajectory import Learned, growing
from ddbench_plugins.datm.params import DATMParams

EVALUATION_BATCH = 128
"""Images per update with which the authors train students on their sets."""


class DATM(TrajectoryMethod[DATMParams]):
    """Learns images, labels and step size."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from correctly classified images, the experts' logits for them, and β₀."""
        self.open_pool(ctx)
        self.learn(ctx)

    def first_soft(self, ctx: RunContext) -> Learned | None:
        """Logits, learned or kept; None for hard labels."""
        p = self.params
        if p.labels == "hard":
            return None
        return Learned(self.first_labels(ctx), p.lr_label if p.labels == "learned" else 0.0, p.momentum_label)

    def first_labels(self, ctx: RunContext) -> Tensor:
        """The experts' logits at their end: the mean of those that are right; for ``real`` images expert 0's alone.

        Noise shows no class: it gets the logits that ``random``'s images would.
        """
        end, shown = self.experts.last, self.form.decode(self.start)
        if self.params.init == "real":
            return expert_logits(self.net, self.experts.snapshot(0, end), shown)
        if self.params.init == "noise":
            shown = ctx.train.images(real_start(ctx, "real", self.form.times))
        return average_where_correct(pool_logits(self.net, self.experts, shown, end), self.classes)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One segment from the window as wide as it is by now."""
        p = self.params
        bound = p.max_start
        if p.first_max_start:
            bound = growing(ctx.step, p.first_max_start, p.max_start, p.growth_steps)
        start, target = self.draw(ctx, bound)
        return self.update(ctx, self.follow(ctx, start, target))

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """Images, label logits and β."""
        return self.condensed(ctx, self.images.value, batch=EVALUATION_BATCH)
