"""FRePo (Zhou et al., "Dataset Distillation using Neural Feature Regression", NeurIPS 2022), algorithm 1.

    min_{X, Y}  E_{θ ~ pool}  mean_b ½ ‖ F_b F_sᵀ (F_s F_sᵀ + λ I)⁻¹ Y − y_b ‖²  +  mean_i [ −min(y_i¹ − y_i², 1/C) ]

F_s = f_θ(X), F_b = f_θ(x_b): the inputs of the last layer of a network that was trained on (X, Y) for 0 … K updates;
y_b: one-hot minus 1/C; y_i¹ and y_i²: the two largest numbers of a learned label; λ = 1e-6 · mean diagonal of F_s F_sᵀ.

Deltas from the authors' code: the cell's network in place of one whose width doubles, its norm after each convolution;
PyTorch's initialisation; the regression in float64; seeded generators; the set after the last step, not the best on
test.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddbench import CondensedSet, Method, Recipe, RunContext, State
from ddbench.blocks.adam import Lamb
from ddbench.blocks.features import chunk_size, embed
from ddbench.blocks.initial import class_slots, first_images
from ddbench.blocks.moved import how_far, image_change
from ddbench.blocks.parametrize import Parametrisation
from ddbench.blocks.ridge import ridge_weights
from ddbench_plugins.frepo.params import FRePoParams
from ddbench_plugins.frepo.pool import Pool

UPDATES = {10: 1_000, 100: 2_000, 200: 20_000, 400: 5_000, 500: 5_000, 1000: 10_000, 2000: 40_000}
"""Images of a set → updates of a student (authors' table); between its entries the nearest smaller one's."""
WARMUP, LR_STUDENT, BATCH_STUDENT = 500, 3e-4, 500


class FRePo(Method[FRePoParams]):
    """Learns images and labels."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from ``random``'s images, or what ``init`` says, with their centred one-hot labels."""
        p, self.K = self.params, ctx.dataset.classes  # C in the paper
        self.form = Parametrisation.of(p)
        self.classes = class_slots(ctx, self.form.times)
        self.start = self.form.encode(first_images(ctx, p.init, self.form.times))
        self.mirrored = p.mirror == "on" or (p.mirror == "auto" and ctx.dataset.flip and ctx.dataset.channels > 1)
        self.first_labels = self.centred(self.classes) / math.sqrt(self.K / 10)
        self.images, self.labels = self.start.clone(), self.first_labels.clone()
        self.lamb = Lamb([self.images, self.labels], p.lr)
        self.pool = Pool(lambda i: self.build(ctx, i), p.pool, p.max_age, p.lr_net) if p.networks == "pool" else None
        self.chunk = chunk_size(self.build(ctx, 0).eval(), self.form.decode(self.start[:1])[:1])

    def build(self, ctx: RunContext, i: int) -> nn.Module:
        """A fresh network with the pool's norm, in the memory format that PyTorch's operations on CPUs are fast in.

        ConvNets with instance norm have operations of their own, which want the other format.
        """
        net = ctx.build_model(self.params.network(ctx.arch), seed=ctx.seed("net", str(i)))
        if ctx.device.type == "cpu" and self.params.pool_norm != "in":
            return net.to(memory_format=torch.channels_last)
        return net

    def centred(self, classes: Tensor) -> Tensor:
        """Classes [n] → one-hot minus 1/C, [n, C]."""
        return functional.one_hot(classes, self.K).to(self.start) - 1 / self.K

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One network, one real batch, one update of images and labels, one update of the network by them."""
        p, drawn = self.params, 0
        if self.pool is not None:
            drawn = int(torch.randint(p.pool, (1,), generator=ctx.generator))
        net = self.build(ctx, ctx.step).eval() if self.pool is None else self.pool.members[drawn].net
        index = torch.randperm(len(ctx.train), generator=ctx.generator)[: p.batch_real]
        targets = self.centred(ctx.train.labels[index.to(self.classes.device)])
        stored, labels = (one.detach().requires_grad_() for one in (self.images, self.labels))
        loss = self.loss(net.requires_grad_(False), ctx.train.images(index), targets, self.form.decode(stored), labels)
        gradients = torch.autograd.grad(loss, (stored, labels))
        self.lamb.lr = p.lr * cosine(ctx.step / p.iterations, p.lr_end)
        self.lamb.step(gradients)
        if self.pool is not None:
            net.requires_grad_(True)
            self.pool.train(drawn, *self.seen(ctx))
        return {"loss": loss.item()}

    def loss(self, net: nn.Module, real: Tensor, targets: Tensor, syn: Tensor, labels: Tensor) -> Tensor:
        """How far predictions of real images are from their classes, and labels from choosing one."""
        with torch.no_grad():
            features = embed(net, real, self.chunk)
        shown, said = (torch.cat([syn, syn.flip(-1)]), labels.repeat(2, 1)) if self.mirrored else (syn, labels)
        weights = ridge_weights(embed(net, shown, self.chunk).double(), said.double(), self.params.ridge, relative=True)
        gaps = features.double() @ weights - targets.double()
        return (0.5 * gaps.square().sum(1).mean()).to(labels) + label_margin(labels)

    def seen(self, ctx: RunContext) -> tuple[Tensor, Tensor]:
        """What a network is trained on: the images as they are now, or a random part of many."""
        images, labels, most = self.form.decode(self.images), self.labels, self.params.batch_net
        if len(images) <= most:
            return images, labels
        index = torch.randperm(len(images), generator=ctx.generator)[:most].to(images.device)
        return images[index], labels[index]

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The images with their learned labels, to be regressed on by a network without norm."""
        n = len(self.labels)
        recipe = Recipe(
            loss="mse", lr=LR_STUDENT, updates=UPDATES[max((k for k in UPDATES if k <= n), default=min(UPDATES))],
            batch=min(n, BATCH_STUDENT), weight_decay=0.0, augmentation="one_for_all", optimiser="adam",
            schedule="cosine", lr_end=0.01, warmup=WARMUP, norm="nn",
        )  # fmt: skip
        found = self.form.condensed(self.images, self.labels.float(), ctx.train.preprocess, classes=self.classes)
        return replace(found, label_space="centred", recipe=recipe)

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """How far images and labels moved."""
        moved = how_far(ctx, self.form, self.start, self.images)
        return {**moved, "label_change": image_change(self.first_labels, self.labels)}

    def state_dict(self) -> State:
        """Images, labels, LAMB's moments, and the pool."""
        pool = None if self.pool is None else self.pool.state()
        return {"images": self.images, "labels": self.labels, "lamb": self.lamb.state(), "pool": pool}

    def load_state_dict(self, state: State) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.images.copy_(state["images"])
        self.labels.copy_(state["labels"])
        self.lamb.load(state["lamb"])
        if self.pool is not None:
            self.pool.load(state["pool"])


def label_margin(labels: Tensor) -> Tensor:
    """mean_i [ −min(y_i¹ − y_i², 1/C) ]: labels [n, C] are asked to prefer one class by 1/C, and no more than that."""
    largest = labels.topk(2, dim=1).values
    return -(largest[:, 0] - largest[:, 1]).clamp_max(1 / labels.shape[1]).mean()


def cosine(share: float, end: float) -> float:
    """From 1 at ``share`` 0 of the way down to ``end``."""
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * share))
