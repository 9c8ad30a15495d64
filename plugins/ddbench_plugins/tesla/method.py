"""TESLA (Cui et al., "Scaling Up Dataset Distillation to ImageNet-1K with Constant Memory", ICML 2023), eq. 6.

MTT's loss with each θ_i taken as a constant in the gradient of step i, so that no step's graph outlives it:

    ∂L/∂x_i = −(2β/D) (θ_N − θ*)ᵀ ∂g_i/∂x_i       D = ‖θ*_t − θ*_{t+M}‖²

This is not MTT's gradient for N > 1: it leaves out the Hessian factors (1 − β H_j) of the later steps. ``gradients:
exact`` has them, at the same memory.

Deltas from the authors' code: the factor 2, which their code loses, is there (so published values of lr_img are
halved); experts are drawn with replacement; β is kept above 1e-5; the set after the last step.
"""

from collections.abc import Mapping

from torch import Tensor

from ddbench import CondensedSet, RunContext
from ddbench.blocks.matcher import TrajectoryMethod
from ddbench.blocks.teachers import expert_logits
from ddbench.blocks.trajectory import Learned
from ddbench_plugins.tesla.params import TESLAParams


class TESLA(TrajectoryMethod[TESLAParams]):
    """MTT with TESLA's gradient, and optionally labels that the target expert gives."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images and β₀."""
        self.open_pool(ctx)
        self.learn(ctx)

    def first_soft(self, ctx: RunContext) -> Learned | None:
        """What expert 0 says at its end, before any target is drawn."""
        return self.taught(self.experts.snapshot(0, self.experts.last)) if self.params.labels == "teacher" else None

    def taught(self, target: Tensor) -> Learned:
        """Soft labels: what the network at ``target`` says about the images as they are."""
        shown = self.form.decode(self.images.value)
        return Learned(expert_logits(self.net, target, shown), lr=0.0, momentum=0.0)

    def labels_for(self, target: Tensor) -> Tensor:
        """What ``target`` says, if it is the teacher."""
        return super().labels_for(target) if self.soft is None else self.taught(target).value

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One segment, as in MTT."""
        start, target = self.draw(ctx, bound=self.params.max_start)
        if self.soft is not None:
            self.soft = self.taught(target)
        return self.update(ctx, self.follow(ctx, start, target))

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their labels, and β."""
        return self.condensed(ctx, self.images.value)
