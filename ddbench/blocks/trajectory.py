"""The parts of trajectory matching: the loss, the segment, the student's batches, and what is learned.

The loss is how far from the expert the student ends (Cazenavette et al., CVPR 2022, eq. 3). Symbols: N student steps,
M snapshots to the target, T⁻ and T⁺ the bounds of the start, n synthetic images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ddbench.blocks import unroll
from ddbench.blocks.augment import DSA
from ddbench.blocks.experts import Experts
from ddbench.blocks.functional import flatten

MIN_LR = 1e-5
"""Smallest step size of the student; below it SGD on a positive quantity has overshot."""


def match(
    model: nn.Module,
    start: Tensor | Sequence[Tensor],
    target: Tensor | Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    lr: float | Tensor,
    batches: Tensor | Sequence[Tensor],
    **options: Any,
) -> unroll.Unrolled:
    """The normalised distance ‖θ_N − θ*‖² / ‖θ_0 − θ*‖² after N student steps, and its gradients.

    Args:
        model: The student's network.
        start: θ_0, the expert's snapshot at t.
        target: θ*, the expert's snapshot at t + M.
        images: [n, C, H, W].
        labels: [n] int64 classes or [n, K] float logits.
        lr: Step size of the student.
        batches: N index tensors [b].
        options: As :func:`ddbench.blocks.unroll.backward`.

    Raises:
        ValueError: If start and target are equal: the distance has no scale then.
    """
    begin = flatten(start)
    outer = distance_to(flatten(target), begin)
    return unroll.backward(model, begin, batches, images, labels, lr, outer=outer, **options)


def distance_to(target: Tensor, start: Tensor) -> unroll.Outer:
    """θ → ‖θ − θ*‖² / ‖θ_0 − θ*‖²: how far from the target, where standing still is 1.

    Args:
        target: θ*, [P].
        start: θ_0, [P].

    Raises:
        ValueError: If the two are equal: the distance has no scale then.
    """
    scale = (start - target).square().sum()
    if float(scale) == 0.0:
        raise ValueError("the expert did not move between start and target: are the snapshots distinct tensors?")

    def distance(theta: Tensor) -> Tensor:
        return (theta - target).square().sum() / scale

    return distance


def matching_loss(
    model: nn.Module,
    start: Tensor,
    target: Tensor,
    images: Tensor,
    labels: Tensor,
    lr: float,
    batches: Sequence[Tensor],
    augment: unroll.Augment | None = None,
) -> float:
    """The loss of :func:`match` without its gradients, at a third of the cost; infinite where the student diverges."""
    reached = unroll.walk(model, start, batches, images, labels, lr, augment=augment)
    loss = float(distance_to(target, start)(reached))
    return loss if math.isfinite(loss) else math.inf


def segment(
    experts: Experts, *, first: int, bound: int, length: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A stretch of a random expert's trajectory: (θ*_t, θ*_{t+M}), both [P], t ~ U{first … bound − 1}.

    Args:
        experts: The pool.
        first: T⁻.
        bound: T⁺, exclusive as in the authors' code.
        length: M.
        generator: Of the CPU.
    """
    expert = int(torch.randint(len(experts), (1,), generator=generator))
    t = int(torch.randint(first, bound, (1,), generator=generator))
    return experts.snapshot(expert, t), experts.snapshot(expert, t + length)


def growing(step: int, first: int, last: int, steps: int) -> int:
    """The bound of a window that moves from easy to hard: U = min(T⁺, T + ⌊(T⁺ − T) · step / K⌋) (DATM, sec. 3.3).

    Args:
        step: Outer steps done.
        first: T.
        last: T⁺.
        steps: K.
    """
    return min(last, first + (last - first) * step // steps)


def student_batches(n: int, size: int, steps: int, generator: torch.Generator) -> list[Tensor]:
    """The student's batches: permutations of the set, cut into chunks and used from the end, a remainder thus first.

    Args:
        n: Images in the set.
        size: Images per batch; 0: all of them, every time.
        steps: N.
        generator: Of the CPU.
    """
    chunks: list[Tensor] = []
    batches = []
    for _ in range(steps):
        if not chunks:
            chunks = list(torch.split(torch.randperm(n, generator=generator), size or n))
        batches.append(chunks.pop())
    return batches


def replayed(dsa: DSA | None, batches: Sequence[Tensor], generator: torch.Generator) -> unroll.Augment | None:
    """An augmentation that gives every step of the student the same draw however often it is asked."""
    if dsa is None:
        return None
    draws = [dsa.draw(generator, n=len(batch)) for batch in batches]
    augmenter = dsa

    def augment(images: Tensor, step: int) -> Tensor:
        return augmenter(images, draws[step])

    return augment


@dataclass(slots=True)
class Learned:
    """A tensor that plain SGD with momentum changes: v ← μ v + g, x ← x − lr v.

    Attributes:
        value: The tensor.
        lr: Learning rate.
        momentum: μ.
        clamp: Applied to the value after each step.
        velocity: v; zeros at first.
    """

    value: Tensor
    lr: float
    momentum: float
    clamp: Callable[[Tensor], Tensor] = lambda value: value
    velocity: Tensor | None = None

    def step(self, gradient: Tensor) -> None:
        """One SGD step."""
        before = torch.zeros_like(self.value) if self.velocity is None else self.velocity
        self.velocity = self.momentum * before + gradient
        self.value = self.clamp(self.value - self.lr * self.velocity)

    def state(self) -> dict[str, Tensor | None]:
        """Value and velocity."""
        return {"value": self.value, "velocity": self.velocity}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        like = self.value
        self.value = state["value"].to(like)
        self.velocity = None if state["velocity"] is None else state["velocity"].to(like)


def positive(lr: Tensor) -> Tensor:
    """Keep a step size above :data:`MIN_LR`."""
    return lr.clamp_min(MIN_LR)
