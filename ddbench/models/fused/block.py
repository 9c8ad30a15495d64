"""Instance norm, ReLU and 2 × 2 average pooling as one operation, differentiable twice.

PyTorch goes through memory once for each of the three, twice more in their backward passes, and keeps what each gave.
This operation keeps its input alone and works on one plane (an image's channel) while it is in the cache. Sums are
taken in another order than PyTorch's: equal within rounding, not to the bit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable

from ddbench.models.fused.library import library

TYPES = {torch.float32: "_f32", torch.float64: "_f64"}
_state = {"on": False}


def turn(on: bool) -> None:
    """Let networks of this process use the operation from now on, or not.

    Raises:
        NoLibraryError: If it cannot be compiled here.
    """
    if on:
        library()
    _state["on"] = on


def in_use() -> bool:
    """Whether the operation is on."""
    return _state["on"]


def serves(x: Tensor) -> bool:
    """Whether the operation is on and takes such a tensor.

    Not within ``torch.func``, forward mode and ``torch.compile``, which it does not know.
    """
    return (
        _state["on"]
        and x.device.type == "cpu"
        and x.dtype in TYPES
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
        and not torch.compiler.is_compiling()
    )


def norm_relu_pool(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    """avg_pool2d(relu(group_norm(x)), 2), each channel a group of its own.

    Args:
        x: [n, C, H, W] on the CPU, float32 or float64.
        gain: γ, [C].
        bias: β, [C].
        eps: Added to the variance.

    Returns:
        [n, C, H // 2, W // 2]. Differentiable twice in ``x``, ``gain`` and ``bias``.
    """
    out: Tensor = _Forward.apply(x, gain, bias, eps)
    return out


def _call(name: str, x: Tensor, *given: Tensor | float) -> None:
    """Run a function of the library over all planes of x [n, C, H, W].

    Raises:
        MemoryError: If there is none for the scratch buffers.
    """
    n, channels, h, w = x.shape
    values = [one.data_ptr() if isinstance(one, Tensor) else one for one in given]
    if getattr(library(), name + TYPES[x.dtype])(*values, n * channels, channels, h, w, torch.get_num_threads()):
        raise MemoryError("there is none for one plane of an image")


class _Forward(torch.autograd.Function):
    """The operation. Without the ``setup_context`` that ``torch.func`` needs: calls would take three times as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
        n, channels, h, w = x.shape
        x, gain, bias = x.contiguous(), gain.contiguous(), bias.contiguous()
        out, mean, rstd = x.new_empty(n, channels, h // 2, w // 2), x.new_empty(n, channels), x.new_empty(n, channels)
        _call("forward", x, x, gain, bias, eps, out, mean, rstd)
        ctx.save_for_backward(x, gain, bias, mean, rstd)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        given = grads[0].contiguous(), *ctx.saved_tensors
        return *(_Backward.apply(*given) if torch.is_grad_enabled() else _gradients(*given)), None


def _gradients(
    dout: Tensor, x: Tensor, gain: Tensor, bias: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients in x, gain and bias."""
    dx, dgain, dbias = torch.empty_like(x), torch.empty_like(mean), torch.empty_like(mean)
    _call("backward", x, dout, x, gain, bias, mean, rstd, dx, dgain, dbias)
    return dx, dgain.sum(0), dbias.sum(0)


class _Backward(torch.autograd.Function):
    """:func:`_gradients`, to be differentiated again."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(*given)
        return _gradients(*given)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        dout, x, gain, bias, mean, rstd = ctx.saved_tensors
        a, b, c = (one.contiguous() for one in grads)
        ddout, dx, dgain = torch.empty_like(dout), torch.empty_like(x), torch.empty_like(mean)
        _call("second", x, dout, x, gain, bias, mean, rstd, a, b, c, ddout, dx, dgain)
        return ddout, dx, dgain.sum(0), None, None, None
