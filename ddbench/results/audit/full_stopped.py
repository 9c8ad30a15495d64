"""``full`` stopped at a method's seconds, written into evaluations that exist.

A set costs its condensing, the artifacts it reads, and the student that is trained on it. For each evaluation of a set,
``full`` of the same repetition, protocol and student is trained for no longer than these seconds, at the pace and the
learning rate of its own record: what all images would have given for the same time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ddbench.core.documents import EvaluationDocument
from ddbench.core.keys import canonical
from ddbench.core.records import Record, Timer, first_known
from ddbench.core.store.folder import GONE, Store, amend
from ddbench.plan.collect import place_of
from ddbench.results.audit.retrain import MakeWorker, finished, title_of, train_again, with_its_rate
from ddbench.work.monitor import Monitor

STOPPED = "full_stopped"
"""Metric of an evaluation: test accuracy [%] of ``full`` stopped when its set's student was done."""
UPDATES = "full_stopped_updates"
"""Metric beside it: how many updates that were."""
BY = "full_stopped_by"
"""Metric beside it: which seconds it was stopped by."""
DIGITS = 2
"""Digits of ``updates`` that are kept, rounded down: methods that took about as long are held against one student."""


@dataclass(frozen=True, slots=True)
class Job:
    """An evaluation that can have the metric.

    Attributes:
        path: Its file.
        record: Its content.
        full: The evaluation of ``full`` beside it; None where it is not needed, or ``why`` says that it is missing.
        updates: Updates of ``full`` that fit into its seconds, rounded down; at most those that ``full`` has.
        timer: Which seconds these are.
        why: Why it cannot be had, else None.
    """

    path: Path
    record: Record
    full: Record | None
    updates: int
    timer: Timer = "wall"
    why: str | None = None

    @property
    def done(self) -> bool:
        """Whether it has the metric."""
        return STOPPED in self.record.metrics

    @property
    def student(self) -> tuple[str, int] | None:
        """Which student has to be trained for it, alike for all that share one; None for none."""
        if self.done or self.full is None or self.updates == _length(self.full):
            return None
        return self.full.key, self.updates


def jobs_of(records: Iterable[tuple[Path, Record]], out: Path, protocols: Iterable[str] = ()) -> list[Job]:
    """The evaluations of a results folder with a result, as jobs; references are not among them.

    Args:
        records: With their paths; of references, which are shared, also from outside of ``out``.
        out: The results folder.
        protocols: Ids without version to keep; none: all.
    """
    known = list(records)
    sets = {record.key: record for _, record in known if record.kind == "condense"}
    evaluations = [(path, record) for path, record in finished(known, protocols) if record.source == "measured"]
    fulls = {place_of(record): record for _, record in evaluations if record.evaluation.whole}
    places = {path: place for place, (path, _) in enumerate(evaluations)}
    found = list[Job]()
    compared: dict[str, list[tuple[Path, Record, Record, Record]]] = {}
    for path, record in evaluations:
        if record.evaluation.whole or out not in path.parents:
            continue
        full, made = fulls.get(place_of(record)), sets.get(record.evaluation.eval.set)
        if STOPPED in record.metrics:
            found.append(Job(path, record, None, 0))
        elif full is None or made is None:
            what = "full was not measured there" if full is None else "the record of its set is missing"
            found.append(Job(path, record, None, 0, why=f"{_where(record)}: {what}"))
        else:
            compared.setdefault(_table_of(record), []).append((path, record, full, made))
    for members in compared.values():
        timer = _timer_of(members)
        for path, record, full, made in members:
            seconds = seconds_of(made, record, timer)
            assert seconds is not None
            found.append(Job(path, record, full, fitting(seconds, full, timer), timer))
    return sorted(found, key=lambda job: places[job.path])


def _table_of(record: Record) -> str:
    """What evaluations share that stand in one table: their seconds are compared."""
    document = record.evaluation
    data = document.cell.data.model_dump(mode="json")
    return canonical([data, document.protocol, document.profile, document.eval.arch])


def _timer_of(members: Iterable[tuple[Path, Record, Record, Record]]) -> Timer:
    """The seconds that all of a table have: of a GPU, else of the CPU, else on the wall."""
    known = list(members)
    return first_known(
        lambda timer: all(
            seconds_of(made, record, timer) is not None and full.train_s(timer) for _, record, full, made in known
        )
    )


def seconds_of(made: Record, student: Record, timer: Timer) -> float | None:
    """All that a set costs: condensing it, what it can open of the artifacts it reads, one student [s].

    Args:
        made: Record of its condensation.
        student: Of the evaluation.
        timer: Which seconds; None is returned where one of them was not measured.
    """
    spent, student_s = made.cost.by(timer), student.train_s(timer)
    if spent is None or spent.artifact_s is None or student_s is None:
        return None
    return spent.prepare_s + spent.condense_s + spent.artifact_s + student_s


def fitting(seconds: float, full: Record, timer: Timer) -> int:
    """Updates of ``full`` that fit into ``seconds`` at its pace, to two digits: at least one, at most all it has."""
    length, whole_s = _length(full), full.train_s(timer)
    updates = min(length, math.floor(length * seconds / whole_s)) if whole_s else length
    unit = 10 ** max(0, len(str(updates)) - DIGITS)
    return updates if updates == length else max(1, updates // unit * unit)


def note_stopped(store: Store, jobs: Iterable[Job], make: MakeWorker, watch: Monitor) -> Iterator[tuple[Job, str]]:
    """Train what has to be trained, each student once, and write both metrics into the records as they come.

    Args:
        store: Holds the records.
        jobs: From :func:`jobs_of`; those that are done or cannot be had are passed over.
        make: Gives the worker that trains.
        watch: Told when a student begins and ends.

    Yields:
        Each job that failed, or whose record is another by now, and why.
    """
    waiting: dict[tuple[str, int] | None, list[Job]] = {}
    for job in jobs:
        if not job.done and job.full is not None:
            waiting.setdefault(job.student, []).append(job)
    for job in waiting.pop(None, []):
        assert job.full is not None
        yield from _write(job, job.full.metrics["top1"])
    for group in waiting.values():
        full = group[0].full
        assert full is not None
        for _, _, again in train_again(store, [(full, _shorter(full, group[0].updates))], make, watch):
            for job in group:
                if again.status == "ok":
                    yield from _write(job, again.metrics["top1"])
                else:
                    yield job, f"{again.status}: {again.reason}"


def _write(job: Job, top1: float) -> Iterator[tuple[Job, str]]:
    if amend(job.path, job.record, {STOPPED: top1, UPDATES: job.updates, BY: job.timer}) is None:
        yield job, GONE


def _shorter(full: Record, updates: int) -> EvaluationDocument:
    """The document of a reference's student that ends after ``updates``, its rate dropped halfway if at all."""
    student = full.evaluation.eval
    drop = {"drop_after": math.ceil(updates / 2)} if "drop_after" in student.protocol_params else {}
    return with_its_rate(full, student.e, updates=updates, **drop)


def _length(full: Record) -> int:
    return int(full.evaluation.eval.protocol_params["updates"])


def _where(record: Record) -> str:
    return f"{record.document.cell.data.name} {title_of(record).rpartition(' · ')[2]}"
