"""Facts about a data set under a split, a view and a preprocessing; fast, because planning asks for them. No torch."""

from __future__ import annotations

import numpy as np

from ddbench.core.specs import DatasetInfo, DataSpec
from ddbench.data.prepared.on_disk import Prepared
from ddbench.data.prepared.splits import NO_VAL
from ddbench.data.prepared.views import Part, parts_of, seen
from ddbench.data.space.ids import constants


def describe(prepared: Prepared, spec: DataSpec) -> DatasetInfo:
    """What a cell may know about its data.

    Args:
        prepared: The data set that ``spec`` names.
        spec: Its split, view and preprocessing.

    Raises:
        UsageError: If the view or the preprocessing is impossible for this data set.
    """
    prepared = seen(prepared, spec.view)
    meta, record = prepared.meta, prepared.record
    mean, std = constants(prepared, spec.preprocess)
    parts = parts_of(prepared, spec.split, spec.view)
    return DatasetInfo(
        name=meta.name,
        revision=meta.revision,
        channels=meta.shape[1],
        size=prepared.size,
        classes=meta.classes,
        class_names=meta.class_names,
        counts=_counts(parts.train, meta.classes),
        val_counts=_counts(parts.val, meta.classes),
        n_test=len(parts.test.indices),
        default_arch=default_arch(prepared.size),
        flip=prepared.flip,
        mean=mean,
        std=std,
        levels=meta.levels,
        notes=tuple(note for note in meta.notes if spec.split != "paper" or not note.startswith(NO_VAL)),
        licence=None if record is None else record.licence,
        dc_augmentation=None if record is None else record.dc_augmentation,
        pool=prepared.pool,
    )


def default_arch(size: int) -> str:
    """The architecture used when the user names none: deeper for larger images.

    Args:
        size: Height = width [pixels].
    """
    if size < 16:
        return "convnet2-w32-in"
    return "convnet3-w128-in" if size < 48 else "convnet4-w128-in"


def _counts(part: Part, classes: int) -> tuple[int, ...]:
    return tuple(np.bincount(part.labels, minlength=classes).tolist())
