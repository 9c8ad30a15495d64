"""What FRePo's variants have in common: the regression on features, learned images and labels, the set and its recipe.

Zhou et al., NeurIPS 2022. Symbols: n synthetic and b real images, C classes; F_s and F_b: what the last layer of a
network gets of them; Y: learned labels [n, C], y: one-hot minus 1/C.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from ddbench.blocks.adam import Lamb
from ddbench.blocks.features import chunk_size, embed
from ddbench.blocks.initial import class_slots, first_images
from ddbench.blocks.moved import how_far, image_change
from ddbench.blocks.parametrize import Parametrisation
from ddbench.blocks.regression_params import FeatureRegressionParams
from ddbench.blocks.ridge import centred, ridge_weights
from ddbench.core.api import CondensedSet, Method, Recipe, RunContext, State

P = TypeVar("P", bound=FeatureRegressionParams)

UPDATES = {10: 1_000, 100: 2_000, 200: 20_000, 400: 5_000, 500: 5_000, 1000: 10_000, 2000: 40_000}
"""Images of a set → updates of a student (authors' table); between its entries the nearest smaller one's."""
LR_STUDENT, WARMUP, LR_END, BATCH_STUDENT = 3e-4, 500, 0.01, 500


class FeatureRegressionMethod(Method[P]):
    """Base of methods whose images and labels predict real ones by ridge regression on a network's features.

    Attributes:
        form: What is stored and how it decodes to the images that networks see.
        start: What was started from, like ``images``; ``first_labels`` likewise.
        images: What is stored: by default the pixels, [n, C, H, W].
        labels: Y.
        classes: [n] int64, the class that each decoded image stands for.
        mirrored: Whether mirrored copies stand beside the decoded images in the regression.
        lamb: Moves both.
    """

    def learn(self, ctx: RunContext) -> None:
        """Make ``init``'s images and their centred one-hot labels learnable."""
        p, k = self.params, ctx.dataset.classes
        self.form = Parametrisation.of(p)
        self.classes = class_slots(ctx, self.form.times)
        first = first_images(ctx, p.init, self.form.times)
        self.start, self.first_labels = self.form.encode(first), centred(self.classes, k).to(first) / math.sqrt(k / 10)
        self.images, self.labels = self.start.clone(), self.first_labels.clone()
        self.mirrored = p.mirror == "on" or (p.mirror == "auto" and ctx.dataset.flip and ctx.dataset.channels > 1)
        self.lamb = Lamb([self.images, self.labels], p.lr)
        self.chunk = chunk_size(self.build(ctx, 0), first[:1])

    def build(self, ctx: RunContext, i: int) -> nn.Module:
        """The repetition's network number i, with the norm that ``pool_norm`` says, in eval mode.

        On CPUs it is in the memory format in which PyTorch's operations are fast: ConvNets with instance norm have
        others, which want their own.
        """
        net = ctx.build_model(self.params.network(ctx.arch), seed=ctx.seed("net", str(i))).eval()
        if ctx.device.type == "cpu" and self.params.pool_norm != "in":
            return net.to(memory_format=torch.channels_last)
        return net

    def batch(self, ctx: RunContext) -> tuple[Tensor, Tensor]:
        """Distinct random real images [b, C, H, W], and y."""
        index = torch.randperm(len(ctx.train), generator=ctx.generator)[: self.params.batch_real]
        classes = ctx.train.labels[index.to(ctx.train.labels.device)]
        return ctx.train.images(index), centred(classes, ctx.dataset.classes).to(self.labels)

    def update(self, ctx: RunContext, net: nn.Module, real: Tensor, y: Tensor) -> float:
        """One step of LAMB of images and labels, whose rate falls by a cosine; returns the loss before it."""
        p = self.params
        net.requires_grad_(False)
        stored, labels = self.images.detach().requires_grad_(), self.labels.detach().requires_grad_()
        loss = self.loss(net, real, y, self.form.decode(stored), labels)
        gradients = torch.autograd.grad(loss, (stored, labels))
        net.requires_grad_(True)
        self.lamb.lr = p.lr * cosine(ctx.step / p.iterations, p.lr_end)
        self.lamb.step(gradients)
        return loss.item()

    def loss(self, net: nn.Module, real: Tensor, y: Tensor, syn: Tensor, labels: Tensor) -> Tensor:
        """mean_b ½ ‖F_b F_sᵀ (F_s F_sᵀ + λ I)⁻¹ Y − y_b‖² + the labels' margin.

        The regression is in float64: with more images than features λ alone keeps the kernel regular, and rounding to
        float32 adds more than that.

        Args:
            net: In eval mode.
            real: [b, C, H, W].
            y: [b, C].
            syn: [n, C, H, W], without mirrored copies.
            labels: Y, [n, C].

        Returns:
            Scalar, differentiable in ``syn`` and ``labels``.
        """
        with torch.no_grad():
            features = embed(net, real, self.chunk).double()
        shown, said = (torch.cat([syn, syn.flip(-1)]), labels.repeat(2, 1)) if self.mirrored else (syn, labels)
        asked = embed(net, shown, self.chunk).double()
        gaps = features @ ridge_weights(asked, said.double(), self.params.ridge, relative=True) - y.double()
        return (0.5 * gaps.square().sum(1).mean()).to(labels) + label_margin(labels)

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their learned labels, to be regressed on by a network without norm."""
        n = len(self.labels)
        recipe = Recipe(
            loss="mse", lr=LR_STUDENT, updates=UPDATES[max((k for k in UPDATES if k <= n), default=min(UPDATES))],
            batch=min(n, BATCH_STUDENT), weight_decay=0.0, augmentation="one_for_all", optimiser="adam",
            schedule="cosine", lr_end=LR_END, warmup=WARMUP, norm="nn",
        )  # fmt: skip
        labels, space = self.labels.float(), ctx.train.preprocess
        found = self.form.condensed(self.images, labels, space, recipe, classes=self.classes)
        return replace(found, label_space="centred")

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How far images and labels moved."""
        moved = how_far(ctx, self.form, self.start, self.images)
        return {**moved, "label_change": image_change(self.first_labels, self.labels)}

    def state_dict(self) -> State:
        """Images, labels, and LAMB's moments."""
        return {"images": self.images, "labels": self.labels, "lamb": self.lamb.state()}

    def load_state_dict(self, state: State) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.images.copy_(state["images"])
        self.labels.copy_(state["labels"])
        self.lamb.load(state["lamb"])


def label_margin(labels: Tensor) -> Tensor:
    """mean_i [ −min(y_i¹ − y_i², 1/C) ]: labels [n, C] are asked to prefer one class by 1/C, and no more than that.

    y_i¹ and y_i² are the two largest numbers of a label.
    """
    largest = labels.topk(2, dim=1).values
    return -(largest[:, 0] - largest[:, 1]).clamp_max(1 / labels.shape[1]).mean()


def cosine(share: float, end: float) -> float:
    """From 1 at ``share`` 0 down to ``end`` at 1."""
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * share))
