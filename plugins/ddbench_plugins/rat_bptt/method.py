"""RaT-BPTT (Feng, Vedantam & Kempe, "Embarrassingly Simple Dataset Distillation", ICLR 2024), algorithm 1.

    min_X  E_{θ0, M}  ℓ(A(x), y; θ_{M+W})        θ_{t+1}: one step of Adam on A(X[b_t]), from θ_t

M, uniform in 0 … T − W, steps are made without a graph; the gradient goes through the W after them, in which Adam's
moments and its count of steps go on as they are.

Deltas from the authors' code: the window is drawn for every outer step, theirs once for each pass over the real images;
learned labels are logits whose softmax is the target, theirs are clamped to be at least 0; the root of a second moment
of 0 has derivative 0; seeded generators; the set after the last step, not the best on test.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ddbench import CondensedSet, Recipe, RunContext, State
from ddbench.blocks.adam import Adam
from ddbench.blocks.bptt import BPTTMethod, RunningNorm, balanced_batches, clipped
from ddbench.blocks.initial import first_images, noise
from ddbench.blocks.inner import AdamInner
from ddbench_plugins.rat_bptt.params import RaTBPTTParams

CERTAIN = 0.9
"""Probability of an image's class under learned labels at first."""


class RaTBPTT(BPTTMethod[RaTBPTTParams]):
    """Learns images, and soft labels if asked to, through a random window of students' training."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from noise on the unit sphere, or what ``init`` says."""
        p = self.params
        self.open(ctx)
        first = (
            sphere(noise(ctx, self.form.times)) if p.init == "sphere" else first_images(ctx, p.init, self.form.times)
        )
        self.start = self.form.encode(first)
        self.images = self.start.clone()
        self.outer = Adam([self.images], p.lr_img)
        self.norm = RunningNorm(p.clip_decay)
        self.labels = first_logits(self.classes, ctx.dataset.classes) if p.learn_labels else self.classes
        self.outer_labels = Adam([self.labels] if p.learn_labels else [], p.lr_labels)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """Train students on the images up to the end of a window; move images by how they do on a real batch."""
        p, free = self.params, self.params.total - self.params.window
        before = int(torch.randint(free + 1, (1,), generator=ctx.generator)) if p.random_window else free
        found = self.train(
            ctx, self.form.decode(self.images), self.labels, AdamInner(p.lr_inner, learned=False), self.mixed(ctx),
            lambda: balanced_batches(self.sampler, p.n_per_class, before + p.window, ctx.generator), window=p.window,
        )  # fmt: skip
        gradient = self.form.pull(self.images, found.grad_images)
        self.outer.step([clipped(gradient, p.clip * self.norm.seen(gradient))])
        if p.learn_labels:
            self.outer_labels.step([found.grad_labels])
        return {"loss": float(found.loss)}

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images and their labels; students learn from them as they did here."""
        p = self.params
        recipe = Recipe(
            lr=p.lr_inner, updates=p.total, batch=sum(self.sampler.counts(p.n_per_class)), optimiser="adam",
            momentum=0.0, weight_decay=0.0, augmentation=p.augment, schedule="constant",
        )  # fmt: skip
        slots = self.classes if p.learn_labels else None
        return self.form.condensed(self.images, self.labels, ctx.train.preprocess, recipe, classes=slots)

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How far the images moved."""
        return self.moved(ctx, self.start, self.images)

    def state_dict(self) -> State:
        """Images, labels, their moments, and the mean norm."""
        return {
            "images": self.images, "outer": self.outer.state(), "norm": self.norm.value,
            "labels": self.labels, "outer_labels": self.outer_labels.state(),
        }  # fmt: skip

    def load_state_dict(self, state: State) -> None:
        """Restore them."""
        self.images.copy_(state["images"])
        self.outer.load(state["outer"])
        self.norm.value = state["norm"]
        self.labels.copy_(state["labels"])
        self.outer_labels.load(state["outer_labels"])


def sphere(images: Tensor) -> Tensor:
    """Images [n, C, H, W], each scaled to norm 1."""
    return functional.normalize(images.flatten(1)).view_as(images)


def first_logits(classes: Tensor, n_classes: int) -> Tensor:
    """Logits [n, K] whose softmax gives an image's class [n] the probability .9, and the others the rest alike."""
    gap = math.log(CERTAIN / (1 - CERTAIN) * max(1, n_classes - 1))
    return gap * functional.one_hot(classes, n_classes).float()
