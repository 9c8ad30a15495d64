"""Neural tangent kernels of infinitely wide ReLU networks, of named kernels, in blocks of bounded memory.

Jacot et al., NeurIPS 2018 (NTK parametrisation); Arora et al., NeurIPS 2019 (convolutions). Weights ~ N(0, 1) enter a
layer as σ_w w / √fan_in, biases as σ_b b. With Σ the covariance of pre-activations and Θ the tangent kernel, layers do

    linear:  Σ ← σ_w² A(Σ) + σ_b²,   Θ ← Σ + σ_w² A(Θ)        A: mean over what a unit sees, the same for both images
    ReLU:    Σ, Θ ← E[relu relu], Θ E[relu' relu']             (:mod:`ddbench.blocks.relu_moments`)
    pooling: Σ, Θ ← means over windows of positions of either image

from Σ = xᵀx' / channels, Θ = 0. A convolution sees 3 × 3 positions, zeros outside. Without pooling, all that follows
needs equal positions of both images alone, H·W for a pair; with it, all pairs of positions.

Symbols: m and n images, D pixels or channels, P positions. All is float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ddbench.blocks.kernel_layers import layers
from ddbench.blocks.kernel_names import Kernel
from ddbench.blocks.relu_moments import relu_moments

WEIGHT_VARIANCE = 2.0
"""σ_w²."""
BIAS_VARIANCE = 0.01
"""σ_b²."""
BLOCK = 2**20
"""Entries of one block, 8 MB of float64 in each tensor."""


@dataclass(frozen=True, slots=True)
class Scales:
    """Variances of weights and biases, σ_w² and σ_b²."""

    weight: float = WEIGHT_VARIANCE
    bias: float = BIAS_VARIANCE


def gram(kernel: Kernel, x: Tensor, scales: Scales = Scales(), *, block: int = BLOCK) -> Tensor:
    """Θ(x, x), [n, n] float64: the kernel of a set with itself; differentiable once.

    On the diagonal a pair is one image wherever it moves: its angle is 0 by definition, and its gradient is finite.

    Args:
        kernel: Which.
        x: [n, C, H, W].
        scales: σ_w² and σ_b².
        block: Entries computed at once. Memory is [n, n] and about ten tensors of a block; with gradients, for which
            every block is computed again, twice [n, n] and about thirty.
    """
    return _assembled(kernel, x, x, scales, block, same=True)


def cross(kernel: Kernel, x: Tensor, y: Tensor, scales: Scales = Scales(), *, block: int = BLOCK) -> Tensor:
    """Θ(x, y), [m, n] float64, of two lots of images; differentiable once.

    Args:
        kernel: Which.
        x: [m, C, H, W].
        y: [n, C, H, W].
        scales: σ_w² and σ_b².
        block: As for :func:`gram`.
    """
    return _assembled(kernel, x, y, scales, block, same=False)


def _assembled(kernel: Kernel, x: Tensor, y: Tensor, scales: Scales, block: int, *, same: bool) -> Tensor:
    x, y = x.double(), y.double()
    blocks = _Blocks.of(kernel, x, y, scales, block, same=same)
    if len(blocks.rows) == len(blocks.columns) == 1:
        return theta(kernel, x, y, scales, 0 if same else None)  # keeps its graph
    return cast(Tensor, _InBlocks.apply(x, y, blocks))


@dataclass(frozen=True, slots=True)
class _Blocks:
    """How a kernel is cut, as ends of its blocks; of a symmetric one those below the diagonal mirror others."""

    kernel: Kernel
    scales: Scales
    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    same: bool

    @classmethod
    def of(cls, kernel: Kernel, x: Tensor, y: Tensor, scales: Scales, block: int, *, same: bool) -> _Blocks:
        most = max(1, block // kernel.entries(x.shape[-1]))  # pairs of a block
        square = same and len(x) * len(y) > most
        columns = tuple(_cuts(len(y), math.isqrt(most) if square else most))
        rows = columns if square else tuple(_cuts(len(x), max(1, most // max(1, len(y)))))
        return cls(kernel, scales, rows, columns, same)

    def each(self) -> Iterator[tuple[slice, slice, bool]]:
        """Rows and columns of each block that is computed, and whether another one mirrors it."""
        for top, bottom in self.rows:
            for left, right in self.columns:
                if not (self.same and left < top):
                    yield slice(top, bottom), slice(left, right), self.same and left > top

    def theta(self, x: Tensor, y: Tensor, rows: slice, columns: slice) -> Tensor:
        """One block."""
        offset = rows.start - columns.start if self.same else None
        return theta(self.kernel, x[rows], y[columns], self.scales, offset)


class _InBlocks(torch.autograd.Function):
    """A kernel whose gradients compute each block again, with a graph that is gone before the next one's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, blocks: _Blocks) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.blocks = blocks
        found = x.new_empty(len(x), len(y))
        for rows, columns, mirrored in blocks.each():
            found[rows, columns] = made = blocks.theta(x, y, rows, columns)
            if mirrored:
                found[columns, rows] = made.mT
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, y = (
            one.detach().requires_grad_(need)
            for one, need in zip(ctx.saved_tensors, ctx.needs_input_grad[:2], strict=True)
        )
        learned = [one for one in (x, y) if one.requires_grad]
        total = [torch.zeros_like(one) for one in learned]
        for rows, columns, mirrored in ctx.blocks.each():
            wanted = gradient[rows, columns] + gradient[columns, rows].mT if mirrored else gradient[rows, columns]
            with torch.enable_grad():
                made = ctx.blocks.theta(x, y, rows, columns)
            for one, more in zip(total, torch.autograd.grad(made, learned, wanted), strict=True):
                one.add_(more)
        both = iter(total)
        return next(both) if x.requires_grad else None, next(both) if y.requires_grad else None, None


def _cuts(n: int, size: int) -> Iterator[tuple[int, int]]:
    return pairwise([*range(0, n, size), n])


def theta(kernel: Kernel, x: Tensor, y: Tensor, scales: Scales = Scales(), offset: int | None = None) -> Tensor:
    """Θ(x, y), [m, n] float64, all at once.

    Args:
        kernel: Which.
        x: [m, C, H, W] float64.
        y: [n, C, H, W] float64.
        scales: σ_w² and σ_b².
        offset: Image i of ``x`` is image i + offset of ``y``; None: they have none in common.
    """
    layer = layers(kernel)
    left, right, pair = layer.own(x), layer.own(y), layer.pairs(x, y)
    tangent = torch.zeros_like(pair)
    same = None
    if offset is not None:
        first, second = torch.arange(len(x), device=x.device), torch.arange(len(y), device=y.device)
        same = first[:, None] + offset == second

    def linear(covariances: Tensor) -> Tensor:
        return scales.weight * layer.seen(covariances) + scales.bias

    for depth in range(kernel.depth + kernel.prepended):
        pair, left, right = linear(pair), linear(left), linear(right)
        tangent = pair + scales.weight * layer.seen(tangent)
        if kernel.prepended and depth == 0:
            continue
        equal = None if same is None else layer.equal(same, pair)
        pair, slope = relu_moments(pair, *layer.variances(left, right), equal)
        left, right = layer.rectified(left), layer.rectified(right)
        pair, tangent, left, right = map(layer.pooled, (pair, tangent * slope, left, right))
    output = scales.weight * layer.read(pair) + scales.bias
    return output + scales.weight * layer.read(tangent)
