"""What a student's training is made of besides its gradients: an optimiser's step, and the adjoint of that step.

A step takes the gradient g of the student's loss at θ to new parameters θ' and new moments. :meth:`Inner.move` makes it
(differentiably, for graphs that are kept); :meth:`Inner.pull` takes ∂L/∂θ' and ∂L/∂moments' back to g, to the moments
before, and to the step size; to θ all of ∂L/∂θ' goes on as it is. Symbols: [P] flat parameters, i the number of a step
from 0, t = i + 1, β the step size.

    SGD     v' = μ v + g                                        θ' = θ − β v'
    Adam    m' = β₁ m + (1 − β₁) g    v' = β₂ v + (1 − β₂) g²   θ' = θ − β (m' / (1 − β₁ᵗ)) / (√(v' / (1 − β₂ᵗ)) + ε)

Adam is Kingma & Ba's (ICLR 2015), with moments that begin at 0. The derivative of the root at v' = 0 is taken to be 0:
a parameter that has had no gradient yet gets none through its second moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

Moments = tuple[Tensor, ...]
"""What an optimiser remembers from step to step, [P] each."""

Moved = tuple[Tensor, Moments]
"""θ' and moments'."""


class Pulled(NamedTuple):
    """Gradients of the outer loss in what a step was made from.

    Attributes:
        gradient: In g, [P].
        moments: In the moments before the step.
        rate: In its step size, a scalar.
    """

    gradient: Tensor
    moments: Moments
    rate: Tensor


class Inner(Protocol):
    """An optimiser of a student, with its step size: a number, or [N] for N steps."""

    @property
    def lr(self) -> float | Tensor:
        """β of all steps, or [N], of each of them."""
        ...

    @property
    def learned(self) -> bool:
        """Whether the gradient in β is wanted."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether :meth:`pull` looks at the moments after its step, so that they must be kept."""
        ...

    def begin(self, theta: Tensor) -> Moments:
        """Moments before the first step."""
        ...

    def move(
        self, theta: Tensor, moments: Moments, gradient: Tensor, rate: Tensor, step: int
    ) -> tuple[Tensor, Moments]:
        """θ' and the moments after step number ``step``; differentiable in all tensors."""
        ...

    def pull(
        self, adjoint: Tensor, carried: Moments, after: Moments, gradient: Tensor, rate: Tensor, step: int
    ) -> Pulled:
        """Back through a step.

        Args:
            adjoint: ∂L/∂θ', [P].
            carried: ∂L/∂moments', from the steps after this one.
            after: Moments after the step; empty where they are not remembered.
            gradient: g.
            rate: β of this step.
            step: Its number.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SGDInner:
    """Gradient descent with heavy-ball momentum.

    Attributes:
        lr: β, or [N].
        momentum: μ, in [0, 1).
        learned: Whether the gradient in β is wanted; without it that is 0, and no velocity need be kept.
    """

    lr: float | Tensor
    momentum: float = 0.0
    learned: bool = True

    @property
    def remembers(self) -> bool:
        """For the gradient in β alone."""
        return self.learned

    def begin(self, theta: Tensor) -> Moments:
        """No velocity."""
        return (torch.zeros_like(theta),)

    def move(
        self, theta: Tensor, moments: Moments, gradient: Tensor, rate: Tensor, step: int
    ) -> tuple[Tensor, Moments]:
        """θ − β v', and v'."""
        velocity = self.momentum * moments[0] + gradient
        return theta - rate * velocity, (velocity,)

    def pull(
        self, adjoint: Tensor, carried: Moments, after: Moments, gradient: Tensor, rate: Tensor, step: int
    ) -> Pulled:
        """Everything passes through v'."""
        of_velocity = carried[0] - rate * adjoint
        of_rate = -torch.dot(adjoint, after[0]) if self.learned else torch.zeros_like(rate)
        return Pulled(of_velocity, (self.momentum * of_velocity,), of_rate)


@dataclass(frozen=True, slots=True, eq=False)
class AdamInner:
    """Adam.

    Attributes:
        lr: β, or [N].
        betas: β₁ and β₂.
        eps: ε, outside the root.
        learned: Whether the gradient in β is wanted; without it that is 0.
    """

    lr: float | Tensor
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    learned: bool = True

    @property
    def remembers(self) -> bool:
        """The step is not linear in its moments."""
        return True

    def begin(self, theta: Tensor) -> Moments:
        """Both 0."""
        return torch.zeros_like(theta), torch.zeros_like(theta)

    def move(
        self, theta: Tensor, moments: Moments, gradient: Tensor, rate: Tensor, step: int
    ) -> tuple[Tensor, Moments]:
        """As above."""
        (one, two), (first, second) = self.betas, moments
        first = one * first + (1 - one) * gradient
        second = two * second + (1 - two) * gradient * gradient
        scale, scaled = 1 - one ** (step + 1), second / (1 - two ** (step + 1))
        return theta - rate * ((first / scale) / (_root(scaled) + self.eps)), (first, second)

    def pull(
        self, adjoint: Tensor, carried: Moments, after: Moments, gradient: Tensor, rate: Tensor, step: int
    ) -> Pulled:
        """Through both moments."""
        (one, two), (first, second) = self.betas, after
        scale, width = 1 - one ** (step + 1), 1 - two ** (step + 1)
        root = (second / width).sqrt()
        divisor = root + self.eps
        direction = (first / scale) / divisor
        of_rate = -torch.dot(adjoint, direction) if self.learned else torch.zeros_like(rate)
        of_direction = -rate * adjoint
        slope = torch.where(second > 0, 0.5 / (width * root), torch.zeros_like(root))  # of the root
        of_first = carried[0] + of_direction / (scale * divisor)
        of_second = carried[1] - of_direction * direction / divisor * slope
        of_gradient = (1 - one) * of_first + 2 * (1 - two) * gradient * of_second
        return Pulled(of_gradient, (one * of_first, two * of_second), of_rate)


def _root(x: Tensor) -> Tensor:
    """√x whose derivative at 0 is 0."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, torch.ones_like(x)).sqrt(), torch.zeros_like(x))
