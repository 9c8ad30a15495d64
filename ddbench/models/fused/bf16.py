"""A ConvNet's block in bfloat16, differentiable once: for training on CPUs that multiply such numbers natively.

Convolutions take and give bfloat16 (8 bits of precision) and accumulate in float32; the norm's sums, the parameters and
their updates are float32. Images have the channels of a pixel side by side, as oneDNN's convolutions want them.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddbench.models.fused.block import call_library

HALF = torch.bfloat16


def block(x: Tensor, conv: nn.Conv2d, norm: nn.GroupNorm) -> Tensor:
    """avg_pool2d(relu(norm(conv(x))), 2), each channel a group of its own.

    Args:
        x: [n, C', H, W] on the CPU; rounded to bfloat16 where it is not.
        conv: With C kernels of stride 1. Its bias is left out, and its gradient is 0: the norm takes the bias away.
        norm: Of the C channels.

    Returns:
        [n, C, ⌊H' / 2⌋, ⌊W' / 2⌋] bfloat16 for H' × W' of the convolution. Differentiable once.
    """
    x, weight = (one.to(HALF, memory_format=torch.channels_last) for one in (x, conv.weight))
    y = functional.conv2d(x, weight, padding=cast("tuple[int, int]", conv.padding))
    out: Tensor = _NormReluPool.apply(y, conv.bias, norm.weight, norm.bias, norm.eps)
    return out


class _NormReluPool(torch.autograd.Function):
    """All of the block but its convolution; [n, C, H, W] bfloat16, channels last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shift: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
        n, channels, h, w = x.shape
        x = x.contiguous(memory_format=torch.channels_last)
        out = torch.empty(n, channels, h // 2, w // 2, dtype=HALF, memory_format=torch.channels_last)
        mean, rstd = gain.new_empty(n, channels), gain.new_empty(n, channels)
        call_library("forward", x, x, gain, bias, eps, out, mean, rstd)
        ctx.save_for_backward(x, gain, bias, mean, rstd)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph: what follows would be left out of second derivatives, unsaid
            raise RuntimeError("networks that are trained in bfloat16 are differentiable once")
        x, gain, bias, mean, rstd = ctx.saved_tensors
        dout = grads[0].contiguous(memory_format=torch.channels_last)
        dx, dgain, dbias = torch.empty_like(x), torch.empty_like(mean), torch.empty_like(mean)
        call_library("backward", x, dout, x, gain, bias, mean, rstd, dx, dgain, dbias)
        return dx, torch.zeros_like(gain), dgain.sum(0), dbias.sum(0), None
