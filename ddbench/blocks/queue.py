"""A queue of networks that learn from real images while images are matched under them (Zhao et al., CVPR 2023)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ddbench.blocks.training import Trainer, TrainingRecipe
from ddbench.core.api import RunContext

FIRST = 3
"""Networks that a queue begins with (IDM, authors' code)."""
WINDOW = 100
"""Batches whose accuracy a network is judged by."""


class Member(Trainer):
    """A network of the queue. Batches are random images, drawn afresh for each.

    Args:
        ctx: The run, whose generator draws the batches.
        net: The network.
        recipe: How it is trained.
    """

    def __init__(self, ctx: RunContext, net: nn.Module, recipe: TrainingRecipe) -> None:
        super().__init__(net, ctx.train.images, ctx.train.labels, recipe, order=None, watch=self._note)
        self._ctx = ctx
        self._hits, self._seen = 0, 0
        self.window: deque[float] = deque(maxlen=WINDOW)
        """Accuracy of the last batches that it learned from, before each update, in [0, 1]."""

    def _next_batch(self) -> Tensor:
        return torch.randperm(len(self.targets), generator=self._ctx.generator)[: self.recipe.batch]

    def _note(self, index: Tensor, logits: Tensor) -> None:
        self._hits += int((logits.argmax(1) == self.targets[index.to(logits.device)]).sum())
        self._seen += len(index)

    def update(self) -> Tensor:
        """One update; its batch joins the window."""
        self._hits, self._seen = 0, 0
        loss = super().update()
        self.window.append(self._hits / self._seen)
        return loss

    @property
    def percent(self) -> float:
        """Accuracy over the window [%]; 0 of a network that has not been trained."""
        return 100.0 * sum(self.window) / len(self.window) if self.window else 0.0

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`update` changes."""
        return super().state() | {"window": list(self.window)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state`."""
        super().load(state)
        self.window = deque(state["window"], maxlen=WINDOW)


class Queue:
    """At most N networks; a new one pushes the oldest out.

    Args:
        ctx: The run; all draws come from its generator.
        size: N.
        recipe: How they are trained.

    Attributes:
        members: The oldest first.
        pushed: Networks that have ever been in it; the next one's number, which seeds it.
    """

    def __init__(self, ctx: RunContext, size: int, recipe: TrainingRecipe) -> None:
        self._ctx = ctx
        self.size, self.recipe = size, recipe
        self.members: list[Member] = []
        self.pushed = 0

    def push(self) -> None:
        """Let a fresh network in."""
        self.members = [*self.members, self._member(self._ctx.seed("net", str(self.pushed)))][-self.size :]
        self.pushed += 1

    def _member(self, seed: int) -> Member:
        return Member(self._ctx, self._ctx.build_model(seed=seed).train(), self.recipe)

    def draw(self) -> Member:
        """One of them, uniformly."""
        return self.members[int(torch.randint(len(self.members), (1,), generator=self._ctx.generator))]

    def train(self, networks: int, updates: int) -> None:
        """Train some of them, drawn without replacement, by so many updates each."""
        if updates:
            for i in torch.randperm(len(self.members), generator=self._ctx.generator)[:networks].tolist():
                for _ in range(updates):
                    self.members[i].update()

    def state(self) -> dict[str, Any]:
        """All networks, with what they are trained by."""
        return {"pushed": self.pushed, "members": [member.state() for member in self.members]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        self.members = [self._member(0) for _ in state["members"]]
        for member, kept in zip(self.members, state["members"], strict=True):
            member.load(kept)
        self.pushed = int(state["pushed"])
