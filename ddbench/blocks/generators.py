"""A small generator: the decoder of a conditional variational auto-encoder that is trained on train and then frozen.

    ½ ‖x − D(z, y)‖² + β KL( N(μ, σ²) ‖ N(0, 1) ),   (μ, log σ²) = E(x, y),   z = μ + σ ε,  ε ~ N(0, 1)

Kingma & Welling, ICLR 2014; Sohn et al., NeurIPS 2015. Images are normalised. Symbols: n images, d numbers of a latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from ddbench.blocks.adam import Adam
from ddbench.blocks.functional import flatten
from ddbench.blocks.generator_params import GeneratorParams
from ddbench.core.api import RunContext
from ddbench.core.errors import NodeFailureError
from ddbench.core.specs import DatasetInfo

FILE = "generator.safetensors"


@dataclass(frozen=True, eq=False)
class Generator:
    """Latents and classes → images, and back.

    Attributes:
        encoder: [n, pixels + K] → [n, 2 d].
        decoder: [n, d + K] → [n, pixels].
        shape: (C, H, W) of an image.
        classes: K.
    """

    encoder: nn.Module
    decoder: nn.Module
    shape: tuple[int, int, int]
    classes: int

    @classmethod
    def fresh(cls, params: GeneratorParams, data: DatasetInfo, seed: int, like: Tensor) -> Generator:
        """An untrained one with PyTorch's default initialisation, of the type and on the device of ``like``."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            encoder, decoder = (_layers(sizes) for sizes in (params.encoder_sizes(data), params.decoder_sizes(data)))
        shape = (data.channels, data.size, data.size)
        return cls(encoder.to(like), decoder.to(like), shape, data.classes)

    @classmethod
    def open(cls, folder: Path, params: GeneratorParams, data: DatasetInfo, like: Tensor) -> Generator:
        """The trained one that an artifact holds, frozen."""
        made, kept = cls.fresh(params, data, 0, like), load_file(folder / FILE)
        for net, name in ((made.encoder, "encoder"), (made.decoder, "decoder")):
            nn.utils.vector_to_parameters(kept[name].to(like), net.parameters())
            net.requires_grad_(False)
        return made

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents of images [n, C, H, W] with classes [n]: [n, d] each."""
        mean, log_variance = self.encoder(torch.cat([images.flatten(1), self._one_hot(labels, images)], 1)).chunk(2, 1)
        return mean, log_variance

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """The images of latents [n, d] and classes [n]: [n, C, H, W], differentiable."""
        pixels: Tensor = self.decoder(torch.cat([latents, self._one_hot(labels, latents)], 1))
        return pixels.view(-1, *self.shape)

    def _one_hot(self, labels: Tensor, like: Tensor) -> Tensor:
        return functional.one_hot(labels, self.classes).to(like)


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for a, b in pairwise(sizes):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def loss(generator: Generator, images: Tensor, labels: Tensor, noise: Tensor, kl: float) -> Tensor:
    """The mean loss of a batch.

    Args:
        generator: E and D.
        images: [n, C, H, W].
        labels: [n] int64.
        noise: ε, [n, d].
        kl: β.
    """
    mean, log_variance = generator.encode(images, labels)
    rebuilt = generator.decode(mean + (0.5 * log_variance).exp() * noise, labels)
    error = 0.5 * (images - rebuilt).square().flatten(1).sum(1)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    return (error + kl * divergence).mean()


def build(ctx: RunContext, folder: Path, params: GeneratorParams) -> None:
    """Build the artifact: ``generator.safetensors`` with the parameters of encoder and decoder, a vector each.

    It takes seconds to minutes, so that a killed build starts over.

    Raises:
        NodeFailureError: If its parameters are no numbers in the end.
    """
    like, n = ctx.train.images(torch.tensor([0])), len(ctx.train)
    made = Generator.fresh(params, ctx.dataset, ctx.seed("generator", "model"), like)
    parameters = [*made.encoder.parameters(), *made.decoder.parameters()]
    optimiser = Adam([one.detach() for one in parameters], params.lr)
    draws = torch.Generator().manual_seed(ctx.seed("generator", "draws"))
    for epoch in range(params.epochs):
        for index in torch.split(torch.randperm(n, generator=draws), params.batch):
            noise = torch.randn(len(index), params.latent, generator=draws).to(like)
            images, labels = ctx.train.images(index), ctx.train.labels[index.to(ctx.train.labels.device)]
            optimiser.step(torch.autograd.grad(loss(made, images, labels, noise, params.kl), parameters))
        ctx.progress(epoch + 1, params.epochs, "epochs of the generator")
    vectors = {
        "encoder": flatten(parameters[: len(parameters) // 2]),
        "decoder": flatten(parameters[len(parameters) // 2 :]),
    }
    if not all(bool(torch.isfinite(vector).all()) for vector in vectors.values()):
        raise NodeFailureError("nan", "the generator's parameters are no numbers; lower its learning rate")
    save_file({name: vector.float().cpu() for name, vector in vectors.items()}, folder / FILE)
