"""The pool: networks of different ages, one of which is used, trained by one update, and now and then replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddbench.blocks.adam import Adam

Build = Callable[[int], nn.Module]
"""Number of a network among all that were ever in the pool → the network, freshly initialised."""


@dataclass(slots=True)
class Member:
    """A network of the pool.

    Attributes:
        net: In eval mode between updates.
        adam: Its optimiser.
        age: Updates that count towards its replacement.
    """

    net: nn.Module
    adam: Adam
    age: int


class Pool:
    """M networks; network i of the first ones counts as i · K / M updates old, so that they are not replaced together.

    Args:
        build: Makes networks.
        size: M.
        max_age: K; a network that has had more updates is replaced by a fresh one.
        lr: Adam's.
    """

    def __init__(self, build: Build, size: int, max_age: int, lr: float) -> None:
        self._build, self._max_age, self._lr = build, max_age, lr
        self.made = 0
        """Networks that were ever in the pool."""
        self.members = [self._fresh(i * max_age // size) for i in range(size)]

    def _fresh(self, age: int = 0) -> Member:
        net = self._build(self.made).eval()
        self.made += 1
        return Member(net, Adam(list(net.parameters()), self._lr), age)

    def train(self, i: int, images: Tensor, targets: Tensor) -> None:
        """One update of network i by the mean squared error of its outputs; then it is older, or new.

        Args:
            i: Which.
            images: [n, C, H, W].
            targets: [n, K].
        """
        member = self.members[i]
        loss = functional.mse_loss(member.net.train()(images), targets)
        member.adam.step(torch.autograd.grad(loss, member.adam.parameters))
        member.net.eval()
        member.age += 1
        if member.age > self._max_age:
            self.members[i] = self._fresh()

    def state(self) -> dict[str, Any]:
        """Parameters, statistics of batch norm, moments and ages of all networks."""
        members = [
            {"net": dict(one.net.state_dict()), "adam": one.adam.state(), "age": one.age} for one in self.members
        ]
        return {"made": self.made, "members": members}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        self.made = state["made"]
        for one, kept in zip(self.members, state["members"], strict=True):
            one.net.load_state_dict(kept["net"])
            one.adam.load(kept["adam"])
            one.age = kept["age"]
