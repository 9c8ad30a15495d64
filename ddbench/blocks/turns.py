"""Optimisers whose classes take turns, in one pass; and a learning rate that falls on plateaus.

The loops of IDM, DANCE and NCFM step one tensor of all classes once for each class. A class's loss depends on its own
images alone, so that classes meet in the optimiser alone: its momentum (moments, weight decay) keeps moving a class
while others have their turn. Two ways to compute that, both of them exact:

- An optimiser for each class. Every class makes one step in a pass, so its step count is everyone's, and all of them
  are one step of the whole tensor by the gradient of the sum.
- One optimiser of all, ``shared``. Class p finds its images after p steps without gradient, has its own, and K − 1 − p
  more without. Nothing of it depends on what other classes find, so that all gradients come from one pass over the
  images as each class finds them.

Symbols: K classes, m stored images, class-major; v momentum, μ its factor, η the rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Gradients = Callable[[Tensor], Tensor]
"""What is stored, as each class finds it at its turn [m, …] → the gradient of each class's loss there, likewise."""


class Turns:
    """What is stored, and how it moves.

    Args:
        value: [m, …], class-major.
        counts: Stored images of each class, K numbers.
        lr: η.
        shared: One optimiser for all classes, instead of one for each.

    Attributes:
        value: As it is now.
        lr: η, which may change between passes.
    """

    def __init__(self, value: Tensor, counts: Sequence[int], lr: float, *, shared: bool) -> None:
        self.value = value
        self.counts = list(counts)
        self.lr = lr
        self.shared = shared

    def take(self, gradients: Gradients) -> None:
        """A pass: every class makes one step, in their order."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """All that :meth:`take` changes, and η."""
        raise NotImplementedError

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        raise NotImplementedError


class SGDTurns(Turns):
    """SGD with momentum: v ← μ v + g, x ← x − η v (g = 0 for all but the class whose turn it is).

    Args:
        value: [m, …].
        counts: Stored images of each class.
        lr: η.
        momentum: μ in [0, 1).
        shared: See :class:`Turns`.
    """

    def __init__(self, value: Tensor, counts: Sequence[int], lr: float, momentum: float, *, shared: bool) -> None:
        super().__init__(value, counts, lr, shared=shared)
        self.momentum = momentum
        self.velocity = torch.zeros_like(value)
        last = len(counts) - 1 if shared else 0
        before = [p if shared else 0 for p, n in enumerate(counts) for _ in range(n)]
        self._after = self._factors([momentum ** (last - p) for p in before])
        self._until = self._factors([momentum ** (p + 1) for p in before])
        self._way_before = self._factors([_sum_of_powers(momentum, p) for p in before])
        self._way_after = self._factors([1 + _sum_of_powers(momentum, last - p) for p in before])

    def _factors(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64).to(self.value).view(-1, *[1] * (self.value.ndim - 1))

    def take(self, gradients: Gradients) -> None:
        """A pass, in closed form: p steps without gradient move x by −η v (μ + … + μᵖ)."""
        seen = self.value - self.lr * self._way_before * self.velocity if self.shared else self.value
        velocity = self._until * self.velocity + gradients(seen)
        self.value = seen - self.lr * self._way_after * velocity
        self.velocity = self._after * velocity

    def state(self) -> dict[str, Any]:
        """Value, momentum and η."""
        return {"value": self.value, "velocity": self.velocity, "lr": self.lr}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        self.value, self.velocity = state["value"].to(self.value), state["velocity"].to(self.velocity)
        self.lr = float(state["lr"])


def _sum_of_powers(base: float, n: int) -> float:
    """Base + base² + … + baseⁿ."""
    return sum(base ** (i + 1) for i in range(n))


class AdamWTurns(Turns):
    """AdamW (Loshchilov & Hutter, ICLR 2019), as ``torch.optim.AdamW``.

    Args:
        value: [m, …].
        counts: Stored images of each class.
        lr: η.
        decay: λ: x ← (1 − η λ) x in every step.
        betas: Decay rates of both moments.
        eps: ε.
        shared: See :class:`Turns`.
    """

    def __init__(
        self, value: Tensor, counts: Sequence[int], lr: float, decay: float, *, shared: bool,
        betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
    ) -> None:  # fmt: skip
        super().__init__(value, counts, lr, shared=shared)
        self.decay, self.betas, self.eps = decay, betas, eps
        self.first, self.second = torch.zeros_like(value), torch.zeros_like(value)
        self.steps = 0
        """Those that every image has made."""

    @torch.no_grad()
    def take(self, gradients: Gradients) -> None:
        """A pass; shared, the steps without gradient are made one by one, those of classes before and after apart."""
        x, m, v = self.value.clone(), self.first.clone(), self.second.clone()
        begins = [sum(self.counts[:p]) for p in range(len(self.counts) + 1)] if self.shared else [0, len(x)]
        turns = len(begins) - 1
        for p in range(turns - 1):
            rest = slice(begins[p + 1], None)
            self._move(x[rest], m[rest], v[rest], None, self.steps + p + 1)
        with torch.enable_grad():
            gradient = gradients(x.clone())
        for p in range(turns):
            own, earlier = slice(begins[p], begins[p + 1]), slice(0, begins[p])
            self._move(x[own], m[own], v[own], gradient[own], self.steps + p + 1)
            if p:
                self._move(x[earlier], m[earlier], v[earlier], None, self.steps + p + 1)
        self.value, self.first, self.second = x, m, v
        self.steps += turns

    def _move(self, x: Tensor, m: Tensor, v: Tensor, gradient: Tensor | None, t: int) -> None:
        """Step number t of some of the images, in place; None: without gradient."""
        one, two = self.betas
        x.mul_(1 - self.lr * self.decay)
        m.mul_(one)
        v.mul_(two)
        if gradient is not None:
            m.add_(gradient, alpha=1 - one)
            v.addcmul_(gradient, gradient, value=1 - two)
        root = v.sqrt().div_(math.sqrt(1 - two**t)).add_(self.eps)
        x.addcdiv_(m, root, value=-self.lr / (1 - one**t))

    def state(self) -> dict[str, Any]:
        """Value, moments, steps and η."""
        return {"value": self.value, "first": self.first, "second": self.second, "steps": self.steps, "lr": self.lr}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        self.value, self.first, self.second = (
            state[name].to(now) for name, now in (("value", self.value), ("first", self.first), ("second", self.second))
        )
        self.steps, self.lr = int(state["steps"]), float(state["lr"])


class Plateau:
    """When a learning rate falls, as ``torch.optim.lr_scheduler.ReduceLROnPlateau`` with its defaults.

    Args:
        factor: What the rate is multiplied by.
        patience: So many values in a row may fail to be lower than the best by a share of 1e-4.
    """

    def __init__(self, factor: float, patience: int) -> None:
        self.factor, self.patience = factor, patience
        self.best, self.bad = math.inf, 0

    def rate(self, lr: float, loss: float) -> float:
        """The rate after a loss.

        Args:
            lr: The rate until now.
            loss: The next value.
        """
        if loss < self.best * (1 - 1e-4):
            self.best, self.bad = loss, 0
            return lr
        self.bad += 1
        if self.bad <= self.patience:
            return lr
        self.bad = 0
        return lr * self.factor if lr * (1 - self.factor) > 1e-8 else lr

    def state(self) -> dict[str, Any]:
        """All that :meth:`rate` changes."""
        return {"best": self.best, "bad": self.bad}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        self.best, self.bad = float(state["best"]), int(state["bad"])
