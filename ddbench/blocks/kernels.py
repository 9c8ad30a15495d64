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

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ddbench.blocks.kernel_layers import layers
from ddbench.blocks.kernel_names import Kernel
from ddbench.blocks.relu_moments import relu_moments

WEIGHT_VARIANCE = 2.0
"""σ_w²."""
BIAS_VARIANCE = 0.01
"""σ_b²."""
BLOCK = 2**20
"""Entries of one block: of each of about ten float64 tensors that are alive at once, so 80 MB."""


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
        block: Entries computed at once; memory is [n, n] and a block's, also for gradients, which compute blocks again.
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
    """The blocks, side by side; of a symmetric kernel without gradients half of them, the others mirrored."""
    x, y = x.double(), y.double()
    learns = torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)
    most = max(1, block // kernel.entries(x.shape[-1]))  # pairs of a block
    square = same and len(x) * len(y) > most
    columns = list(_cuts(len(y), math.isqrt(most) if square else most))
    rows = columns if square else list(_cuts(len(x), max(1, most // len(y))))
    if not learns:
        found = x.new_empty(len(x), len(y))
        for top, bottom in rows:
            for left, right in columns:
                if same and left < top:
                    found[top:bottom, left:right] = found[left:right, top:bottom].mT
                    continue
                offset = top - left if same else None
                found[top:bottom, left:right] = theta(kernel, x[top:bottom], y[left:right], scales, offset)
        return found

    def again(top: int, bottom: int, left: int, right: int) -> Tensor:
        """A block that gradients compute again instead of keeping its graph; the only one keeps it."""
        inputs = kernel, x[top:bottom], y[left:right], scales, top - left if same else None
        if len(rows) == len(columns) == 1:
            return theta(*inputs)
        made = checkpoint(theta, *inputs, use_reentrant=False, preserve_rng_state=False)
        assert isinstance(made, Tensor)
        return made

    return torch.cat([torch.cat([again(*row, *column) for column in columns], 1) for row in rows])


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
