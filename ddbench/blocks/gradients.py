"""What DC and DSA have in common: fresh networks, batches of each class, matching, and training on the images."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from ddbench.api import CondensedSet, Method, RunContext, State
from ddbench.blocks.initial import class_slots
from ddbench.blocks.matching import class_gradients, gradient_distance
from ddbench.blocks.params import GradientMatchingParams
from ddbench.blocks.sampling import ClassSampler
from ddbench.blocks.training import Schedule, Trainer
from ddbench.blocks.trajectory import Learned

P = TypeVar("P", bound=GradientMatchingParams)

FROZEN_BATCH = 16
"""Real images per class of the forward pass after which batch norm's statistics stand still (authors' code)."""


class GradientMethod(Method[P]):
    """Base of methods that match gradients.

    ``prepare`` calls :meth:`learn`; ``step``, one matching step t of one network k, calls :meth:`network`,
    :meth:`batches`, :meth:`match`, :meth:`update` and :meth:`train`.

    Attributes:
        images: The pixels, [n, C, H, W].
        labels: [n] int64, class-major.
        counts: Synthetic images of each class that has any.
        net: The current network; between matchings it is trained on the images.
    """

    def learn(self, ctx: RunContext, images: Tensor) -> None:
        """Make images learnable, and real images of each class drawable."""
        p, classes = self.params, [c for c, n in enumerate(ctx.per_class) if n]
        self.labels = class_slots(ctx)
        self.counts = [ctx.per_class[c] for c in classes]
        self.images = Learned(images, p.lr_img, p.momentum)
        self.sampler = ClassSampler([ctx.train.of_class(c) for c in classes])
        self.net = ctx.build_model(seed=ctx.seed("net", "0"))
        self.seconds = {"matching_s": 0.0, "training_s": 0.0}

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

    def batches(self, ctx: RunContext) -> tuple[Tensor, list[int]]:
        """Real images of every class, class-major, and how many of each."""
        batch = self.params.batch_real
        return ctx.train.images(self.sampler.draw(batch, ctx.generator)), self.sampler.counts(batch)

    def match(self, net: nn.Module, real: Tensor, real_counts: Sequence[int], syn: Tensor) -> Tensor:
        """Σ over classes of the distance between the gradients on real and on synthetic images."""
        with self.clock("matching_s"):
            return self.distance(net, real, real_counts, syn)

    def distance(self, net: nn.Module, real: Tensor, real_counts: Sequence[int], syn: Tensor) -> Tensor:
        """The sum itself."""
        classes = torch.unique_consecutive(self.labels)
        real_labels = classes.repeat_interleave(torch.tensor(real_counts, device=classes.device))
        theirs = class_gradients(net, real, real_labels, real_counts)
        ours = class_gradients(net, syn, self.labels, self.counts, graph=True)
        return torch.stack([gradient_distance(a, b) for a, b in zip(theirs, ours, strict=True)]).sum()

    def update(self, loss: Tensor, syn: Tensor) -> Mapping[str, float]:
        """One SGD step of all images at once: a class's images appear in its own term alone."""
        with self.clock("matching_s"):
            (gradient,) = torch.autograd.grad(loss, syn)
            self.images.step(gradient)
        return {"loss": float(loss.detach())}

    def train(self, ctx: RunContext) -> None:
        """ζ epochs of the network on the synthetic images as they are now; not after a network's last matching."""
        p = self.params
        if (ctx.step + 1) % p.outer_steps == 0:
            return
        per_epoch = -(-len(self.labels) // p.batch_net)
        trainer = Trainer(
            self.net.train(), lambda index: self.seen(ctx, index), self.labels, lr=p.lr_net,
            schedule=Schedule(p.inner_epochs * per_epoch), batch=p.batch_net, order=ctx.generator,
            momentum=0.0, weight_decay=0.0,
        )  # fmt: skip
        with self.clock("training_s"):
            while trainer.done < p.inner_epochs * per_epoch:
                trainer.update()

    @contextmanager
    def clock(self, name: str) -> Iterator[None]:
        """Adds the seconds of a block to ``seconds``."""
        began = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - began

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """Seconds of matching gradients, and of training networks on the images between matchings."""
        return dict(self.seconds)

    def seen(self, ctx: RunContext, index: Tensor) -> Tensor:
        """A batch of synthetic images as the network is trained on it; DSA augments it."""
        return self.images.value[index.to(self.images.value.device)]

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their fixed hard labels."""
        return CondensedSet.of_images(self.images.value.cpu(), self.labels.cpu(), ctx.train.preprocess)

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
