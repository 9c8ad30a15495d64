"""A ConvNet's gradient, and the derivative of that gradient along a direction, written out without autograd.

The exact gradient of a trajectory asks at every step of a student for the gradients of S = ⟨∇_θ ℓ(θ, x, y), w⟩.
Derivatives commute: the gradient of S in θ and x is the derivative of ∇ℓ along w (Pearlmutter, Neural Computation
1994), so that one pass forwards and one backwards carry each quantity q and its derivative q̇ along w. With blocks
y = W ∗ x + b, x' = B(y; γ, β), and dq for the gradient of ℓ in q:

    forwards     ẏ = Ẇ ∗ x + W ∗ ẋ + ḃ                  ẋ' = the derivative of B along (ẏ, γ̇, β̇)
    backwards    dẏ = B's gradients at dẋ', and their derivative along (ẏ, γ̇, β̇) at dx'
                 dẋ = Wᵀ ∗ dẏ + Ẇᵀ ∗ dy                 dẆ = x ⋆ dẏ + ẋ ⋆ dy

The tape keeps what the gradient itself went through: the input of every block, of its norm, and the gradient of its
output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ddbench.models.fused.block import Block

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits [b, K], labels) → scalar."""


class Tape:
    """The gradient of a ConvNet's loss at one point, and what it takes to differentiate it again.

    Args:
        parameters: θ like the network's parameters, in their order: W, b, γ, β of each block, then of the last layer.
        paddings: Of each block's convolution.
        eps: Of the norms.
        images: x, [b, C, H, W].
        labels: y, [b] int64 classes, or [b, K] floats.
        loss: ℓ.

    Attributes:
        gradient: ∇_θ ℓ, like ``parameters``.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        paddings: Sequence[int],
        eps: float,
        images: Tensor,
        labels: Tensor,
        loss: Loss,
    ) -> None:
        *convs, self._weight, bias = parameters
        self._weights, self._paddings, self._labels, self._loss = convs[::4], paddings, labels, loss
        self._inputs, self._blocks, self._douts = [images], [], []
        for weight, shift, gain, offset, padding in zip(
            convs[::4], convs[1::4], convs[2::4], convs[3::4], paddings, strict=True
        ):
            out, block = Block.at(_conv(self._inputs[-1], weight, shift, padding), gain, offset, eps)
            self._blocks.append(block)
            self._inputs.append(out)
        features = self._inputs.pop()
        self._shape, self._embedded = features.shape, features.flatten(1)
        self._logits = torch.addmm(bias, self._embedded, self._weight.T)
        with torch.enable_grad():
            logits = self._logits.requires_grad_()
            (self._dlogits,) = torch.autograd.grad(loss(logits, labels), logits)
        found = [self._dlogits.sum(0), self._dlogits.T @ self._embedded]
        dx = (self._dlogits @ self._weight).view(self._shape)
        for i, block in reversed(list(enumerate(self._blocks))):
            self._douts.append(dx)
            dy, dgain, doffset = block.gradients(dx)
            dx, dweight, dshift = self._conv_gradients(dy, i, wanted=(i > 0, True, True))
            found += [doffset, dgain, dshift, dweight]
        self._douts.reverse()
        self.gradient = found[::-1]

    @property
    def nbytes(self) -> int:
        """Bytes that are kept for :meth:`pull`, but for parameters and images."""
        kept = [*self._inputs[1:], *self._douts, *(block.x for block in self._blocks)]
        return sum(one.nbytes for one in kept)

    def pull(self, along: Sequence[Tensor], *, parameters: bool) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """The gradients of S = ⟨gradient, w⟩.

        Args:
            along: w, like the parameters.
            parameters: Whether the gradient in θ is wanted.

        Returns:
            Gradients in the images, in the labels (None for classes), and in θ (empty where it is not wanted).
        """
        *convs, weight_dot, bias_dot = along
        weights, shifts, gains, offsets = (convs[i::4] for i in range(4))
        x_dot: Tensor | None = None
        inputs, outputs = [], []
        for i, block in enumerate(self._blocks):
            y_dot = _conv(self._inputs[i], weights[i], shifts[i], self._paddings[i])
            if x_dot is not None:
                y_dot += _conv(x_dot, self._weights[i], None, self._paddings[i])
            inputs.append(x_dot)
            outputs.append(y_dot)
            x_dot = block.tangent(y_dot, gains[i], offsets[i])
        assert x_dot is not None
        embedded_dot = x_dot.flatten(1)
        logits_dot = torch.addmm(bias_dot, self._embedded, weight_dot.T).addmm_(embedded_dot, self._weight.T)
        dlogits_dot, dlabels = self._through_loss(logits_dot)
        found = [dlogits_dot.sum(0), dlogits_dot.T @ self._embedded + self._dlogits.T @ embedded_dot]
        dx_dot = torch.addmm(self._dlogits @ weight_dot, dlogits_dot, self._weight).view(self._shape)
        for i, block in reversed(list(enumerate(self._blocks))):
            dy_dot, dgain, doffset = block.gradients(dx_dot)
            dgain += block.second(self._douts[i], outputs[i], gains[i], dy_dot)
            dx_dot, dweight, dshift = self._conv_gradients(dy_dot, i, wanted=(True, parameters, parameters))
            dy, _, _ = block.gradients(self._douts[i])
            dx_dot += _transposed(dy, self._inputs[i], weights[i], self._paddings[i])
            if parameters:
                if (of_input := inputs[i]) is not None:
                    dweight += _of_weight(dy, of_input, self._weights[i], self._paddings[i])
                found += [doffset, dgain, dshift, dweight]
        return dx_dot, dlabels, found[::-1] if parameters else []

    def _through_loss(self, logits_dot: Tensor) -> tuple[Tensor, Tensor | None]:
        """The gradients of ⟨dlogits, logits_dot⟩ in logits and float labels."""
        with torch.enable_grad():
            logits, labels = self._logits.detach().requires_grad_(), self._labels.detach()
            soft = [labels.requires_grad_()] if labels.is_floating_point() else []
            (dlogits,) = torch.autograd.grad(self._loss(logits, labels), logits, create_graph=True)
            found = torch.autograd.grad(dlogits, [logits, *soft], grad_outputs=logits_dot)
        return found[0], found[1] if soft else None

    def _conv_gradients(self, dy: Tensor, i: int, *, wanted: tuple[bool, bool, bool]) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of the i-th convolution in its input, weight and bias; None where they are not wanted."""
        return _backward(dy, self._inputs[i], self._weights[i], self._paddings[i], wanted)


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    found: Tensor = torch.ops.aten.convolution(x, weight, bias, [1, 1], [padding] * 2, [1, 1], False, [0, 0], 1)
    return found


def _backward(
    dy: Tensor, x: Tensor, weight: Tensor, padding: int, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        dy, x, weight, [len(weight)], [1, 1], [padding] * 2, [1, 1], False, [0, 0], 1, wanted
    )
    return found


def _transposed(dy: Tensor, x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Wᵀ ∗ dy, like x."""
    return _backward(dy, x, weight, padding, (True, False, False))[0]


def _of_weight(dy: Tensor, x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """What dy makes of the weight's gradient."""
    return _backward(dy, x, weight, padding, (False, True, False))[1]
