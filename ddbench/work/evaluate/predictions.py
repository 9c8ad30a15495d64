"""What stored predictions say long after the student is gone: its accuracy, recounted. No torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddbench.core.errors import CorruptFileError
from ddbench.core.specs import DataSpec
from ddbench.data.prepared.on_disk import find
from ddbench.data.prepared.views import apply_view
from ddbench.data.readers.raw import Labels

Predictions = NDArray[np.int16]


def labels_of_test(data: DataSpec) -> Labels:
    """Labels of the test images, int64 [n_test], in the order of stored predictions.

    Raises:
        DataError: If the data set is not prepared.
    """
    prepared = find(data.name, data.revision)
    return apply_view(prepared, split=data.split, view=data.view).test.labels


def read_predictions(path: Path, n_test: int | None = None) -> Predictions:
    """The arg-max predictions that an evaluation stored, int16 [n_test].

    Args:
        path: The ``.safetensors`` file beside the record.
        n_test: How many there should be.

    Raises:
        CorruptFileError: If the file is missing, damaged, or holds another number of predictions.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found: Predictions = load(path.read_bytes())["predictions"]
    except (OSError, SafetensorError, KeyError) as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else f"holds no predictions ({error})"
        raise CorruptFileError(f"{path.name} {why}") from None
    if n_test is not None and found.shape != (n_test,):
        raise CorruptFileError(f"{path.name} holds {found.shape} predictions for {n_test} test images")
    return found


def recount(predictions: Predictions, labels: Labels) -> float:
    """Top-1 accuracy [%] of predictions [n] on labels [n]."""
    return 100.0 * float((predictions == labels).mean())
