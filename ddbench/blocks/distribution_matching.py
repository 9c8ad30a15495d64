"""What IDM, DANCE and NCFM have in common: canvases whose classes take turns at distances of features.

Symbols: K classes, m stored and n decoded images, class-major.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddbench.blocks.augment import DSA, siamese
from ddbench.blocks.distribution_params import DistributionParams
from ddbench.blocks.distributions import Discrepancy
from ddbench.blocks.features import chunk_size, embed
from ddbench.blocks.initial import class_slots, first_images
from ddbench.blocks.moved import how_far
from ddbench.blocks.parametrize import Parametrisation
from ddbench.blocks.sampling import ClassSampler
from ddbench.blocks.turns import Turns
from ddbench.core.api import CondensedSet, Method, Recipe, RunContext

P = TypeVar("P", bound=DistributionParams)

Losses = Callable[[Tensor], Tensor]
"""Decoded, normalised images [n, C, H, W] → each class's loss [K], which depends on its own images alone."""


class DistributionMethod(Method[P]):
    """Base of methods whose classes take turns at distances of features.

    A subclass sets ``images`` and ``augment`` after :meth:`learn`.

    Attributes:
        form: What is stored and how it decodes to the images that networks see.
        stored: Stored images of each class that has any, K numbers.
        counts: Decoded ones.
        labels: [n] int64, class-major, of the decoded images.
        start: What was started from, in the units of ``images``.
        images: What is stored.
        augment: What both sides of a class see, one draw for both; None: the images as they are.
    """

    images: Turns
    augment: DSA | None

    def learn(self, ctx: RunContext, *, shrink: Literal["nearest", "bilinear"], pixels: bool) -> None:
        """Set up what is stored, and real images of each class.

        Args:
            ctx: The run.
            shrink: How images become small ones on a canvas.
            pixels: Whether what is stored is in units of 0 … 1, and starts there; else it is normalised.
        """
        p, classes = self.params, [c for c, n in enumerate(ctx.per_class) if n]
        self.form = form = Parametrisation.of(p)
        self.stored = [ctx.per_class[c] for c in classes]
        self.counts = form.counts(self.stored)
        self.labels = class_slots(ctx, form.times)
        first = first_images(ctx, p.init, form.times)
        self.start = form.encode(first, shrink=shrink)
        space = ctx.train.preprocess
        self._mean, self._std = (
            torch.tensor(values if pixels else (neutral,)).view(1, -1, 1, 1).to(first)
            for values, neutral in ((space.mean, 0.0), (space.std, 1.0))
        )
        if pixels:
            self.start = (self.start * self._std + self._mean).clamp(0, 1)
        self.sampler = ClassSampler([ctx.train.of_class(c) for c in classes])
        self.discrepancy = Discrepancy(p.distance, p.frequencies, p.amplitude, p.phase)
        self.chunk = chunk_size(ctx.build_model(seed=0).eval(), first[:1])

    def turns(self, losses: Losses) -> Tensor:
        """Every class takes its turn: a step of the optimiser by the gradient of its own loss; the losses, [K]."""
        found: list[Tensor] = []

        def gradients(stored: Tensor) -> Tensor:
            leaf = stored.detach().requires_grad_()
            each = losses(self.form.decode(self.normalised(leaf)))
            found.append(each.detach())
            (gradient,) = torch.autograd.grad(each.sum(), leaf)
            return gradient

        self.images.take(gradients)
        return found[0]

    def batch(self, ctx: RunContext, syn: Tensor, most: int = 0) -> tuple[Tensor, list[int], Tensor, list[int]]:
        """Real and synthetic images of every class after its augmentation, with the numbers of each.

        Args:
            ctx: The run.
            syn: Decoded images, [n, C, H, W].
            most: At most so many random ones of each class; 0: all.
        """
        counts, draws = self.sampler.counts(self.params.batch_real), ctx.generator
        real = ctx.train.images(self.sampler.draw(self.params.batch_real, draws))
        syn, syn_counts = self.some(syn, most, draws)
        if self.augment is not None:
            real, syn = siamese(self.augment, real, counts, syn, syn_counts, draws)
        return real, counts, syn, syn_counts

    def some(self, syn: Tensor, most: int, draws: torch.Generator) -> tuple[Tensor, list[int]]:
        """At most so many random images of each class, and how many of each; 0: all."""
        if not most or max(self.counts) <= most:
            return syn, self.counts
        rows = [torch.randperm(n, generator=draws)[:most] for n in self.counts]
        first = [sum(self.counts[:c]) for c in range(len(self.counts))]
        index = torch.cat([begin + own for begin, own in zip(first, rows, strict=True)])
        return syn[index.to(syn.device)], [len(own) for own in rows]

    def embedded(self, net: nn.Module, real: Tensor) -> Tensor:
        """Features of real images, [·, D], which nothing is differentiated through."""
        with torch.no_grad():
            return embed(net, real, self.chunk)

    def classes(self, counts: list[int]) -> Tensor:
        """The class of each image, for so many of each of the classes: [Σ counts] int64."""
        present = torch.unique_consecutive(self.labels)
        return cast(Tensor, present.repeat_interleave(torch.tensor(counts, device=present.device)))

    def normalised(self, stored: Tensor) -> Tensor:
        """What is stored, in normalised units."""
        return (stored - self._mean) / self._std

    @property
    def reported(self) -> Tensor:
        """What is stored, as it goes into the set: normalised."""
        return self.normalised(self.images.value)

    def condensed(self, ctx: RunContext, recipe: Recipe) -> CondensedSet:
        """The images with their fixed hard labels."""
        return self.form.condensed(self.reported, self.labels, ctx.train.preprocess, recipe)

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How far images moved."""
        return how_far(ctx, self.form, self.normalised(self.start), self.reported)

    def state_dict(self) -> dict[str, Any]:
        """What is stored, and its optimiser."""
        return {"images": self.images.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.images.load(state["images"])


def class_errors(logits: Tensor, labels: Tensor, counts: list[int]) -> Tensor:
    """The mean cross entropy of each class of a class-major batch: [K].

    Args:
        logits: [Σ counts, number of classes].
        labels: [Σ counts] int64.
        counts: Images of each class.
    """
    each = functional.cross_entropy(logits, labels, reduction="none")
    return torch.stack([part.mean() for part in torch.split(each, counts)])


def features_and_logits(net: nn.Module, images: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """What the last linear layer gets [n, D] and gives [n, K], in one pass, differentiable in ``images``.

    Args:
        net: A network with ``.embed``.
        images: [n, C, H, W].
        chunk: Images per pass.
    """
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    features: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))
    try:
        logits = torch.cat([net(part) for part in torch.split(images, chunk)])
    finally:
        hook.remove()
    return torch.cat(features), logits


@contextmanager
def looked_through(net: nn.Module) -> Iterator[nn.Module]:
    """A network in eval mode whose parameters get no gradients, for as long as the block lasts."""
    net.eval().requires_grad_(False)
    try:
        yield net
    finally:
        net.train().requires_grad_(True)
