"""Pixels of a set: its images taken back from the space of networks, exact or as bytes.

:mod:`ddbench.data.space.visible` says which spaces give pixels back, and how.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ddbench.core.api import CondensedSet
from ddbench.core.errors import CorruptFileError, UsageError
from ddbench.core.records import Record
from ddbench.core.specs import DataSpec
from ddbench.core.store import artifacts
from ddbench.data.space.ids import keeps_pixels
from ddbench.data.space.matrices import MATRICES
from ddbench.data.space.split import open_splits
from ddbench.data.space.visible import real_pixels, undone

LEVELS = 255
"""Largest value of a pixel in files of images."""


# ------------------------------------------------------------------------------------------------- what a record names


def data_of(record: Record) -> DataSpec:
    """The data that a record's set was made from."""
    return record.document.cell.data


def whitening_of(record: Record) -> Path | None:
    """Folder of the matrices that the set's space was made with; None for spaces without.

    Raises:
        UsageError: If they are gone or changed.
    """
    place = record.document.set.artifacts.get("whitening")
    if place is None:
        return None
    try:
        return artifacts.verify(*place)
    except CorruptFileError as error:
        raise UsageError(f"{error}: any run with --preprocess {data_of(record).preprocess} fits them again") from error


def matrices_of(whitening: Path | None) -> dict[str, Tensor]:
    """``mean`` [D] and ``whiten`` [D, D] of a space, or ``factor`` [D, n] and ``rest``; empty for spaces without."""
    return {} if whitening is None else load_file(whitening / MATRICES)


# -------------------------------------------------------------------------------------------------------- exact pixels


def in_space(condensed: CondensedSet, data: DataSpec, whitening: Path | None) -> Tensor:
    """The images as networks see them, float32 [n, C, H, W], also of a set that points at real ones.

    Raises:
        DataError: If a set points at images of a data set that is not prepared.
    """
    if condensed.images is not None:
        return condensed.images
    assert condensed.indices is not None
    return open_splits(data, device="cpu", whitening=whitening)[0].images(condensed.indices).clone()


def pixels_of(condensed: CondensedSet, data: DataSpec, whitening: Path | None) -> Tensor:
    """The images as pixels, float32 [n, C, H, W]: real ones exact, in [0, 1]; optimised ones may leave [0, 1].

    Args:
        condensed: The set.
        data: Where it comes from.
        whitening: Folder of the ``zca`` artifact, for spaces that need it.

    Raises:
        UsageError: Of optimised images in ``zca-kip`` space.
        DataError: If the data set is not prepared, or the whitening matrices are others than the set's.
    """
    if condensed.images is None:
        assert condensed.indices is not None
        return torch.from_numpy(real_pixels(data, condensed.indices.numpy()))
    if not keeps_pixels(condensed.preprocess.id):
        raise UsageError(f"images of {condensed.preprocess.id} space cannot be turned back into pixels")
    return torch.from_numpy(undone(condensed.images.numpy(), condensed.preprocess, data, whitening))


# ----------------------------------------------------------------------------------------------------- pixels as bytes


def to_uint8(pixels: Tensor) -> Tensor:
    """Pixels of any values → [0, 1] in steps of 1/255, the values between rounded to the nearest."""
    return pixels.clamp(0, 1).mul(LEVELS).round().div(LEVELS)


def outside(pixels: Tensor) -> float:
    """The share of pixel values that lie more than half a level outside [0, 1], so that they are cut there [%]."""
    return 100.0 * float(((pixels < -0.5 / LEVELS) | (pixels > 1 + 0.5 / LEVELS)).double().mean())


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
