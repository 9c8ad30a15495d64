"""DSA (Zhao & Bilen, "Dataset Condensation with Differentiable Siamese Augmentation", ICML 2021), algorithm 1.

    min_S  E_θ0  Σ_t Σ_c  D( ∇_θ ℓ_c(A(S, ω); θ_t), ∇_θ ℓ_c(A(T, ω); θ_t) )

DC with one augmentation A for the real and the synthetic images of a class, ω drawn per class and step; networks are
trained on augmented synthetic images, with parameters per image.

Deltas from the authors' code: seeded generators instead of the clock; K networks, theirs K + 1; class sizes may differ;
``align_corners=True``.
"""

from collections.abc import Mapping

from torch import Tensor

from ddbench import RunContext
from ddbench.blocks.augment import DSA, siamese
from ddbench.blocks.gradients import CondensationMethod
from ddbench_plugins.dsa.params import DSAParams


class DSAMatching(CondensationMethod[DSAParams]):
    """Learns images whose gradients are those of their class under the same augmentation."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images, or what ``init`` says."""
        self.augment = DSA.for_dataset(ctx.dataset.flip)
        self.learn(ctx)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One matching step under one draw per class; then, if the network has further ones, train it on the images."""
        net = self.network(ctx)
        real, counts, stored, syn = self.batches(ctx)
        seen_real, seen_syn = siamese(self.augment, real, counts, syn, self.counts, ctx.generator)
        shown = self.update(*self.match(net, seen_real, counts, seen_syn), seen_syn, stored)
        self.train(ctx)
        return shown

    def seen(self, ctx: RunContext, images: Tensor) -> Tensor:
        """A batch as the network is trained on it: one operation, parameters per image."""
        return self.augment(images, self.augment.draw(ctx.generator, n=len(images)))
