"""Train a recorded student, or one more like it, without touching the results it is held against."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbench.core.documents import CellDocument, Choice, EvaluationDocument
from ddbench.core.errors import CorruptFileError, UsageError
from ddbench.core.keys import eval_key
from ddbench.core.records import Record
from ddbench.core.store.folder import CONDENSE, SET, Store, evaluation_path, write_record
from ddbench.plan.graph import Node
from ddbench.work.monitor import Monitor

if TYPE_CHECKING:
    from ddbench.core.api import CondensedSet
    from ddbench.work.attempt import Outcome


def remake(document: CellDocument, out: Path | None = None) -> str:
    """The command that makes a cell's set again, as advice."""
    cell, budget = document.cell, document.cell.budget
    size = f"--ipc {budget.ipc}" if budget.ipc is not None else f"--fraction {budget.fraction:g}"
    where = "" if out is None else f" --out {out}"
    names = f"--methods {document.called} --datasets {cell.data.name} {size}"
    return f"make it with `ddbench run {names}{where}` and what else the run was given"


def title_of(record: Record) -> str:
    """``dm ipc 1 r0 · hard@2 convnet2-w32-in``: an evaluation without its student."""
    document = record.evaluation
    where = f" {document.cell.budget.label} r{document.eval.r}"
    place = "" if document.whole else where  # a reference has one set for all of them
    half = "" if document.eval.precision == "fp32" else f" {document.eval.precision}"
    return f"{document.label}{place} · {document.protocol} {document.eval.arch}{half}"


def finished(records: Iterable[tuple[Path, Record]], protocols: Iterable[str] = ()) -> Iterator[tuple[Path, Record]]:
    """The reported evaluations with a result.

    Args:
        records: With their paths.
        protocols: Ids without version to keep; none: all.
    """
    names = set(protocols)
    for path, record in records:
        measured = record.kind == "evaluation" and record.status == "ok" and record.document.reported
        if measured and (not names or record.evaluation.eval.protocol in names):
            yield path, record


Change = Callable[["CondensedSet", Record], "CondensedSet"]
"""Makes of a stored set, and the record of its condensation, the one to train on instead."""


class Scratch(Store):
    """A results folder for a moment: it holds copies of the sets that students are trained on, and what they leave."""

    __slots__ = ()

    def folder(self, document: CellDocument) -> Path:
        """By key alone: here, also for references."""
        return self.out / document.key

    def lend(self, store: Store, document: CellDocument, change: Change | None = None) -> None:
        """Copy a set from a results folder, changed or as it is.

        Raises:
            UsageError: If it is not there (the set whose recipe a student follows may have been removed).
        """
        source, target = store.folder(document), self.folder(document)
        if not (source / SET).is_file():
            raise UsageError(f"{source}: holds no condensed set of {document.label!r} to train on; {remake(document)}")
        target.mkdir(parents=True, exist_ok=True)
        for name in (SET, CONDENSE):
            shutil.copyfile(source / name, target / name)
        if change is not None:
            condensed, record = self.load_set(target)
            record.set_sha256 = self.publish_set(target, change(condensed, record))
            write_record(target / CONDENSE, record)


RunNode = Callable[[EvaluationDocument], "Outcome"]
"""Trains the student of a document, or says why the plugins that are loaded cannot."""

MakeWorker = Callable[[Store, Mapping[str, Any]], RunNode]
"""Gets a results folder and the ``env`` of the record to compare with; returns what runs nodes there, on the device and
with the threads of that record if possible."""


def with_its_rate(record: Record, e: int, **params: Any) -> EvaluationDocument:
    """The document of student ``e`` beside a recorded one, whose learning rate it takes over.

    Args:
        record: The recorded evaluation.
        e: The student's number.
        params: Of the protocol, in place of the recorded ones.
    """
    document = record.evaluation
    changed = {"e": e, "protocol_params": document.eval.protocol_params | params}
    student = document.eval.model_copy(update=changed)
    several = len(student.protocol_params.get("lr", ())) > 1
    choice = Choice(key=record.key, set=document.set, r=document.eval.r) if several else None
    return document.model_copy(update={"key": eval_key(student), "eval": student, "choice": choice})


def train_again(
    store: Store,
    wanted: Iterable[tuple[Record, EvaluationDocument]],
    make: MakeWorker,
    watch: Monitor,
    change: Change | None = None,
) -> Iterator[tuple[Record, Path, Record]]:
    """Train students in a folder that is removed afterwards.

    Args:
        store: Holds the sets; nothing in it changes.
        wanted: Recorded evaluations, each with the document of the student to train: its own, or one of
            :func:`with_its_rate`.
        make: Gives the worker that trains.
        watch: Told when a student begins and ends.
        change: Applied to the sets first.

    Yields:
        The recorded evaluation, the file of the new predictions (gone after the last), and the new record. A student
        that the loaded plugins cannot train has one, too, which failed.

    Raises:
        UsageError: If a set is not there.
        CorruptFileError: If a file that a student reads is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="ddbench-again-") as place:
        scratch = Scratch(Path(place))
        for record, document in wanted:
            made, given = document.set, document
            scratch.lend(store, made, change)
            if document.recipe is not None:
                scratch.lend(store, document.recipe)
            if document.choice is not None:  # a record's own learning rate is the one that was chosen for it
                given = document.model_copy(update={"choice": Choice(key=record.key, set=made)})
                write_record(evaluation_path(scratch.folder(made), record.key), record)
            title = f"{title_of(record)} e{document.eval.e}"
            node = Node(title, given, (), record.cost.steps)
            watch.begin(node)
            outcome = make(scratch, record.env)(given)
            node.state, node.reason = ("cached", None) if outcome.status == "ok" else ("failed", outcome.reason)
            watch.end(node)
            if outcome.status == "damaged":
                raise CorruptFileError(f"{title}: {outcome.reason}")
            told = {"key": given.key, "status": outcome.status, "reason": outcome.reason}
            found = outcome.record or record.model_copy(update=told)
            yield record, evaluation_path(scratch.folder(made), found.key).with_suffix(".safetensors"), found
