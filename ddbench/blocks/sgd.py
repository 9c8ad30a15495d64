"""Stochastic gradient descent on a list of tensors at once, without the machinery of ``torch.optim``.

Constructing the first optimiser of :mod:`torch.optim` imports ``torch._dynamo``: a second and 160 MB of every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class SGD:
    """Heavy-ball or Nesterov momentum and weight decay, to the bit as ``torch.optim.SGD(foreach=True)``.

    v ← μ v + g + λ θ (at first v = g + λ θ), θ ← θ − η v; with ``nesterov`` θ ← θ − η (g + λ θ + μ v).

    Args:
        parameters: What is changed, in place.
        lr: η.
        momentum: μ.
        weight_decay: λ.
        nesterov: Whether the momentum is Nesterov's.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.buffers: list[Tensor | None] = [None] * len(self.parameters)
        """v of each parameter; None before its first step, and without momentum."""

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """One update.

        Args:
            gradients: Of the parameters, in their order; None: the parameter stays as it is.
        """
        found = [(i, gradient) for i, gradient in enumerate(gradients) if gradient is not None]
        parameters, change = [self.parameters[i] for i, _ in found], [gradient for _, gradient in found]
        if self.weight_decay:
            change = list(torch._foreach_add(change, parameters, alpha=self.weight_decay))
        if self.momentum:
            known = [(v, g) for (i, _), g in zip(found, change, strict=True) if (v := self.buffers[i]) is not None]
            if known:
                velocities = [v for v, _ in known]
                torch._foreach_mul_(velocities, self.momentum)
                torch._foreach_add_(velocities, [g for _, g in known])
            moved = []
            for (i, _), g in zip(found, change, strict=True):
                v = self.buffers[i]
                moved.append(g.clone() if v is None else v)
                self.buffers[i] = moved[-1]
            change = list(torch._foreach_add(change, moved, alpha=self.momentum)) if self.nesterov else moved
        torch._foreach_add_(parameters, change, alpha=-self.lr)

    def state(self) -> dict[str, Any]:
        """All that ``step`` changes but the parameters."""
        return {"lr": self.lr, "momentum": list(self.buffers)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        kept = zip(self.parameters, state["momentum"], strict=True)
        self.lr = state["lr"]
        self.buffers = [None if buffer is None else buffer.to(one) for one, buffer in kept]
