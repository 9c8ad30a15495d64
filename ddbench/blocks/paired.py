"""What DANCE and NCFM have in common: a pass at distances of features between the ends of a pair, a pass at errors."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from ddbench.blocks.augment import Composed, Draw
from ddbench.blocks.distribution_matching import DistributionMethod, class_errors
from ddbench.blocks.distribution_params import PairedParams
from ddbench.blocks.features import embed
from ddbench.blocks.pairs import Pairs
from ddbench.core.api import RunContext

P = TypeVar("P", bound=PairedParams)


class PairedMethod(DistributionMethod[P]):
    """Base of methods that look through pairs of networks at canvases in units of 0 … 1.

    Attributes:
        pairs: The pairs of networks.
    """

    def begin(self, ctx: RunContext) -> None:
        """Start from ``random``'s images, shrunk to the nearest pixels, and open the pairs."""
        self.learn(ctx, shrink="nearest", pixels=True)
        self.augment = Composed(ops=("color", "crop", "cutout"))
        self.pairs = Pairs(ctx, self.params.network)

    def distances(self, ctx: RunContext, net: nn.Module, syn: Tensor) -> Tensor:
        """The distance of features of each class, [K], both sides augmented alike.

        Args:
            ctx: The run.
            net: What features come from.
            syn: Decoded images, [n, C, H, W].
        """
        real, real_counts, syn, counts = self.batch(ctx, syn, self.params.batch_syn)
        return self.discrepancy(
            self.embedded(net, real), embed(net, syn, self.chunk), real_counts, counts, ctx.generator
        )

    def errors(self, ctx: RunContext, net: nn.Module, syn: Tensor) -> Tensor:
        """The cross entropy of each class, [K], under the same kind of augmentation.

        Args:
            ctx: The run.
            net: A trained network.
            syn: Decoded images, [n, C, H, W].
        """
        syn, counts = self.some(syn, self.params.batch_syn, ctx.generator)
        if self.augment is not None:
            syn = self.augment(syn, Draw.cat([self.augment.draw(ctx.generator) for _ in counts], counts))
        logits = torch.cat([net(part) for part in torch.split(syn, self.chunk)])
        return class_errors(logits, self.classes(counts), counts)

    @property
    def reported(self) -> Tensor:
        """What is stored, clamped and normalised."""
        return self.normalised(self.images.value.clamp(0, 1))
