"""BPTT with momentum (Deng & Russakovsky, "Remember the Past", NeurIPS 2022, sec. 3.2), without its addressed memories.

    min_X  E_θ0  ℓ(x, y; θ_N)        v_{t+1} = μ v_t + ∇ ℓ(X[b_t], Y[b_t]; θ_t)        θ_{t+1} = θ_t − η v_{t+1}

b_t: a few images of every class. Surveys that show DD beside later methods mean this algorithm.

Deltas from the authors' code: augmentation is drawn for each update of a student, theirs once for all; classes may have
different numbers of images; seeded generators; the set after the last step, not the best on test.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ddbench import CondensedSet, Recipe, RunContext, State
from ddbench.blocks.bptt import BPTTMethod, balanced_batches, clipped
from ddbench.blocks.initial import first_images, noise
from ddbench.blocks.inner import SGDInner
from ddbench.blocks.sampling import ClassSampler
from ddbench.blocks.trajectory import Learned
from ddbench_plugins.bptt.params import MomentumParams

EPOCHS, BATCH = 300, 640
"""The authors train networks that are evaluated for so many passes, in batches of so many images."""


class BPTT(BPTTMethod[MomentumParams]):
    """Learns images through the whole training of students."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from little noise, or what ``init`` says."""
        p = self.params
        self.open(ctx)
        first = (
            xavier(noise(ctx, self.form.times)) if p.init == "xavier" else first_images(ctx, p.init, self.form.times)
        )
        self.start = self.form.encode(first)
        self.images = Learned(self.start, p.lr_img, p.momentum)
        self.real = ClassSampler([ctx.train.of_class(c) for c, n in enumerate(ctx.per_class) if n])

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """Train students on the images; move these by how they do on a real batch."""
        p, stored = self.params, self.images.value
        found = self.train(
            ctx, self.form.decode(stored), self.classes, SGDInner(p.lr_inner, p.momentum_inner, learned=False),
            self.real.draw(p.batch_real, ctx.generator),
            lambda: balanced_batches(self.sampler, p.n_per_class, p.inner_steps, ctx.generator),
        )  # fmt: skip
        self.images.step(clipped(self.form.pull(stored, found.grad_images), p.clip))
        return {"loss": float(found.loss)}

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their hard labels, and how the authors train on them."""
        p, updates = self.params, EPOCHS * -(-len(self.classes) // BATCH)
        recipe = Recipe(
            lr=p.lr_inner, updates=updates, batch=BATCH, momentum=p.momentum_inner, weight_decay=0.0,
            augmentation=p.augment, schedule="constant",
        )  # fmt: skip
        return self.form.condensed(self.images.value, self.classes, ctx.train.preprocess, recipe)

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How far the images moved."""
        return self.moved(ctx, self.start, self.images.value)

    def state_dict(self) -> State:
        """Images and momentum."""
        return self.images.state()

    def load_state_dict(self, state: State) -> None:
        """Restore images and momentum."""
        self.images.load(state)


def xavier(like: Tensor) -> Tensor:
    """Uniform noise between ±√(6 / (n + D)), a matrix of n rows of D pixels as Xavier's rule fills it.

    Args:
        like: N(0, 1) noise, [n, C, H, W], whose normal distribution function is uniform.
    """
    bound = math.sqrt(6 / (len(like) + like[0].numel()))
    uniform: Tensor = torch.special.ndtr(like)
    return bound * (2 * uniform - 1)
