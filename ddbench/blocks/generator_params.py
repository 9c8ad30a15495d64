"""Hyper-parameters of the artifact ``generator``, a small decoder of latents. No torch."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field, NonNegativeFloat, PositiveInt

from ddbench.core.api import Params
from ddbench.core.specs import DatasetInfo


class GeneratorParams(Params):
    """A conditional variational auto-encoder of ReLU layers, and how it is trained: Adam, without augmentation."""

    latent: PositiveInt = Field(default=16, description="d, numbers of a latent")
    hidden: PositiveInt = Field(default=64, description="width of the hidden layers of encoder and decoder")
    layers: PositiveInt = Field(default=1, description="hidden layers of encoder and decoder")
    epochs: PositiveInt = Field(default=50, description="passes over the training images")
    lr: float = Field(default=1e-3, gt=0, description="learning rate of Adam [per update]")
    batch: PositiveInt = Field(default=64, description="images per update")
    kl: NonNegativeFloat = Field(
        default=1.0, description="weight of the divergence from N(0, 1), beside half the squared error of all pixels"
    )

    def decoder_sizes(self, data: DatasetInfo) -> list[int]:
        """Widths from what the decoder gets, a latent and a class, to the pixels."""
        return [self.latent + data.classes, *[self.hidden] * self.layers, data.image_bytes]

    def encoder_sizes(self, data: DatasetInfo) -> list[int]:
        """Widths from the pixels and a class to the mean and the log variance of a latent."""
        return [data.image_bytes + data.classes, *[self.hidden] * self.layers, 2 * self.latent]

    def decoder_parameters(self, data: DatasetInfo) -> int:
        """Parameters of the decoder."""
        sizes = self.decoder_sizes(data)
        return sum((a + 1) * b for a, b in pairwise(sizes))
