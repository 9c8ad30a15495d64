"""Accuracy by difficulty quartile of the test images, from stored predictions, written into records that exist.

No student is trained again. A data set whose test images have no difficulty yet gets it first, from networks trained
for that (:mod:`ddbench.results.audit.difficulty`); no torch otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddbench.core.api import ArchInfo
from ddbench.core.errors import CorruptFileError
from ddbench.core.plugin.registry import Registry
from ddbench.core.records import Record
from ddbench.core.specs import TUNE, ArtifactSpec
from ddbench.core.store.folder import GONE, amend, removal
from ddbench.results.audit import difficulty
from ddbench.results.audit.retrain import finished
from ddbench.work.evaluate.predictions import labels_of_test, read_predictions

QUARTILES = "quartiles"
"""Metric of an evaluation: accuracy [%] in each quartile of its test images, easiest first."""
DIFFICULTY = "difficulty"
"""Metric beside it: 16 digits of the sha256 of what says which image is how hard. Quartiles of one value compare."""


@dataclass(frozen=True, slots=True)
class Noted:
    """An evaluation that has its quartiles now.

    Attributes:
        record: The record, with the metrics.
        changed: Whether its file was written.
    """

    record: Record
    changed: bool


def wanted(records: Iterable[tuple[Path, Record]]) -> list[tuple[Path, Record]]:
    """The evaluations that can have quartiles: reported ones with a result and with predictions beside them."""
    return [(path, record) for path, record in finished(records) if path.with_suffix(".safetensors").is_file()]


def note_quartiles(
    evaluations: Iterable[tuple[Path, Record]],
    families: Registry[ArchInfo],
    build: Callable[[ArtifactSpec], object],
) -> tuple[list[Noted], list[str]]:
    """Write ``quartiles`` and ``difficulty`` into the metrics of evaluations; keys and all else stay.

    Args:
        evaluations: From :func:`wanted`, with their paths.
        families: Registered architectures.
        build: Makes the difficulty of a data set that has none yet.

    Returns:
        The evaluations, and why some have none.

    Raises:
        DataError: If a data set is not prepared.
    """
    known: dict[str, tuple[NDArray[np.int64], str]] = {}
    found, problems = [], []
    for path, record in evaluations:
        data = record.document.cell.data
        if data.split == TUNE:
            why = f"{data.name} (split tune): scored on training images, which have no quartiles"
            problems += [why] * (why not in problems)
            continue
        spec = difficulty.difficulty_spec(data, families)
        key = difficulty.difficulty_key(spec)
        labels = labels_of_test(data)
        if len(labels) < difficulty.MIN_TEST:
            why = f"{data.name}: {len(labels)} test images make no quartiles; {difficulty.MIN_TEST} are the least"
            problems += [why] * (why not in problems)
            continue
        if key not in known:
            if (read := difficulty.read(spec)) is None:
                build(spec)
                read = difficulty.read(spec)
            assert read is not None
            known[key] = read
        quartile, digest = known[key]
        try:
            predictions = read_predictions(path.with_suffix(".safetensors"), len(quartile))
        except CorruptFileError as error:
            problems.append(f"{path.parent}: {error}; {removal(record)} and the same run make it again")
            continue
        hits = predictions == labels
        metrics = {QUARTILES: difficulty.accuracy_by_quartile(hits, quartile), DIFFICULTY: digest[:16]}
        changed = any(record.metrics.get(name) != value for name, value in metrics.items())
        if (told := amend(path, record, metrics)) is None:
            problems.append(f"{path}: {GONE}")
            continue
        found.append(Noted(told, changed))
    return found, problems
