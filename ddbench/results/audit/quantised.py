"""Accuracy after uint8 quantisation, written into evaluations that exist.

For each evaluation of a set of synthetic images, its student is trained once more on the same set with images that went
through uint8 pixels (:mod:`ddbench.data.space.pixels`): same seed, same learning rate, so that the difference to
``top1`` is what quantisation costs. Real images are uint8 already: there it is ``top1``, and nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ddbench.core.records import Record
from ddbench.core.store.folder import GONE, Store, amend
from ddbench.data.space.ids import keeps_pixels
from ddbench.results.audit.retrain import MakeWorker, finished, train_again, with_its_rate
from ddbench.work.monitor import Monitor

if TYPE_CHECKING:
    from ddbench.core.api import CondensedSet

TOP1_UINT8 = "top1_uint8"
"""Metric of an evaluation: test accuracy [%] of its student trained on uint8 images."""
CLIPPED = "uint8_clipped"
"""Metric beside it: pixel values of the set outside [0, 1], which uint8 cannot keep [%]."""


@dataclass(frozen=True, slots=True)
class Job:
    """An evaluation that can have the metric.

    Attributes:
        path: Its file.
        record: Its content.
        why: Why it cannot be had, else None.
    """

    path: Path
    record: Record
    why: str | None = None

    @property
    def done(self) -> bool:
        """Whether it has the metric."""
        return TOP1_UINT8 in self.record.metrics

    @property
    def real(self) -> bool:
        """Whether its set only points to real images."""
        return self.record.evaluation.facts.kind not in ("distillation", "")

    @property
    def trains(self) -> bool:
        """Whether a student has to be trained for it."""
        return not (self.done or self.real or self.why)


def jobs_of(records: Iterable[tuple[Path, Record]], protocols: Iterable[str] = ()) -> list[Job]:
    """The evaluations with a result, as jobs.

    Args:
        records: With their paths.
        protocols: Ids without version to keep; none: all.
    """
    found = []
    for path, record in finished(records, protocols):
        space = record.document.cell.data.preprocess
        job = Job(path, record)
        lost = not (job.real or keeps_pixels(space))
        found.append(Job(path, record, f"images of {space} space cannot be turned back into pixels") if lost else job)
    return found


def note_quantised(store: Store, jobs: Iterable[Job], make: MakeWorker, watch: Monitor) -> Iterator[tuple[Job, str]]:
    """Train what has to be trained, and write ``top1_uint8`` and ``uint8_clipped`` into each record as it comes.

    Args:
        store: Holds the sets.
        jobs: From :func:`jobs_of`; those that are done or cannot be had are passed over.
        make: Gives the worker that trains.
        watch: Told when a student begins and ends.

    Yields:
        Each job that failed, or whose record is another by now, and why.

    Raises:
        UsageError: If a set is not there.
    """
    for job in jobs:
        record = job.record
        if job.done or job.why:
            continue
        if job.real:
            if why := _write(job, record.metrics["top1"], 0.0):
                yield job, why
            continue
        clipped: list[float] = []

        def change(condensed: CondensedSet, made: Record, told: list[float] = clipped) -> CondensedSet:
            from ddbench.data.space.pixels import data_of, quantised, whitening_of

            found, share = quantised(condensed, data_of(made), whitening_of(made))
            told.append(share)
            return found

        wanted = [(record, with_its_rate(record, record.evaluation.eval.e))]
        for _, _, again in train_again(store, wanted, make, watch, change):
            if again.status != "ok":
                yield job, f"{again.status}: {again.reason}"
            elif why := _write(job, again.metrics["top1"], clipped[0]):
                yield job, why


def _write(job: Job, top1: float, clipped: float) -> str | None:
    """Note it; returns why that could not be done."""
    told = amend(job.path, job.record, {TOP1_UINT8: top1, CLIPPED: clipped})
    return GONE if told is None else None
