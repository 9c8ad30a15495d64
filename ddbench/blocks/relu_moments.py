"""What one ReLU does to a pair of Gaussians: arc-cosine kernels of order 1 and 0, with gradients that stay finite.

Cho & Saul, "Kernel Methods for Deep Learning", NeurIPS 2009. For (a, b) ~ N(0, [[u, c], [c, v]]) with the angle θ,
cos θ = c / √(u v), and s = √(u v − c²) = √(u v) sin θ:

    E[relu(a) relu(b)]   = (s + (π − θ) c) / 2π
    E[relu'(a) relu'(b)] = (π − θ) / 2π
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def relu_moments(c: Tensor, u: Tensor, v: Tensor, equal: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """E[relu(a) relu(b)] and E[relu'(a) relu'(b)], differentiable once.

    At θ = 0 arccos has an infinite derivative; θ = atan2(s, c) is exact there, and that of the first moment is bounded.
    The second moment has a peak there, from which it falls to all sides alike: at s = 0 its gradient is taken to be 0.

    Args:
        c: Covariances [...], float64.
        u: Variances of a, broadcast to ``c``, above 0.
        v: Variances of b, likewise.
        equal: bool, broadcast to ``c``: where a and b are one variable, so that θ = 0 wherever both move.

    Returns:
        Two tensors [...].
    """
    return cast(tuple[Tensor, Tensor], _Moments.apply(c, u, v, equal))


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, c: Tensor, u: Tensor, v: Tensor, equal: Tensor | None) -> tuple[Tensor, Tensor]:
        s = (u * v).addcmul(c, c, value=-1).clamp_(min=0).sqrt_()
        if equal is not None:
            s.masked_fill_(equal, 0)
        slope = torch.atan2(s, c).neg_().add_(math.pi).div_(2 * math.pi)
        ctx.save_for_backward(c, u, v, s, slope)
        return s.div(2 * math.pi).addcmul_(slope, c), slope

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        c, u, v, s, slope = ctx.saved_tensors
        steep = torch.where(s > 0, second / s, 0.0).div_(2 * math.pi)  # ∂θ/∂c = −1/s
        to_c = torch.addcmul(steep, first, slope)
        # u ∂θ/∂u = c / 2s, and u ∂E[relu relu]/∂u = s / 4π; v likewise.
        shared = (first * s).div_(4 * math.pi).addcmul_(steep, c, value=-0.5)
        return to_c, (shared / u).sum_to_size(u.shape), (shared / v).sum_to_size(v.shape), None
