"""Numbers of classes that nobody has named: they count from 0, or from 1 and are then shifted with a word. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError
from ddbench.data.readers.raw import Labels, PartName

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Numbered:
    """Labels that count from 0.

    Attributes:
        labels: Of each part, int64 [N].
        class_names: The numbers that the source gives them.
        notes: What was changed.
    """

    labels: dict[PartName, Labels]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def whole(labels: npt.NDArray[Any], name: str) -> Labels:
    """Labels [N] or [N, 1] as int64; floats are taken where all are whole.

    Raises:
        DataError: If they are no integers, too large, or several for an image.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "biuf":
        hint = f": {_several(labels)}" if labels.ndim == 2 and labels.dtype.kind in "biuf" else ""
        raise DataError(f"{name} is {labels.dtype}{list(labels.shape)}; expected integers [N] in 0..K-1{hint}")
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
        raise DataError(
            f"{name} is {labels.dtype}{list(labels.shape)} and not all are whole; expected integers in 0..K-1"
        )
    if labels.size and float(labels.max()) >= 2.0**63:
        raise DataError(f"{name} holds {labels.max()}; labels are the numbers of classes, 0..K-1")
    return labels.astype(np.int64)


def _several(labels: npt.NDArray[Any]) -> str:
    """Why labels [N, K] are not read."""
    if not np.isin(labels, (0, 1)).all():
        return "soft labels, or labels for several things at once (multi-label), are not read"
    ones = (labels == 1).sum(axis=1)
    odd = np.flatnonzero(ones != 1)
    if not len(odd):
        return "one-hot labels are not read: store the number of each image's class, labels.argmax(1)"
    count = f"{ones[odd[0]]} classes" if ones[odd[0]] else "no class"
    return f"image {odd[0]} has {count}, and multi-label data are not read: one class for each image"


def numbered(labels: Mapping[PartName, Labels], names: Mapping[PartName, str]) -> Numbered:
    """Classes of labels without names: 0 … K-1 as they are, 1 … K with 1 subtracted, which a note says.

    Args:
        labels: Of each part, int64 [N].
        names: What the labels of each part are called in the source.

    Raises:
        DataError: If a label is negative, or if no training image has one of the numbers up to the largest.
    """
    train, called = labels["train"], names["train"]
    for part, found in labels.items():
        if len(found) and found.min() < 0:
            raise DataError(
                f"{names[part]} holds labels from {found.min()} to {found.max()}; labels count from 0"
                + (
                    " (a label of -1 usually means that the source keeps its labels secret)"
                    if part != "train" and found.min() == -1
                    else f": add {-found.min()} to all"
                )
            )
    values = np.unique(train)
    if not len(values):
        return Numbered(dict(labels), ())
    most = int(values[-1])
    from_one = len(values) == most and int(values[0]) == 1
    zero_elsewhere = [names[part] for part, found in labels.items() if len(found) and found.min() == 0]
    if from_one and not zero_elsewhere:
        changed = "labels count from 0: 1 was subtracted, classes keep the source's numbers"
        note = f"{called} counts from 1 to {most}; {changed}"
        shifted = {part: found - 1 for part, found in labels.items()}
        return Numbered(shifted, tuple(map(str, values)), (note,))
    if len(values) <= most:
        raise DataError(
            f"no image of {called} has label {_missing(values)}; labels must be 0..K-1 without gaps: number the classes"
            " that there are anew" + (f" ({zero_elsewhere[0]} has label 0)" if from_one else "")
        )
    return Numbered(dict(labels), tuple(map(str, values)))


def _missing(values: npt.NDArray[np.int64]) -> str:
    """The first numbers that are missing below the largest: ``1, 3 or 4``."""
    found: list[str] = []
    taken, most, number = set(values.tolist()), int(values[-1]), 0
    while number < most and len(found) <= _LISTED:
        if number not in taken:
            found.append(str(number))
        number += 1
    if len(found) > _LISTED:
        return f"{', '.join(found[:_LISTED])} …"
    return " or ".join([", ".join(found[:-1]), found[-1]]) if len(found) > 1 else found[0]
