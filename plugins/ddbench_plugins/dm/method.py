"""DM (Zhao & Bilen, "Dataset Condensation with Distribution Matching", WACV 2023), algorithm 1.

    min_S  E_{θ, ω}  Σ_c ‖ mean_i f_θ(A(x_i, ω)) − mean_j f_θ(A(s_j, ω)) ‖²

f_θ: features of a randomly initialised network, never trained; A: Siamese augmentation, ω drawn per class and step.

Deltas from the authors' code: all classes share one forward pass (exact without batch norm; with it, the authors do so
too); seeded generators instead of the clock; class sizes may differ; the set is the one after the last step.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ddbench import CondensedSet, Method, RunContext, State
from ddbench.blocks.augment import DSA, siamese
from ddbench.blocks.features import embed, frozen, pass_size
from ddbench.blocks.initial import class_slots, first_images
from ddbench.blocks.matching import class_mean_feature_distance
from ddbench.blocks.moved import how_far
from ddbench.blocks.parametrize import Parametrisation
from ddbench.blocks.sampling import ClassSampler
from ddbench.blocks.trajectory import Learned
from ddbench_plugins.dm.params import DMParams


class DM(Method[DMParams]):
    """Learns images whose mean random features are those of their class."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images, or what ``init`` says."""
        p, classes = self.params, [c for c, n in enumerate(ctx.per_class) if n]
        self.form = form = Parametrisation.of(p)
        self.counts = form.counts([ctx.per_class[c] for c in classes])
        self.labels = class_slots(ctx, form.times)
        first = first_images(ctx, p.init, form.times)
        self.start = form.encode(first)
        self.images = Learned(self.start, p.lr_img, p.momentum)
        self.sampler = ClassSampler([ctx.train.of_class(c) for c in classes])
        self.augment = DSA.for_dataset(ctx.dataset.flip) if p.augment == "dsa" else None
        self.chunk = pass_size(ctx.build_model(seed=0), first[:1])

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One network, one batch of each class, one update of the images."""
        stored = self.images.value.detach().requires_grad_()
        net = frozen(ctx.build_model(seed=ctx.seed("net", str(ctx.step))), stored)
        batch = self.params.batch_real
        real, real_counts = ctx.train.images(self.sampler.draw(batch, ctx.generator)), self.sampler.counts(batch)
        syn = self.form.decode(stored)
        loss = self.loss(net, *self.augmented(real, real_counts, syn, ctx.generator), real_counts)
        (gradient,) = torch.autograd.grad(loss, stored)
        self.images.step(gradient)
        return {"loss": loss.item()}

    def augmented(
        self, real: Tensor, real_counts: list[int], syn: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """A(x, ω_c) and A(s, ω_c): a fresh ω for every class, the same on both sides."""
        if self.augment is None:
            return real, syn
        return siamese(self.augment, real, real_counts, syn, self.counts, generator)

    def loss(self, net: nn.Module, real: Tensor, syn: Tensor, real_counts: list[int]) -> Tensor:
        """The sum over classes, all of which share a forward pass."""
        with torch.no_grad():
            target = embed(net, real, self.chunk)
        return class_mean_feature_distance(target, embed(net, syn, self.chunk), real_counts, self.counts)

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their fixed hard labels."""
        return self.form.condensed(self.images.value, self.labels, ctx.train.preprocess)

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How far the images moved."""
        return how_far(ctx, self.form, self.start, self.images.value)

    def state_dict(self) -> State:
        """Images and momentum."""
        return self.images.state()

    def load_state_dict(self, state: State) -> None:
        """Restore images and momentum."""
        self.images.load(state)
