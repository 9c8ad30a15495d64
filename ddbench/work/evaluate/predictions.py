"""What stored predictions say long after the student is gone: its accuracy, recounted. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ddbench.core.agreement import CLOSE, column_of
from ddbench.core.api import DatasetRecord
from ddbench.core.correctness import pack, unpack
from ddbench.core.errors import CorruptFileError, DDBenchError
from ddbench.core.plugin.registry import Registry
from ddbench.core.records import Record
from ddbench.core.specs import DataSpec
from ddbench.core.store.files import read_small
from ddbench.core.trust import wrong_mean, wrong_per_class
from ddbench.data.prepared.on_disk import find
from ddbench.data.prepared.views import apply_view, seen
from ddbench.data.readers.raw import Labels

_UNDECLARED = Registry("data set", "ddbench list datasets", DatasetRecord)
"""No data set is registered: labels are the same whatever a record declares, and no plugin is loaded for them."""
Predictions = NDArray[np.int16]
MOST_BYTES = 1 << 31
"""Of a file of predictions, with logits."""
_Place: TypeAlias = tuple[str, str, str, str]


@dataclass(slots=True)
class Recounter:
    """Whether accuracies and sizes in records agree with the images and labels, where their data set is prepared here.

    A :data:`ddbench.core.store.folder.Recount`. Who was right is read from the record, of older ones from the stored
    predictions beside it.

    Attributes:
        known: Data that records were of, None where they are not here.
    """

    known: dict[_Place, _Data | None] = field(default_factory=dict)

    def __call__(self, path: Path, record: Record) -> str | None:
        """Why a record's accuracies and sizes are not those that are counted; None: they are, or nobody can tell.

        Args:
            path: Its file.
            record: The record, of which :func:`ddbench.core.trust.doubt` had nothing to say.
        """
        if record.kind != "evaluation" or record.status != "ok":
            return None
        if (data := self._data(record.evaluation.cell.data)) is None:
            return None
        if (why := _wrong_size(record, data)) is not None:
            return why
        correct, labels = record.metrics.get("correct"), data.labels
        if correct is not None and record.n_test is not None:
            return wrong_per_class(record, unpack(correct, record.n_test), labels)
        try:
            predictions = read_predictions(path.with_suffix(".safetensors"), len(labels))
        except CorruptFileError:  # `results verify` says so, and beside a file of records there are none
            return wrong_mean(record, np.bincount(labels).tolist())
        return wrong_accuracies(record, predictions, labels)

    def _data(self, data: DataSpec) -> _Data | None:
        place = data.name, data.revision, data.split, repr(data.view)
        if place not in self.known:
            try:
                self.known[place] = _data_of(data)
            except (DDBenchError, OSError):
                self.known[place] = None
        return self.known[place]


class _Data(NamedTuple):
    """A data set that is prepared here, after split and view.

    Attributes:
        labels: [n_test] int64 of the test images.
        counts: [K] training images of each class.
        sizes: What facts of its evaluations say of it, by their names.
    """

    labels: Labels
    counts: tuple[int, ...]
    sizes: dict[str, int]


def _data_of(data: DataSpec) -> _Data:
    prepared = seen(find(data.name, data.revision, _UNDECLARED), data.view)
    parts = apply_view(prepared, split=data.split, view=data.view)
    sizes = {"n_train": len(parts.train.labels), "n_val": len(parts.val.labels)}
    sizes["image_bytes"] = prepared.meta.shape[1] * prepared.size**2
    return _Data(parts.test.labels, tuple(np.bincount(parts.train.labels).tolist()), sizes)


def _wrong_size(record: Record, data: _Data) -> str | None:
    """How the sizes that an evaluation says differ from its data; None: they do not."""
    document = record.evaluation
    wanted = data.sizes if document.whole else data.sizes | {"n": sum(column_of(document).resolve(data.counts))}
    for name, size in wanted.items():
        if (told := getattr(document.facts, name)) not in (None, size):
            return f"facts.{name} is {told}, but {size} is counted"
    n_test = record.n_test
    return None if n_test in (None, len(data.labels)) else f"n_test is {n_test}, but {len(data.labels)} are counted"


def wrong_accuracies(record: Record, predictions: Predictions, labels: Labels) -> str | None:
    """How what a record says of its student differs from its predictions; None: it does not.

    Args:
        record: An evaluation with a result.
        predictions: [n_test] from :func:`read_predictions`.
        labels: [n_test] from :func:`labels_of_test`.
    """
    if len(labels) != len(predictions) or record.n_test not in (None, len(labels)):
        return f"{len(predictions)} predictions, n_test {record.n_test}, for {len(labels)} test images"
    counted, said = recount(predictions, labels), record.metrics["top1"]
    if not math.isclose(counted, said, abs_tol=CLOSE):
        return f"top1 {said:g}, but its predictions give {counted:g}"
    hits, correct = predictions == labels, record.metrics.get("correct")
    if correct is not None and correct != pack(hits):
        return "metrics.correct says other images than its predictions"
    return wrong_per_class(record, hits, labels)


def labels_of_test(data: DataSpec) -> Labels:
    """Labels of the test images, int64 [n_test], in the order of stored predictions.

    Raises:
        DataError: If the data set is not prepared.
    """
    prepared = find(data.name, data.revision, _UNDECLARED)
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
        found: Predictions = load(read_small(path, MOST_BYTES))["predictions"]
    except (OSError, SafetensorError, KeyError, ValueError, CorruptFileError) as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else f"holds no predictions ({error})"
        raise CorruptFileError(f"{path.name} {why}") from None
    if n_test is not None and found.shape != (n_test,):
        raise CorruptFileError(f"{path.name} holds {found.shape} predictions for {n_test} test images")
    return found


def recount(predictions: Predictions, labels: Labels) -> float:
    """Top-1 accuracy [%] of predictions [n] on labels [n]."""
    return 100.0 * float((predictions == labels).mean())
