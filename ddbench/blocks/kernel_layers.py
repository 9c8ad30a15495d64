"""What the layers of an infinitely wide network do to covariances, for each way of keeping these.

Without convolutions a pair of images has one number; with convolutions alone one for each position, because whatever
follows needs equal positions of both images; where positions are pooled, one for each pair of positions.

Symbols: m and n images, D pixels, C channels; covariances of pairs begin with [m, n], those of single images with
themselves ("own") with [m]. All is float64.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ddbench.blocks.kernel_names import Kernel
from ddbench.blocks.relu_moments import relu_moments


class Layers(Protocol):
    """One way of keeping covariances."""

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Of the pixels of every pair of images, means over channels."""
        ...

    def own(self, x: Tensor) -> Tensor:
        """The same of every image with itself."""
        ...

    def seen(self, covariances: Tensor) -> Tensor:
        """A: the mean over what a unit of the next linear layer sees."""
        ...

    def variances(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """From both images' own covariances the variances beside those of pairs, for broadcasting."""
        ...

    def rectified(self, own: Tensor) -> Tensor:
        """Own covariances after a ReLU."""
        ...

    def equal(self, images: Tensor, pairs: Tensor) -> Tensor:
        """Which ``pairs`` are of one variable: ``images`` [m, n] bool says which are of one image."""
        ...

    def pooled(self, covariances: Tensor) -> Tensor:
        """After 2 × 2 average pooling, where the network has it."""
        ...

    def read(self, pairs: Tensor) -> Tensor:
        """What the output layer sees of each pair: [m, n]."""
        ...


class Connected:
    """Fully connected layers: [m, n], own [m]."""

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """⟨x, x'⟩ / D."""
        x, y = x.flatten(1), y.flatten(1)
        return x @ y.mT / x.shape[1]

    def own(self, x: Tensor) -> Tensor:
        """‖x‖² / D."""
        return x.flatten(1).square().mean(1)

    def seen(self, covariances: Tensor) -> Tensor:
        """All of the one number."""
        return covariances

    def variances(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One for each image."""
        return x[:, None], y[None]

    def rectified(self, own: Tensor) -> Tensor:
        """Half: E[relu(a)²]."""
        return own / 2

    def equal(self, images: Tensor, pairs: Tensor) -> Tensor:
        """As they are."""
        return images

    def pooled(self, covariances: Tensor) -> Tensor:
        """As they are."""
        return covariances

    def read(self, pairs: Tensor) -> Tensor:
        """As they are."""
        return pairs


class Positions(Connected):
    """Convolutions whose positions are never mixed but by the last layer: [m, n, H, W], own [m, H, W]."""

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """At each position."""
        return torch.einsum("ichw,jchw->ijhw", x, y) / x.shape[1]

    def own(self, x: Tensor) -> Tensor:
        """At each position."""
        return x.square().mean(1)

    def seen(self, covariances: Tensor) -> Tensor:
        """3 × 3 positions, zeros outside."""
        padded = functional.pad(covariances, (1, 1, 1, 1))
        rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
        return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9

    def equal(self, images: Tensor, pairs: Tensor) -> Tensor:
        """At all positions."""
        return images[..., None, None]

    def read(self, pairs: Tensor) -> Tensor:
        """The mean over positions: what flattening comes to."""
        return pairs.mean((-2, -1))


class PairsOfPositions:
    """Convolutions whose positions are pooled: [m, n, H, W, H, W], own [m, H, W, H, W].

    Args:
        everywhere: One mean over all positions before the output; else 2 × 2 pooling after each ReLU, and flattening.
    """

    def __init__(self, *, everywhere: bool) -> None:
        self.everywhere = everywhere

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Of every two positions."""
        return torch.einsum("ichw,jcab->ijhwab", x, y) / x.shape[1]

    def own(self, x: Tensor) -> Tensor:
        """Of every two positions."""
        return torch.einsum("ichw,icab->ihwab", x, x) / x.shape[1]

    def seen(self, covariances: Tensor) -> Tensor:
        """3 × 3 positions, zeros outside, by the same step in both images."""
        padded = functional.pad(covariances, (1, 1, 1, 1, 1, 1, 1, 1))
        h, w = covariances.shape[-4], covariances.shape[-3]
        rows = sum((padded[..., i : i + h, :, i : i + h, :] for i in range(3)), padded.new_zeros(()))
        columns = sum((rows[..., :, i : i + w, :, i : i + w] for i in range(3)), padded.new_zeros(()))
        return columns / 9

    def pooled(self, covariances: Tensor) -> Tensor:
        """Means over 2 × 2 positions of either image."""
        if self.everywhere:
            return covariances
        *first, h, w, _, _ = covariances.shape
        return covariances.reshape(*first, h // 2, 2, w // 2, 2, h // 2, 2, w // 2, 2).mean((-7, -5, -3, -1))

    def variances(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """At each position of each image."""
        return _at_equal(x)[:, None, :, :, None, None], _at_equal(y)[None, :, None, None]

    def rectified(self, own: Tensor) -> Tensor:
        """As any pair of Gaussians; at equal positions half."""
        at = _at_equal(own)
        return relu_moments(own, at[:, :, :, None, None], at[:, None, None], _same_place(own))[0]

    def equal(self, images: Tensor, pairs: Tensor) -> Tensor:
        """At equal positions."""
        return images[:, :, None, None, None, None] & _same_place(pairs)

    def read(self, pairs: Tensor) -> Tensor:
        """The mean over all pairs of positions, or over equal ones."""
        return pairs.mean((-4, -3, -2, -1)) if self.everywhere else _at_equal(pairs).mean((-2, -1))


def layers(kernel: Kernel) -> Layers:
    """How a kernel keeps covariances."""
    if not kernel.convolutional:
        return Connected()
    return Positions() if kernel.pooling == "none" else PairsOfPositions(everywhere=kernel.pooling == "global")


def _at_equal(covariances: Tensor) -> Tensor:
    """[..., H, W, H, W] → [..., H, W]."""
    h, w = covariances.shape[-2:]
    *first, _, _, _, _ = covariances.shape
    return covariances.reshape(*first, h * w, h * w).diagonal(dim1=-2, dim2=-1).reshape(*first, h, w)


def _same_place(covariances: Tensor) -> Tensor:
    """[H, W, H, W] bool."""
    h, w = covariances.shape[-2:]
    return torch.eye(h * w, dtype=torch.bool, device=covariances.device).view(h, w, h, w)
