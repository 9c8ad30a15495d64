"""MTT (Cazenavette et al., "Dataset Distillation by Matching Training Trajectories", CVPR 2022), algorithm 1.

    min_{X, β}  E_{expert, t}  ‖θ_N(X, β; θ*_t) − θ*_{t+M}‖² / ‖θ*_t − θ*_{t+M}‖²

θ_N: the student after N SGD steps of size β on the synthetic images, started at the expert's snapshot t.

Deltas from the authors' code: the gradient is the exact one at constant memory; experts are drawn with replacement;
β is kept above 1e-5; seeded generators instead of the clock; the set after the last step, not the best on test.
"""

from collections.abc import Mapping

import torch

from ddbench import CondensedSet, Method, Recipe, RunContext, State
from ddbench.blocks.augment import DSA
from ddbench.blocks.experts import Experts
from ddbench.blocks.sampling import first_of_each_class
from ddbench.blocks.trajectory import Learned, match, positive, replayed, segment, student_batches
from ddbench_plugins.mtt.params import MTTParams


class MTT(Method[MTTParams]):
    """Learns images, and the step size to train on them with."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images and β₀."""
        p = self.params
        self.experts = Experts(ctx.artifact("experts"))
        self.net = ctx.build_model(seed=0)
        real = first_of_each_class(ctx)
        self.labels = ctx.train.labels[real.to(ctx.device)]
        self.images = Learned(ctx.train.images(real), p.lr_img, p.momentum)
        self.lr = Learned(torch.tensor(p.lr_init, device=ctx.device), p.lr_lr, p.momentum, clamp=positive)
        self.dsa = DSA.for_dataset(ctx.dataset.flip) if p.augment == "dsa" else None

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One segment: train the student along it, and move images and β towards ending where the expert did."""
        p = self.params
        start, target = segment(
            self.experts, first=p.min_start, bound=p.max_start, length=p.match_snapshots, generator=ctx.generator
        )
        images = self.images.value
        batches = student_batches(len(images), p.batch_syn, p.syn_steps, ctx.generator)
        found = match(
            self.net, start.to(images), target.to(images), images, self.labels, self.lr.value, batches,
            augment=replayed(self.dsa, batches, ctx.generator), gradients=p.gradients, keep_bytes=p.keep_mb * 10**6,
        )  # fmt: skip
        self.images.step(found.grad_images)
        self.lr.step(found.grad_lr)
        return {"loss": float(found.loss), "lr": float(self.lr.value)}

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their hard labels; the learned β travels in the recipe."""
        recipe = Recipe(lr=float(self.lr.value))
        return CondensedSet.of_images(self.images.value.cpu(), self.labels.cpu(), ctx.train.preprocess, recipe)

    def state_dict(self) -> State:
        """Images and β with their momenta."""
        return {"images": self.images.state(), "lr": self.lr.state()}

    def load_state_dict(self, state: State) -> None:
        """Restore images and β."""
        self.images.load(state["images"])
        self.lr.load(state["lr"])
