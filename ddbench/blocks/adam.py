"""Adam, AdamW and LAMB on a list of tensors, with the interface of :class:`ddbench.blocks.sgd.SGD`.

    m ← β₁ m + (1 − β₁) g      v ← β₂ v + (1 − β₂) g²      u = (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)

Adam (Kingma & Ba, ICLR 2015): θ ← θ − η u. LAMB (You et al., ICLR 2020): θ ← θ − η (‖θ‖ / ‖u‖) u for each tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class Adam:
    """Adam, to the bit as ``torch.optim.Adam(foreach=False)``; with ``decoupled`` as its ``AdamW``.

    Args:
        parameters: What is changed, in place.
        lr: η.
        betas: β₁ and β₂.
        eps: ε.
        weight_decay: λ, added to the gradient as λ θ; ``decoupled``: θ ← (1 − η λ) θ before the step.
        decoupled: How weights decay.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.decoupled = decoupled
        self.steps = [0] * len(self.parameters)
        """t of each parameter."""
        self.first = [torch.zeros_like(one) for one in self.parameters]
        """m of each parameter."""
        self.second = [torch.zeros_like(one) for one in self.parameters]
        """v of each parameter."""

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """One update.

        Args:
            gradients: Of the parameters, in their order; None: the parameter and its moments stay as they are.
        """
        for i, gradient in enumerate(gradients):
            if gradient is not None:
                self._move(i, gradient)

    def _move(self, i: int, gradient: Tensor) -> None:
        parameter, decay = self.parameters[i], self.weight_decay
        if decay and self.decoupled:
            parameter.mul_(1 - self.lr * decay)
        elif decay:
            gradient = gradient.add(parameter, alpha=decay)
        scale, root = self._moments(i, gradient)
        parameter.addcdiv_(self.first[i], root, value=-self.lr / scale)

    def _moments(self, i: int, gradient: Tensor) -> tuple[float, Tensor]:
        """New moments; 1 − β₁ᵗ, and √v̂ + ε."""
        (one, two), first, second = self.betas, self.first[i], self.second[i]
        self.steps[i] += 1
        first.lerp_(gradient, 1 - one)
        second.mul_(two).addcmul_(gradient, gradient, value=1 - two)
        root = (second.sqrt() / math.sqrt(1 - two ** self.steps[i])).add_(self.eps)
        return 1 - one ** self.steps[i], root

    def state(self) -> dict[str, Any]:
        """All that ``step`` changes but the parameters."""
        return {"lr": self.lr, "steps": list(self.steps), "first": list(self.first), "second": list(self.second)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        self.lr, self.steps = float(state["lr"]), [int(t) for t in state["steps"]]
        for kept, mine in ((state["first"], self.first), (state["second"], self.second)):
            for old, new in zip(kept, mine, strict=True):
                new.copy_(old)


class Lamb(Adam):
    """LAMB with bias-corrected moments and the trust ratio as it is: never clamped, 1 where a norm is 0.

    Args:
        parameters: What is changed, in place; each tensor has one trust ratio.
        lr: η.
        betas: β₁ and β₂.
        eps: ε.
        weight_decay: λ: the direction is u + λ θ.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _move(self, i: int, gradient: Tensor) -> None:
        parameter = self.parameters[i]
        scale, root = self._moments(i, gradient)
        direction = self.first[i] / (scale * root) + self.weight_decay * parameter
        size, length = torch.linalg.vector_norm(parameter), torch.linalg.vector_norm(direction)
        ratio = torch.where((size > 0) & (length > 0), size / length, torch.ones_like(size))
        parameter.sub_(self.lr * ratio * direction)
