"""A set as image files would keep it: its images in 256 levels a channel, then back in the space of networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ddbench.api import CondensedSet
from ddbench.data.inverse import unstandardise, unwhiten
from ddbench.data.meta import find
from ddbench.data.spaces import ZCA, constants
from ddbench.data.split import open_splits
from ddbench.errors import UsageError
from ddbench.specs import DataSpec

LEVELS = 255


def to_uint8(pixels: Tensor) -> Tensor:
    """Pixels of any values → [0, 1] in steps of 1/255, the values between rounded to the nearest."""
    return pixels.clamp(0, 1).mul(LEVELS).round().div(LEVELS)


def outside(pixels: Tensor) -> float:
    """The share of pixel values that lie more than half a level outside [0, 1], so that they are cut there [%]."""
    return 100.0 * float(((pixels < -0.5 / LEVELS) | (pixels > 1 + 0.5 / LEVELS)).double().mean())


def pixels_of(condensed: CondensedSet, data: DataSpec, whitening: Path | None) -> Tensor:
    """Images of a set as pixels, float32 [n, C, H, W]; synthetic ones may leave [0, 1].

    Args:
        condensed: A set with images of its own.
        data: Where it comes from.
        whitening: Folder of the ``zca`` artifact, for spaces that need it.

    Raises:
        UsageError: In ``zca-kip`` space: each image was divided by its own norm, so that no pixels can be given back.
        DataError: If the whitening matrices are others than the set's.
    """
    assert condensed.images is not None
    mean, std = constants(find(data.name, data.revision).meta, data.preprocess)
    if data.preprocess not in ZCA:
        return unstandardise(condensed.images, mean, std)
    if ZCA[condensed.preprocess.id] == "kip" or whitening is None:
        raise UsageError(f"images of {data.preprocess} space cannot be turned back into pixels")
    return unwhiten(condensed.images, condensed.preprocess, whitening, mean, std)


def quantised(condensed: CondensedSet, data: DataSpec, whitening: Path | None = None) -> tuple[CondensedSet, float]:
    """A set whose images went through uint8 pixels, and the share of pixel values that had to be clipped [%].

    Whitened images are un-whitened first and whitened again. Real images that a set only points to are uint8 already:
    such a set comes back as it is. Of a set that stores codes, the decoded images are quantised. Labels, learning rates
    and all else keep their precision.

    Args:
        condensed: The set.
        data: Where it comes from.
        whitening: Folder of the ``zca`` artifact, for spaces that need it.

    Raises:
        UsageError: See :func:`pixels_of`.
        DataError: If the data set is not prepared.
    """
    if condensed.images is None:
        return condensed, 0.0
    pixels = pixels_of(condensed, data, whitening)
    train, _ = open_splits(data, device="cpu", whitening=whitening)
    return replace(condensed, images=train.preprocessed(to_uint8(pixels))), outside(pixels)
