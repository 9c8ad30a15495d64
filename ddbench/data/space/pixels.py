"""Pixels of a set: its images taken back from the space of networks, exact, as bytes, or to look at.

``meanstd``, ``zca-kornia`` and ``zca-frepo`` give pixels back to float precision. ``zca-kip`` divided each image by its
own norm after taking off its own mean: contrast and brightness are gone, so such images can be looked at, and no more.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ddbench.core.api import CondensedSet, Preprocess
from ddbench.core.errors import CorruptFileError, DataError, UsageError
from ddbench.core.records import Record
from ddbench.core.specs import DataSpec
from ddbench.core.store import artifacts
from ddbench.data.prepared.on_disk import find
from ddbench.data.prepared.views import seen
from ddbench.data.space.ids import ZCA, constants, keeps_pixels
from ddbench.data.space.preprocess import MATRICES, fronts, load_whitening
from ddbench.data.space.split import open_splits

LEVELS = 255
"""Largest value of a pixel in files of images."""


class PictureWarning(UserWarning):
    """A picture does not show pixels as they are."""


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
    """``mean`` [D] and ``whiten`` [D, D] of a space; empty for spaces without."""
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
        plain = data.model_copy(update={"preprocess": "meanstd"})
        return open_splits(plain, device="cpu")[0].pixels(condensed.indices)
    if not keeps_pixels(condensed.preprocess.id):
        raise UsageError(f"images of {condensed.preprocess.id} space cannot be turned back into pixels")
    return _undone(condensed.images, condensed.preprocess, data, whitening)


def _undone(images: Tensor, space: Preprocess, data: DataSpec, whitening: Path | None) -> Tensor:
    """Preprocessing undone as far as it can be; values may lie outside [0, 1]."""
    if space.id not in ZCA:
        return unstandardise(images, space.mean, space.std)
    if whitening is None:
        raise DataError("the record names no whitening matrices")
    if ZCA[space.id] != "frepo":
        return unwhiten(images, space, whitening, (), ())
    mean, std = constants(seen(find(data.name, data.revision), data.view), space.id)
    return unwhiten(images, space, whitening, mean, std)


def unstandardise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Undo (x − mean) / std per channel of images [n, C, H, W]; values may lie outside [0, 1]."""
    shape = (1, -1, 1, 1)
    return images * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)


def unwhiten(images: Tensor, space: Preprocess, place: Path, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Undo the whitening of images, and what came before it as far as it can be undone.

    Args:
        images: [n, C, H, W] float32.
        space: What the set declares; names the whitening and the hash of its matrices.
        place: Folder of the ``zca`` artifact, or its file.
        mean: Per-channel mean of ``meanstd``, which ``zca-frepo`` standardised with.
        std: Per-channel standard deviation likewise.

    Returns:
        [n, C, H, W] float32; values may lie outside [0, 1]. Of ``zca-kip``: each image centred and of norm 1.

    Raises:
        DataError: If the matrices are missing, damaged, or others than the set declares.
    """
    centre, inverse = _inverse(space, place)
    rows = images.flatten(1).to(torch.float64) @ inverse + centre
    restored = rows.to(torch.float32).view_as(images)
    return unstandardise(restored, mean, std) if ZCA[space.id] == "frepo" else restored


@lru_cache(maxsize=1)
def _inverse(space: Preprocess, place: Path) -> tuple[Tensor, Tensor]:
    """Mean [D] and W⁻¹ [D, D], float64; kept, because the snapshots of one set are shown together."""
    device = torch.device("cpu")
    found = load_whitening(space.id, place, device, fronts((0.0,), (1.0,), device)["kornia"])
    if found.preprocess.matrices != space.matrices:
        raise DataError(f"{place}: other whitening matrices than those the set was made with")
    return found.mean.to(torch.float64), torch.linalg.inv(found.matrix.to(torch.float64))


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


# --------------------------------------------------------------------------------------------------- pixels to look at


def visible_pixels(condensed: CondensedSet, record: Record, *, stored: bool = False) -> Tensor:
    """Images [n, C, H, W] as pixels in [0, 1] to look at: un-normalised, un-whitened, clipped.

    Where pixels cannot be had, each image is stretched to its own range, and a :class:`PictureWarning` says why.

    Args:
        condensed: The set.
        record: Of its condensation: names its data and the whitening.
        stored: Show what the set stores, [m, C, h, w], instead of what networks see.

    Raises:
        UsageError: If ``stored`` is asked of a set that stores its images as they are.
        DataError: If the set names real images and their data is not prepared.
    """
    if stored and "codes" not in condensed.aux:
        raise UsageError("this set stores its images as networks see them: show it without --stored")
    data, space = data_of(record), condensed.preprocess
    if condensed.images is None:
        return pixels_of(condensed, data, None)
    images = condensed.aux["codes"] if stored else condensed.images
    if stored and space.id in ZCA:
        return _stretched(images, "whitening cannot be undone for stored images, which networks see enlarged")
    named = record.document.set.artifacts.get("whitening")
    try:
        shown = _undone(images, space, data, None if named is None else artifacts.folder_of(*named))
    except DataError as error:
        return _stretched(images, f"still whitened ({error})")
    if not keeps_pixels(space.id):
        return _stretched(shown, f"{space.id} keeps neither brightness nor contrast")
    return shown.clamp(0, 1)


def _stretched(images: Tensor, why: str) -> Tensor:
    warnings.warn(f"each image is stretched to its own range: {why}", PictureWarning, stacklevel=3)
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low).clamp_min(1e-12)
