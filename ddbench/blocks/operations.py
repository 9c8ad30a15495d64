"""What augmentations do to images: colour, shift, cutout, mirroring, scaling, zoom, rotation, noise.

Each takes an augmenter (:class:`ddbench.blocks.augment.DSA`) for its strengths, images [n, C, H, W] and uniforms
[m, WIDTH], m = 1 or n, and is differentiable in the images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from ddbench.blocks.augment import DSA

WIDTH = 3
"""Uniforms per row and operation: as many as the hungriest one (colour) needs."""


def _per_row(values: Tensor, images: Tensor) -> Tensor:
    """Parameters [m] as [m, 1, 1, 1] in the images' type and place."""
    return values.to(images).view(-1, 1, 1, 1)


def _color(dsa: DSA, images: Tensor, u: Tensor) -> Tensor:
    """Brightness, then saturation around the mean over channels, then contrast around the mean over the image."""
    images = images + _per_row((u[:, 0] - 0.5) * dsa.brightness, images)
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * _per_row(1 + (u[:, 1] - 0.5) * dsa.saturation, images) + grey
    level = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - level) * _per_row(1 + (2 * u[:, 2] - 1) * dsa.contrast, images) + level


def _crop(dsa: DSA, images: Tensor, u: Tensor) -> Tensor:
    """Shift by U{−p … p} pixels along each axis."""
    side = images.shape[-1]
    p = _pixels(dsa.crop * side)
    start = (u[:, :2] * (2 * p + 1)).long()  # of the window in the padded image: 0 … 2p
    padded = functional.pad(images, (p, p, p, p))
    if len(start) == 1:
        top, left = start[0].tolist()
        return padded[:, :, top : top + side, left : left + side]
    n, channels = images.shape[:2]
    window = (start[:, :, None] + torch.arange(side)).to(images.device)  # [n, 2, side]
    rows = window[:, 0, None, :, None].expand(n, channels, side, padded.shape[-1])
    columns = window[:, 1, None, None, :].expand(n, channels, side, side)
    return padded.gather(2, rows).gather(3, columns)


def _cutout(dsa: DSA, images: Tensor, u: Tensor) -> Tensor:
    """Blank a square around a uniform centre, clipped at the border; an even side makes ``size`` a centre too."""
    side = images.shape[-1]
    square = _pixels(dsa.cutout * side)
    first = (u[:, :2] * (side + 1 - square % 2)).long() - square // 2
    ahead = torch.arange(side) - first[:, :, None]  # [m, 2, side]: pixels past the square's first
    inside = ((ahead >= 0) & (ahead < square)).to(images.device)
    return images.masked_fill(inside[:, 0, None, :, None] & inside[:, 1, None, None, :], 0)


def _flip(dsa: DSA, images: Tensor, u: Tensor) -> Tensor:
    """Mirror left and right with probability 1/2."""
    mirrored = (u[:, 0] < 0.5).to(images.device).view(-1, 1, 1, 1)
    return torch.where(mirrored, images.flip(-1), images)


def _scale(dsa: DSA, images: Tensor, u: Tensor) -> Tensor:
    """Scale the axes independently."""
    low, high = dsa.scale if isinstance(dsa.scale, tuple) else (1 / dsa.scale, dsa.scale)
    return _affine(images, torch.diag_embed(low + u[:, :2] * (high - low)))


def _zoom(dsa: DSA, images: Tensor, u: Tensor) -> Tensor:
    """Scale both axes by one factor: a window anywhere inside the image, or the image anywhere inside the frame."""
    factor = dsa.zoom ** (2 * u[:, :1] - 1)  # [m, 1]; > 1 shrinks the image
    centre = (2 * u[:, 1:] - 1) * (1 - factor).abs()  # [m, 2]: so far neither leaves the other
    return _affine(images, torch.cat([torch.diag_embed(factor.expand(-1, 2)), centre[:, :, None]], 2))


def _rotate(dsa: DSA, images: Tensor, u: Tensor) -> Tensor:
    """Rotate around the centre."""
    angle = (2 * u[:, 0] - 1) * math.radians(dsa.rotate)
    cos, sin = angle.cos(), angle.sin()
    return _affine(images, torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1))


def _noise(dsa: DSA, images: Tensor, u: Tensor) -> Tensor:
    """Add noise; each row's u seeds its own field, so that a row looks the same in whatever batch it is."""
    fields = [
        torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed))
        for seed in (u[:, 0] * 2**53).long().tolist()
    ]
    return images + dsa.noise * torch.stack(fields).to(images)


def _affine(images: Tensor, matrix: Tensor) -> Tensor:
    """Resample bilinearly; ``matrix`` [m, 2, 2 or 3] maps output to input coordinates in [−1, 1]²."""
    theta = functional.pad(matrix, (0, 3 - matrix.shape[2])).to(images)
    grid = functional.affine_grid(theta, [len(theta), *images.shape[1:]], align_corners=True)
    return functional.grid_sample(
        images, grid.expand(len(images), -1, -1, -1), padding_mode="zeros", align_corners=True
    )


def _pixels(length: float) -> int:
    """Nearest integer, halves up, as the papers' code rounds."""
    return int(length + 0.5)


OPERATIONS: dict[str, Callable[[DSA, Tensor, Tensor], Tensor]] = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "zoom": _zoom,
    "rotate": _rotate,
    "noise": _noise,
}
"""name → operation(augmenter, images [n, C, H, W], u [m, WIDTH]) → images."""
