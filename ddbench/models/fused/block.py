"""Instance norm, ReLU and 2 × 2 average pooling as one operation, differentiable twice.

PyTorch goes through memory once for each of the three, twice more in their backward passes, and keeps what each gave.
This operation keeps its input alone and works on one plane (an image's channel) while it is in the cache. Sums are
taken in another order than PyTorch's: equal within rounding, not to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional

from ddbench.models.fused.library import library

TYPES = torch.float32, torch.float64
"""What the operation takes; :mod:`ddbench.models.fused.bf16` has one of its own."""
SUFFIXES = {torch.float32: "_f32", torch.float64: "_f64", torch.bfloat16: "_bf16"}
"""Of the library's functions."""
_state = {"on": False, "bf16": False, "used": False}


def turn(on: bool, *, bf16: bool = False) -> None:
    """Let networks of this process use the operation from now on, or not; :func:`used` is about what follows.

    Args:
        on: Whether they do.
        bf16: Whether what they are trained by is bfloat16 then (:mod:`ddbench.models.fused.bf16`).

    Raises:
        NoLibraryError: If it cannot be compiled here.
    """
    if on:
        library()
    _state.update(on=on, bf16=on and bf16, used=False)


def in_use() -> bool:
    """Whether the operation is on."""
    return _state["on"]


def used() -> bool:
    """Whether it was used, or would have been where it is on, since it was turned on or off."""
    return _state["used"]


def note_use() -> None:
    """Say so."""
    _state["used"] = True


def trains_in_bf16() -> bool:
    """Whether gradients that are recorded now are of bfloat16; where none are, networks predict in float32."""
    return _state["bf16"] and torch.is_grad_enabled()


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
        [n, C, H // 2, W // 2]. Differentiable in ``x``, ``gain`` and ``bias``, as often as one likes: from the third
        time on by PyTorch's own operations.
    """
    out: Tensor = _Forward.apply(x.contiguous(), gain.contiguous(), bias.contiguous(), eps)
    return out


def _plainly(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    """The same by PyTorch's operations."""
    return functional.avg_pool2d(functional.relu(functional.group_norm(x, len(gain), gain, bias, eps)), 2)


@dataclass(frozen=True, slots=True)
class Block:
    """The operation at one input: what its derivatives are taken from.

    Attributes:
        x: [n, C, H, W].
        gain: γ, [C].
        bias: β, [C].
        mean: Of each plane, [n, C].
        rstd: 1 / √(variance + eps) of each plane, [n, C].
    """

    x: Tensor
    gain: Tensor
    bias: Tensor
    mean: Tensor
    rstd: Tensor

    @classmethod
    def at(cls, x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Block]:
        """The output [n, C, H // 2, W // 2], and the operation at this input."""
        n, channels, h, w = x.shape
        x, gain, bias = x.contiguous(), gain.contiguous(), bias.contiguous()
        note_use()
        out, mean, rstd = x.new_empty(n, channels, h // 2, w // 2), x.new_empty(n, channels), x.new_empty(n, channels)
        call_library("forward", x, x, gain, bias, eps, out, mean, rstd)
        return out, cls(x, gain, bias, mean, rstd)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them, in their order."""
        return self.x, self.gain, self.bias, self.mean, self.rstd

    def gradients(self, dout: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients in x, gain and bias, given that of the output."""
        dout = dout.contiguous()
        dx, dgain, dbias = torch.empty_like(self.x), torch.empty_like(self.mean), torch.empty_like(self.mean)
        call_library("backward", self.x, dout, *self.tensors, dx, dgain, dbias)
        return dx, dgain.sum(0), dbias.sum(0)

    def tangent(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Derivative of the output along a in x, b in gain and c in bias.

        It is the gradient in ``dout`` of S = ⟨dx, a⟩ + ⟨dgain, b⟩ + ⟨dbias, c⟩ of :meth:`gradients`, too.
        """
        n, channels, h, w = self.x.shape
        a, b, c = a.contiguous(), b.contiguous(), c.contiguous()
        along = self.x.new_empty(n, channels, h // 2, w // 2)
        call_library("tangent", self.x, *self.tensors, a, b, c, along)
        return along

    def second(self, dout: Tensor, a: Tensor, b: Tensor, dx: Tensor) -> Tensor:
        """Add the gradient in x of S at ``dout`` to ``dx``, which is contiguous; returns that in gain (bias: 0)."""
        dout, a, b = dout.contiguous(), a.contiguous(), b.contiguous()
        dgain = torch.empty_like(self.mean)
        call_library("second", self.x, dout, *self.tensors, a, b, dx, dgain)
        return dgain.sum(0)


def call_library(name: str, x: Tensor, *given: Tensor | float) -> None:
    """Run a function of the library over all planes of x [n, C, H, W].

    Raises:
        MemoryError: If there is none for the scratch buffers.
    """
    n, channels, h, w = x.shape
    values = [one.data_ptr() if isinstance(one, Tensor) else one for one in given]
    if getattr(library(), name + SUFFIXES[x.dtype])(*values, n * channels, channels, h, w, torch.get_num_threads()):
        raise MemoryError("there is none for one plane of an image")


class _Forward(torch.autograd.Function):
    """The operation. Without the ``setup_context`` that ``torch.func`` needs: calls would take three times as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
        out, made = Block.at(x, gain, bias, eps)
        ctx.save_for_backward(*made.tensors)
        ctx.eps = eps
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            return *_Backward.apply(ctx.eps, grads[0], *ctx.saved_tensors), None
        return *Block(*ctx.saved_tensors).gradients(grads[0]), None


class _Backward(torch.autograd.Function):
    """Its gradients, to be differentiated again."""

    @staticmethod
    def forward(ctx: Any, eps: float, dout: Tensor, *block: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(dout, *block)
        ctx.eps = eps
        return Block(*block).gradients(dout)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        dout, *block = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Aliases: the derivatives in each alone, though dout is made of the others.
            dout, x, gain, bias = (
                t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in (dout, *block[:3])
            )
            first = torch.autograd.grad(_plainly(x, gain, bias, ctx.eps), (x, gain, bias), dout, create_graph=True)
            found = torch.autograd.grad(first, (dout, x, gain), grads, create_graph=True)
            return None, *found, None, None, None
        made = Block(*block)
        dx = torch.zeros_like(made.x)
        dgain = made.second(dout, grads[0], grads[1], dx)
        return None, made.tangent(*grads), dx, dgain, None, None, None
