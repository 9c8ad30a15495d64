"""Performance matching: images are learned by how well students do on real images that were trained on them.

    min_X  E_θ0  ℓ(f(A(x); θ_N), y)        θ_{i+1}: one step of an inner optimiser on a batch of X, from θ_i

The gradient goes back through the training (:mod:`ddbench.blocks.unroll`). The published algorithms differ in which
batches the students see, in which optimiser trains them, through how many of their steps the gradient goes, and in what
is done with it; those lines stand in the methods. Symbols: n synthetic images, K classes, N steps of a student, [P]
flat parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddbench.blocks.augment import named
from ddbench.blocks.bptt_params import BPTTParams
from ddbench.blocks.functional import FlatModel, flatten
from ddbench.blocks.initial import class_slots
from ddbench.blocks.inner import Inner
from ddbench.blocks.moved import how_far
from ddbench.blocks.parametrize import Parametrisation
from ddbench.blocks.sampling import ClassSampler
from ddbench.blocks.training import PART
from ddbench.blocks.trajectory import replayed
from ddbench.blocks.unroll import Outer, Unrolled, through
from ddbench.core.api import Method, RunContext

P = TypeVar("P", bound=BPTTParams)


def loss_on(net: nn.Module, images: Tensor, labels: Tensor) -> Outer:
    """θ → the mean cross entropy of real images, with its gradient, at the memory of a part of them.

    Args:
        net: A network that couples no images.
        images: [b, C, H, W].
        labels: [b] int64.
    """
    model, size = FlatModel.of(net), max(1, PART // images[0, 0].numel())

    def outer(theta: Tensor) -> Tensor:
        leaf = theta.detach().requires_grad_()
        total, slope = torch.zeros_like(leaf[0]), torch.zeros_like(leaf)
        for x, y in zip(torch.split(images, size), torch.split(labels, size), strict=True):
            part = functional.cross_entropy(model(leaf, x), y, reduction="sum") / len(images)
            slope += torch.autograd.grad(part, leaf)[0]
            total += part.detach()
        return total + slope @ (theta - theta.detach())  # the loss as it is at θ, and as it grows there

    return outer


def averaged(found: Sequence[Unrolled]) -> Unrolled:
    """Means of losses and gradients over students; where they end is the last one's end."""
    if len(found) == 1:
        return found[0]
    labels = [one.grad_labels for one in found if one.grad_labels is not None]
    loss, images, lr = (
        torch.stack([getattr(one, name) for one in found]).mean(0) for name in ("loss", "grad_images", "grad_lr")
    )
    return Unrolled(loss, images, torch.stack(labels).mean(0) if labels else None, lr, found[-1].final)


def clipped(gradient: Tensor, bound: float) -> Tensor:
    """A gradient whose norm is at most ``bound``: longer ones are scaled down to it."""
    norm = float(torch.linalg.vector_norm(gradient))
    return gradient * (bound / norm) if norm > bound else gradient


@dataclass(slots=True)
class RunningNorm:
    """A running mean of norms, e ← ρ e + (1 − ρ) ‖g‖; at first ‖g‖.

    Attributes:
        decay: ρ.
        value: e; None before the first norm.
    """

    decay: float
    value: float | None = None

    def seen(self, gradient: Tensor) -> float:
        """The mean with this gradient's norm in it."""
        norm = float(torch.linalg.vector_norm(gradient))
        self.value = norm if self.value is None else self.decay * self.value + (1 - self.decay) * norm
        return self.value


def balanced_batches(sampler: ClassSampler, n: int, steps: int, generator: torch.Generator) -> list[Tensor]:
    """The batches of a student: n distinct random images of every class, drawn afresh for each step.

    Args:
        sampler: Of the synthetic images' classes.
        n: Images per class; all of a class that has fewer.
        steps: N.
        generator: Of the CPU.
    """
    return [sampler.draw(n, generator) for _ in range(steps)]


class BPTTMethod(Method[P]):
    """Base of these methods. ``prepare`` calls :meth:`open`; ``step`` calls :meth:`train`.

    Attributes:
        form: What is stored and how it decodes to the images that students see.
        classes: [n] int64, the class each synthetic image stands for.
        sampler: Of the synthetic images, by class.
        dsa: The augmenter, or None.
    """

    def open(self, ctx: RunContext) -> None:
        """What is no part of the state."""
        self.form = Parametrisation.of(self.params)
        self.classes = class_slots(ctx, self.form.times)
        present = [c for c, n in enumerate(ctx.per_class) if n]
        self.sampler = ClassSampler([torch.nonzero(self.classes.cpu() == c).flatten() for c in present])
        self.dsa = named(self.params.augment, ctx.dataset.flip).augmenter

    def students(self, ctx: RunContext) -> list[nn.Module]:
        """The fresh networks of an outer step; the first is the one that other methods see in their step."""
        more = ((), *((str(i),) for i in range(1, self.params.n_nets)))
        return [ctx.build_model(seed=ctx.seed("net", str(ctx.step), *which)) for which in more]

    def train(
        self,
        ctx: RunContext,
        images: Tensor,
        labels: Tensor,
        inner: Inner,
        real: Tensor,
        batches: Callable[[], list[Tensor]],
        *,
        window: int | None = None,
    ) -> Unrolled:
        """Train students on synthetic images; how they do on real ones, and the gradients of that, on average.

        Args:
            ctx: The run.
            images: X, [n, C, H, W].
            labels: [n] int64 classes or [n, K] logits.
            inner: How students are trained.
            real: [b] int64 indices into train.
            batches: Gives a student's batches.
            window: Through how many last steps the gradient goes; None: all.
        """
        x, y = ctx.train.images(real), ctx.train.labels[real.to(ctx.train.labels.device)]
        if self.dsa is not None:
            x = self.dsa(x, self.dsa.draw(ctx.generator, n=len(x)))
        found = []
        for net in self.students(ctx):
            chosen = batches()
            augment = replayed(self.dsa, chosen, ctx.generator)
            start, outer = flatten(list(net.parameters())), loss_on(net, x, y)
            found.append(
                through(net, start, chosen, images, labels, inner, outer=outer, augment=augment, window=window)
            )
        return averaged(found)

    def mixed(self, ctx: RunContext) -> Tensor:
        """Distinct random training images, of whatever classes: [b] int64."""
        return torch.randperm(len(ctx.train), generator=ctx.generator)[: self.params.batch_real]

    def moved(self, ctx: RunContext, first: Tensor, last: Tensor) -> Mapping[str, float]:
        """How far what is stored moved."""
        return how_far(ctx, self.form, first, last)
