"""Arithmetic on stored pixels: means of k × k of them, and the statistics of channels; exact integers. No torch."""

from __future__ import annotations

import itertools

import numpy as np

from ddbench.data.prepared.splits import Indices
from ddbench.data.readers.raw import Pixels

_CHUNK = 1024
_COUNTED = 1 << 22
"""Pixels of one channel that are counted at a time; each takes eight bytes then."""


def pooled(images: Pixels, indices: Indices, k: int) -> Pixels:
    """Some images, each pixel the mean of k × k of the stored ones, rounded to the nearest integer, .5 upwards.

    Computed with integers, ⌊(2 Σ + k²) / 2k²⌋, image by image: the result depends on nothing but the image.

    Args:
        images: uint8 [N, C, H, W], possibly memory-mapped.
        indices: [n] which images.
        k: Side of the squares; divides H and W.

    Returns:
        uint8 [n, C, H / k, W / k], no larger than the largest stored pixel.
    """
    if k == 1:
        return np.ascontiguousarray(images[indices])
    _, channels, height, width = images.shape
    found = np.empty((len(indices), channels, height // k, width // k), dtype=np.uint8)
    for start in range(0, len(indices), _CHUNK):
        chunk = images[indices[start : start + _CHUNK]]
        total = np.zeros((len(chunk), *found.shape[1:]), dtype=np.uint32)
        for row, column in itertools.product(range(k), repeat=2):
            total += chunk[:, :, row::k, column::k]
        found[start : start + _CHUNK] = (2 * total + k * k) // (2 * k * k)
    return found


def channel_statistics(images: Pixels, indices: Indices, levels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of some images.

    Args:
        images: uint8 [N, C, H, W].
        indices: [n] which images.
        levels: Pixel value that maps to 1.0.

    Returns:
        (mean, std), C numbers each, exact up to the last rounding (from a histogram). A constant channel gets std 1.
    """
    histogram = np.zeros((images.shape[1], 256), dtype=np.int64)
    side = int(np.prod(images.shape[2:], dtype=np.int64))
    for chosen in np.array_split(indices, max(1, len(indices) // 1024, len(indices) * side // _COUNTED)):
        chunk = images[chosen]
        for channel in range(images.shape[1]):
            histogram[channel] += np.bincount(chunk[:, channel].ravel(), minlength=256)
    share = histogram / histogram.sum(axis=1, keepdims=True)
    value = np.arange(256) / levels
    mean = share @ value
    std = np.sqrt((share * (value - mean[:, None]) ** 2).sum(axis=1))
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())
