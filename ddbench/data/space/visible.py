"""Pixels to look at: a set's images taken back from the space of networks, as NumPy arrays. No torch.

``meanstd``, ``zca-kornia`` and ``zca-frepo`` give pixels back to float precision. ``zca-kip`` divided each image by its
own norm after taking off its own mean: contrast and brightness are gone, so such images can be looked at, and no more.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError, UsageError
from ddbench.core.records import Record
from ddbench.core.sets import CondensedSet, Preprocess
from ddbench.core.specs import DataSpec
from ddbench.core.store import artifacts
from ddbench.data.prepared.on_disk import find
from ddbench.data.prepared.splits import Indices
from ddbench.data.prepared.views import parts_of, seen
from ddbench.data.space.ids import ZCA, constants, keeps_pixels
from ddbench.data.space.matrices import read_matrices

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]


class PictureWarning(UserWarning):
    """A picture does not show pixels as they are."""


def visible_pixels(condensed: CondensedSet, record: Record, *, stored: bool = False) -> Floats:
    """Images [n, C, H, W] as pixels in [0, 1] to look at: un-normalised, un-whitened, clipped.

    Where pixels cannot be had, each image is stretched to its own range, and a :class:`PictureWarning` says why.

    Args:
        condensed: The set; its parts are tensors on the CPU, or arrays.
        record: Of its condensation: names its data and the whitening.
        stored: Show what the set stores, [m, C, h, w], instead of what networks see.

    Raises:
        UsageError: If ``stored`` is asked of a set that stores its images as they are.
        DataError: If the set names real images and their data is not prepared.
    """
    if stored and "codes" not in condensed.aux:
        raise UsageError("this set stores its images as networks see them: show it without --stored")
    if stored and condensed.aux["codes"].ndim != 4:
        raise UsageError("what this set stores are no pictures: show it without --stored")
    data, space = record.document.cell.data, condensed.preprocess
    if condensed.images is None:
        return real_pixels(data, np.asarray(condensed.indices))
    images = np.asarray(condensed.aux["codes"] if stored else condensed.images)
    if stored and space.id in ZCA:
        return _stretched(images, "whitening cannot be undone for stored images, which networks see enlarged")
    named = record.document.set.artifacts.get("whitening")
    try:
        shown = undone(images, space, data, None if named is None else artifacts.folder_of(*named))
    except DataError as error:
        return _stretched(images, f"still whitened ({error})")
    if not keeps_pixels(space.id):
        return _stretched(shown, f"{space.id} keeps neither brightness nor contrast")
    return shown.clip(0, 1)


def _stretched(images: Floats, why: str) -> Floats:
    warnings.warn(f"each image is stretched to its own range: {why}", PictureWarning, stacklevel=3)
    low, high = images.min((1, 2, 3), keepdims=True), images.max((1, 2, 3), keepdims=True)
    stretched: Floats = (images - low) / np.maximum(high - low, np.float32(1e-12))
    return stretched


def real_pixels(data: DataSpec, indices: Indices) -> Floats:
    """Images of train as the view shows them, float32 [n, C, H, W] in [0, 1].

    Args:
        data: Whose train.
        indices: [n] positions in train.

    Raises:
        DataError: If the data set is not prepared.
    """
    prepared = seen(find(data.name, data.revision), data.view)
    where = parts_of(prepared, data.split, data.view).train.indices
    shown: Floats = prepared.pixels(where[indices]).astype(np.float32)
    return shown / np.float32(prepared.meta.levels)


def undone(images: Floats, space: Preprocess, data: DataSpec, whitening: Path | None) -> Floats:
    """Preprocessing undone as far as it can be; values may lie outside [0, 1].

    Args:
        images: [n, C, H, W].
        space: What their set declares.
        data: Where the set comes from.
        whitening: Folder of the ``zca`` artifact, for spaces that need it.

    Raises:
        DataError: If the whitening matrices are missing, or others than the set declares.
    """
    if space.id not in ZCA:
        return unstandardise(images, space.mean, space.std)
    if whitening is None:
        raise DataError("the record names no whitening matrices")
    if ZCA[space.id] != "frepo":
        return unwhiten(images, space, whitening, (), ())
    mean, std = constants(seen(find(data.name, data.revision), data.view), space.id)
    return unwhiten(images, space, whitening, mean, std)


def unstandardise(images: Floats, mean: Sequence[float], std: Sequence[float]) -> Floats:
    """Undo (x − mean) / std per channel of images [n, C, H, W]; values may lie outside [0, 1]."""
    centre, scale = (np.array(part, np.float32)[:, None, None] for part in (mean, std))
    return images * scale + centre


def unwhiten(images: Floats, space: Preprocess, place: Path, mean: Sequence[float], std: Sequence[float]) -> Floats:
    """Undo the whitening of images, and what came before it as far as it can be undone.

    Args:
        images: [n, C, H, W].
        space: What the set declares; names the whitening and the hash of its matrices.
        place: Folder of the ``zca`` artifact, or its file.
        mean: Per-channel mean of ``meanstd``, which ``zca-frepo`` standardised with.
        std: Per-channel standard deviation likewise.

    Returns:
        [n, C, H, W]; values may lie outside [0, 1]. Of ``zca-kip``: each image centred and of norm 1.

    Raises:
        DataError: If the matrices are missing, damaged, or others than the set declares.
    """
    centre, inverse = _inverse(space, place)
    rows = inverse(images.reshape(len(images), -1).astype(np.float64)) + centre
    restored = rows.astype(np.float32).reshape(images.shape)
    return unstandardise(restored, mean, std) if ZCA[space.id] == "frepo" else restored


@lru_cache(maxsize=1)
def _inverse(space: Preprocess, place: Path) -> tuple[Doubles, Callable[[Doubles], Doubles]]:
    """Mean [D], and rows [n, D] → rows W⁻¹; kept, because the snapshots of one set are shown together."""
    found = read_matrices(place)
    if found.sha256 != space.matrices:
        raise DataError(f"{place}: other whitening matrices than those the set was made with")
    mean = found.mean.astype(np.float64)
    if found.whiten is not None:
        inverse: Doubles = np.linalg.inv(found.whiten.astype(np.float64))
        return mean, lambda rows: rows @ inverse
    assert found.factor is not None
    factor, rest = found.factor.astype(np.float64), found.rest
    small = np.linalg.inv(rest * np.eye(factor.shape[1]) - factor.T @ factor)  # Woodbury: n × n instead of D × D
    return mean, lambda rows: (rows + rows @ factor @ small @ factor.T) / rest
