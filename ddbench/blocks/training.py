"""The tensor trainer: a set that lives in memory, one index per batch, no DataLoader; resumable to the bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddbench.blocks.adam import Adam, Lamb
from ddbench.blocks.functional import is_fused
from ddbench.blocks.schedule import Kind, Schedule
from ddbench.blocks.sgd import SGD

Fetch = Callable[[Tensor], Tensor]
"""Indices [b] on the CPU → images [b, C, H, W] on the device."""


Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(images [b, C, H, W], classes [b]) → images, and probabilities [b, K]."""

PART = 64 * 28 * 28
"""Pixels of a channel that a fused network, which couples no images, takes at once: equal but for the order of sums, as
fast, and at a quarter of the memory of 256 images of 28 × 28 (docs/explanation/speed.md)."""

Watch = Callable[[Tensor, Tensor], None]
"""(indices [b] on the CPU, logits [b, K] detached): told what the network says of the images of a batch."""

Step = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""(model, images [b, C, H, W], targets [b]) → loss; updates the model in place."""


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """How a network is trained.

    Attributes:
        updates: Length of the training.
        lr: Learning rate; what becomes of it from update to update: :class:`ddbench.blocks.schedule.Schedule`.
        batch: Images per update; an epoch's remainder is a batch of its own.
        schedule: How the learning rate falls; ``step`` drops with a fresh optimiser (momentum, moments).
        drop_after: As in :class:`Schedule`, as are ``drops``, ``drop_factor``, ``lr_end``, ``warmup`` and ``lrs``.
        momentum: SGD momentum.
        weight_decay: Added to the gradient; of ``adamw`` and ``lamb``, to the step.
        nesterov: Whether the momentum is Nesterov's.
        loss: ``ce``, or ``mse`` between logits and targets (mean over classes).
        optimiser: What turns gradients into steps: :mod:`ddbench.blocks.sgd`, :mod:`ddbench.blocks.adam`.
        betas: Decay rates of both moments of ``adam``, ``adamw`` and ``lamb``.
    """

    updates: int
    lr: float
    batch: int
    schedule: Kind = "constant"
    drop_after: int = 0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False
    loss: Literal["ce", "mse"] = "ce"
    optimiser: Literal["sgd", "adam", "adamw", "lamb"] = "sgd"
    betas: tuple[float, float] = (0.9, 0.999)
    drops: tuple[float, ...] = ()
    drop_factor: float = 0.1
    lr_end: float = 0.0
    warmup: int = 0
    lrs: tuple[float, ...] = ()

    @property
    def rates(self) -> Schedule:
        """The learning rate of each update."""
        return Schedule(
            self.updates, self.lr, self.schedule, self.drop_after, self.drops, self.drop_factor, self.lr_end,
            self.warmup, self.lrs,
        )  # fmt: skip

    def optimises(self, parameters: Sequence[Tensor], lr: float) -> SGD | Adam:
        """A fresh optimiser of ``parameters``."""
        decay = self.weight_decay
        if self.optimiser == "sgd":
            return SGD(parameters, lr, momentum=self.momentum, weight_decay=decay, nesterov=self.nesterov)
        if self.optimiser == "lamb":
            return Lamb(parameters, lr, betas=self.betas, weight_decay=decay)
        return Adam(parameters, lr, betas=self.betas, weight_decay=decay, decoupled=self.optimiser == "adamw")


class Trainer:
    """Trains one network; ``state`` and ``load`` stop and continue it anywhere.

    Args:
        model: The network, in train mode on the device.
        fetch: Gives the images of a batch, augmented or not.
        targets: [n] int64 classes, or [n, K] float32 probabilities, on the device.
        recipe: How it is trained.
        order: Generator of the epochs' permutations; None keeps the order of the set.
        weights: [n] loss weights ≥ 0 on the device, or None. The loss is Σ wᵢ lᵢ / Σ wᵢ over a batch, and 0 where all
            of a batch weigh nothing.
        mix: Applied to every batch's images and targets before the loss.
        step: Replaces the gradient step: gets model, images and targets of a batch, updates the model in place, and
            returns the loss. Schedule, loss, weights, momentum and decay are then its own affair.
        watch: Is told the logits that every update's gradient comes from, those before the update; not with ``step``.
    """

    def __init__(
        self,
        model: nn.Module,
        fetch: Fetch,
        targets: Tensor,
        recipe: TrainingRecipe,
        *,
        order: torch.Generator | None,
        weights: Tensor | None = None,
        mix: Mix | None = None,
        step: Step | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.model = model
        self.fetch = fetch
        self.targets = targets
        self.recipe = recipe
        self.order = order
        self.weights = weights
        self.mix = mix
        self.step = step
        self.watch = watch
        self.done = 0
        self._rest = torch.empty(0, dtype=torch.int64)
        self._rates = recipe.rates
        self._optimiser = self._fresh_optimiser()

    def _fresh_optimiser(self) -> SGD | Adam:
        learned = [one for one in self.model.parameters() if one.requires_grad]
        return self.recipe.optimises(learned, self._rates.rate(self.done))

    def update(self) -> Tensor:
        """One update; returns the batch's loss, a detached scalar on the device."""
        if self._rates.starts_afresh(self.done):
            self._optimiser = self._fresh_optimiser()
        self._optimiser.lr = self._rates.rate(self.done)
        index = self._next_batch()
        images, on_device = self.fetch(index), index.to(self.targets.device)
        targets = self.targets[on_device]
        if self.step is not None:
            self.done += 1
            return self.step(self.model, images, targets)
        if self.mix is not None:
            images, targets = self.mix(images, targets)
        weights = None if self.weights is None else self.weights[on_device]
        loss, gradients = self._gradients(index, images, targets, weights)
        self._optimiser.step(gradients)
        self.done += 1
        return loss

    def _gradients(
        self, index: Tensor, images: Tensor, targets: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Sequence[Tensor | None]]:
        """The loss of a batch and its gradients; a fused network takes large batches in parts, at their memory."""
        parameters, size = self._optimiser.parameters, len(images)
        if is_fused(self.model):
            size = max(1, PART // images[0, 0].numel())
        whole: float | Tensor = len(images)
        if weights is not None:
            whole = weights.sum()
            whole = torch.where(whole > 0, whole, torch.ones_like(whole))
        total = torch.zeros((), device=images.device)
        found: list[Tensor | None] = [None] * len(parameters)
        for i in range(0, len(images), size):
            part = slice(i, i + size)
            share = None if weights is None else weights[part]
            logits = self.model(images[part])
            if self.watch is not None:
                self.watch(index[part], logits.detach())
            loss = self._sum(logits, targets[part], share) / whole
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            total = total + loss.detach() if i else loss.detach()
            found = [a if b is None else b if a is None else a + b for a, b in zip(found, gradients, strict=True)]
        return total, found

    def _next_batch(self) -> Tensor:
        if len(self._rest) == 0:
            n = len(self.targets)
            self._rest = torch.arange(n) if self.order is None else torch.randperm(n, generator=self.order)
        index, self._rest = self._rest[: self.recipe.batch], self._rest[self.recipe.batch :]
        return index

    def _sum(self, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        if self.recipe.loss == "mse":
            per_image = (logits - targets).square().mean(dim=1)
        else:
            per_image = functional.cross_entropy(logits, targets, reduction="none")
        return per_image.sum() if weights is None else (weights * per_image).sum()

    def state(self) -> dict[str, Any]:
        """Everything that ``update`` changes."""
        return {
            "done": self.done,
            "model": dict(self.model.state_dict()),
            **self._optimiser.state(),
            "rest": self._rest,
            "order": None if self.order is None else self.order.get_state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state``."""
        self.done = state["done"]
        self.model.load_state_dict(state["model"])
        self._optimiser = self._fresh_optimiser()
        self._optimiser.load(state)
        self._rest = state["rest"]
        if self.order is not None:
            self.order.set_state(state["order"])
