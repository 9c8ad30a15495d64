"""``npz:PATH``: a NumPy archive with x_train, y_train and, optionally, x_val, y_val, x_test, y_test. No torch."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError
from ddbench.data.readers.raw import PARTS, Labels, Pixels, RawDataset

LARGEST = 64 << 30
"""Bytes that an archive may unpack to."""


def read(path: Path) -> RawDataset:
    """Read images [N, H, W], [N, H, W, C] or [N, C, H, W], uint8 or floats in [0, 1], and integer labels [N].

    K is the largest training label + 1. Floats are rounded to 255 levels, which a note says. Nothing is unpickled.

    Raises:
        DataError: If an array is missing or of another form.
    """
    _refuse_bomb(path)
    try:
        archive = np.load(path, allow_pickle=False)
        names = set(archive.files)
    except Exception as error:  # not a zip, a single array, no file at all
        raise DataError(f"{path}: not an .npz archive ({error})") from error
    fields: dict[str, Any] = {}
    notes: list[str] = []
    with archive:
        for part in PARTS:
            x, y = f"x_{part}", f"y_{part}"
            if part != "train" and not names & {x, y}:
                continue
            if not {x, y} <= names:
                raise DataError(f"{path}: needs both {x} and {y}; it holds {', '.join(sorted(names)) or 'nothing'}")
            images, labels = _array(archive, x), _array(archive, y)
            if images.dtype.kind == "f":
                notes.append(f"{x}: {images.dtype} pixels were rounded to 8 bits")
            fields[f"{part}_images"], fields[f"{part}_labels"] = _pixels(images, x), _labels(labels, y)
    classes = int(fields["train_labels"].max(initial=-1)) + 1
    return RawDataset(class_names=tuple(map(str, range(classes))), notes=tuple(notes), **fields)


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that unpacks to more than anyone could mean.

    Raises:
        DataError: If it does.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return  # whoever reads it says so
    if size > LARGEST:
        raise DataError(f"{path}: would unpack to {size / 2**30:,.0f} GiB")


def _array(archive: Any, name: str) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = archive[name]
    except Exception as error:  # object arrays (refused), damaged members
        raise DataError(f"{name} cannot be read: {error}") from error
    return array


def _pixels(images: npt.NDArray[Any], name: str) -> Pixels:
    """As uint8 [N, C, H, W]."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(f"{name} has shape {list(images.shape)}; expected [N, H, W], [N, H, W, C] or [N, C, H, W]")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DataError(f"{name} is {images.dtype}; expected uint8, or floats in [0, 1]")
    if not images.size or not (images.min() >= 0 and images.max() <= 1):  # NaN fails too
        raise DataError(f"{name} holds floats outside [0, 1]; scale them, or store uint8")
    return np.concatenate(
        [np.rint(part * 255).astype(np.uint8) for part in np.array_split(images, len(images) // 4096 + 1)]
    )


def _labels(labels: npt.NDArray[Any], name: str) -> Labels:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{name} is {labels.dtype}{list(labels.shape)}; expected integers [N] in 0..K-1")
    return labels.astype(np.int64)
