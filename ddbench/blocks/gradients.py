"""What methods that match gradients have in common: fresh networks, batches of each class, matching, training.

DC and DSA train their networks on the synthetic images (:class:`CondensationMethod`), IDC on real ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from ddbench.blocks.initial import class_slots, first_images
from ddbench.blocks.matching import batched, class_gradients, gradient_distance
from ddbench.blocks.moved import how_far
from ddbench.blocks.parametrize import Parametrisation
from ddbench.blocks.params import CondensationParams, GradientMatchingParams
from ddbench.blocks.sampling import ClassSampler
from ddbench.blocks.training import Trainer, TrainingRecipe
from ddbench.blocks.trajectory import Learned
from ddbench.core.api import CondensedSet, Method, RunContext, State

P = TypeVar("P", bound=GradientMatchingParams)
Q = TypeVar("Q", bound=CondensationParams)

FROZEN_BATCH = 16
"""Real images per class of the forward pass after which batch norm's statistics stand still (authors' code)."""


class GradientMethod(Method[P]):
    """Base of methods that match gradients in T steps under each of K fresh networks.

    Attributes:
        form: What is stored and how it decodes to the images that networks see.
        start: What was started from, normalised, like ``images``.
        images: What is stored: by default the pixels, [n, C, H, W].
        labels: [n] int64, class-major, of the decoded images.
        counts: Decoded images of each class that has any.
        sampler: Draws real images of these classes.
        seconds: Spent on matching gradients, and on training networks.
    """

    def __init__(self, params: P) -> None:
        super().__init__(params)
        self.form = Parametrisation.of(params)

    def learn(self, ctx: RunContext) -> None:
        """Make the images that ``params.init`` asks for learnable, and real images of each class drawable."""
        p, classes = self.params, [c for c, n in enumerate(ctx.per_class) if n]
        self.labels = class_slots(ctx, self.form.times)
        self.counts = self.form.counts([ctx.per_class[c] for c in classes])
        self.start = self.form.encode(first_images(ctx, p.init, self.form.times))
        self.images = Learned(self.start, p.lr_img, p.momentum)
        self.sampler = ClassSampler([ctx.train.of_class(c) for c in classes])
        self.seconds = {"matching_s": 0.0, "training_s": 0.0}

    @contextmanager
    def clock(self, name: str) -> Iterator[None]:
        """Adds the seconds of a block to ``seconds``."""
        began = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # what was started within the block is its own
        self.seconds[name] += time.perf_counter() - began

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """Seconds of matching gradients, and of training networks between matchings; how far images moved."""
        return self.seconds | how_far(ctx, self.form, self.start, self.reported)

    @property
    def reported(self) -> Tensor:
        """What is stored, normalised."""
        return self.images.value

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their fixed hard labels."""
        return self.form.condensed(self.reported, self.labels, ctx.train.preprocess)


class CondensationMethod(GradientMethod[Q]):
    """Base of DC and DSA, whose networks are trained on the synthetic images for ζ epochs between two matchings.

    ``step``, one matching t of one network k, calls :meth:`network`, :meth:`batches`, :meth:`match`, :meth:`update` and
    :meth:`train`.

    Attributes:
        net: The current network.
    """

    def learn(self, ctx: RunContext) -> None:
        """As the base."""
        super().learn(ctx)
        self.net = ctx.build_model(seed=ctx.seed("net", "0"))

    def network(self, ctx: RunContext) -> nn.Module:
        """The network of this step: a fresh one for each k, with batch norm's statistics fixed on real images."""
        k, t = divmod(ctx.step, self.params.outer_steps)
        if t == 0:
            self.net = ctx.build_model(seed=ctx.seed("net", str(k)))
        if next(self.net.buffers(), None) is not None:
            with torch.no_grad():
                self.net.train()(ctx.train.images(self.sampler.draw(FROZEN_BATCH, ctx.generator)))
            _freeze_norms(self.net)
        return self.net

    def batches(self, ctx: RunContext) -> tuple[Tensor, list[int], Tensor, Tensor]:
        """Real images of every class, class-major, and how many of each; what is stored, and what it decodes to."""
        batch = self.params.batch_real
        real, counts = ctx.train.images(self.sampler.draw(batch, ctx.generator)), self.sampler.counts(batch)
        stored = self.images.value.detach().requires_grad_()
        return real, counts, stored, self.form.decode(stored)

    def match(self, net: nn.Module, real: Tensor, real_counts: Sequence[int], syn: Tensor) -> tuple[Tensor, Tensor]:
        """Σ over classes of the distance between the gradients on real and on synthetic images, and its own gradient.

        The terms are separable, so the graph of one class (or of the classes that share a pass) is kept at a time.

        Returns:
            The sum, a scalar, and its gradient with respect to ``syn``, [n, C, H, W].
        """
        classes = torch.unique_consecutive(self.labels)
        real_labels = classes.repeat_interleave(torch.tensor(real_counts, device=classes.device))
        with self.clock("matching_s"):
            theirs = class_gradients(net, real, real_labels, real_counts)
            size = len(classes) if batched(net, self.counts) else 1
            losses: list[Tensor] = []
            gradients: list[Tensor] = []
            begin = 0
            for first in range(0, len(classes), size):
                counts = self.counts[first : first + size]
                end = begin + sum(counts)
                images = syn[begin:end].detach().requires_grad_()
                ours = class_gradients(net, images, self.labels[begin:end], counts, graph=True)
                pairs = zip(theirs[first : first + size], ours, strict=True)
                losses.append(torch.stack([gradient_distance(a, b) for a, b in pairs]).sum())
                gradients += torch.autograd.grad(losses[-1], images)
                begin = end
        return torch.stack(losses).sum().detach(), torch.cat(gradients)

    def update(self, loss: Tensor, gradient: Tensor, syn: Tensor, stored: Tensor) -> Mapping[str, float]:
        """One SGD step of all images at once: a class's images appear in its own term alone.

        Args:
            loss: The distance.
            gradient: Its gradient with respect to ``syn``.
            syn: What the network saw, made from ``stored``.
            stored: From :meth:`batches`.
        """
        with self.clock("matching_s"):
            self.images.step(torch.autograd.grad(syn, stored, gradient)[0])
        return {"loss": float(loss)}

    def train(self, ctx: RunContext) -> None:
        """ζ epochs of the network on the synthetic images as they are now; not after a network's last matching."""
        p = self.params
        if (ctx.step + 1) % p.outer_steps == 0:
            return
        images = self.form.decode(self.images.value)
        updates = p.inner_epochs * -(-len(images) // p.batch_net)
        recipe = TrainingRecipe(updates, p.lr_net, p.batch_net, momentum=0.0, weight_decay=0.0)
        trainer = Trainer(
            self.net.train(), lambda index: self.seen(ctx, images[index.to(images.device)]), self.labels, recipe,
            order=ctx.generator,
        )  # fmt: skip
        with self.clock("training_s"):
            while trainer.done < updates:
                trainer.update()

    def seen(self, ctx: RunContext, images: Tensor) -> Tensor:
        """A batch of synthetic images as the network is trained on it; DSA augments it."""
        return images

    def state_dict(self) -> State:
        """Images with their momentum, and the network between two of its matchings."""
        return {"images": self.images.state(), "net": dict(self.net.state_dict()), "seconds": dict(self.seconds)}

    def load_state_dict(self, state: State) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.images.load(state["images"])
        self.net.load_state_dict(state["net"])
        self.seconds = dict(state["seconds"])


def _freeze_norms(net: nn.Module) -> None:
    """Batch norm from now on uses its running statistics."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
