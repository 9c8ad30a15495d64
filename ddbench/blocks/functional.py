"""Networks as functions of one flat parameter vector: what trajectory methods differentiate through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class FlatModel:
    """A network whose parameters are views of one vector [P], in ``nn.Module.parameters()`` order.

    Attributes:
        model: The network; its own parameters are never read or written.
        names: Parameter names.
        shapes: Parameter shapes.

    Raises:
        ValueError: If the network has buffers (batch norm): its function would depend on more than its parameters.
    """

    model: nn.Module
    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]

    @classmethod
    def of(cls, model: nn.Module) -> FlatModel:
        """Wrap a network."""
        if next(model.buffers(), None) is not None:
            raise ValueError("a network with buffers (batch norm) is not a function of its parameters alone")
        named = list(model.named_parameters())
        return cls(model, tuple(name for name, _ in named), tuple(parameter.shape for _, parameter in named))

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(shape.numel() for shape in self.shapes)

    def __call__(self, flat: Tensor, images: Tensor) -> Tensor:
        """Logits [n, K] of the network with parameters ``flat`` [P]; differentiable in both arguments."""
        views = dict(zip(self.names, self.views(flat), strict=True))
        logits: Tensor = functional_call(self.model, views, (images,))
        return logits

    def views(self, flat: Tensor) -> list[Tensor]:
        """The parts of a vector [P] in the shapes of the parameters."""
        parts = torch.split(flat, [shape.numel() for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]


def flatten(parameters: Tensor | Sequence[Tensor]) -> Tensor:
    """Parameters as one detached vector [P]; a vector is returned as it is, detached."""
    if isinstance(parameters, Tensor):
        return parameters.detach()
    return torch.cat([parameter.detach().reshape(-1) for parameter in parameters])


def student_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of a batch.

    Args:
        logits: [b, K].
        labels: [b] int64 classes, or [b, K] float logits whose softmax is the target distribution.
    """
    target = labels.softmax(dim=1) if labels.is_floating_point() else labels
    return functional.cross_entropy(logits, target)


def is_fused(net: nn.Module) -> bool:
    """Whether norm, ReLU and pooling of its blocks are one operation now; networks of others need not know."""
    return bool(getattr(net, "fused", False))
