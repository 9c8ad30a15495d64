"""One attempt at a node: what it is given, and how its end becomes an outcome and a record. No torch."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from ddbench.core.api import Limits
from ddbench.core.documents import Document, Recorded
from ddbench.core.plugin.loader import Registries
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.core.process_state import kept
from ddbench.core.provenance import environment
from ddbench.core.records import Cost, Record, Status, source_of
from ddbench.core.specs import DataSpec, Frozen
from ddbench.core.store.files import atomic_write, store_error
from ddbench.core.store.folder import Store, write_record
from ddbench.work.clock import CHECKPOINT_S, Clock
from ddbench.work.engine import Engine
from ddbench.work.failures import failure, is_nobodys, trace_of
from ddbench.work.interrupts import Interrupts
from ddbench.work.meter import Meter
from ddbench.work.monitor import Monitor
from ddbench.work.surroundings import Surroundings
from ddbench.work.timers import gpu_of

T = TypeVar("T")
D = TypeVar("D", bound=Document)


class Outcome(Frozen):
    """What became of a node, of whatever kind; it travels between processes as JSON.

    Attributes:
        status: ``ok``, the way in which it failed, or ``damaged``: a file that it reads was not what its record says,
            was set aside, and must be made again first.
        reason: Why there is no result.
        record: What the node left in the results folder; None for artifacts and for what did not start.
    """

    status: Status | Literal["damaged"]
    reason: str | None = None
    record: Record | None = None

    @classmethod
    def of(cls, record: Record) -> Outcome:
        """The outcome of a node that left a record."""
        return cls(status=record.status, reason=record.reason, record=record)


@dataclass(frozen=True, slots=True)
class Job(Generic[D]):
    """A node, and what it is run with.

    Attributes:
        document: All that says what to compute.
        store: Where results go.
        registries: Loaded plugins.
        engine: How the node is computed unless it is resumed.
        limits: Bounds.
        interrupts: Whether the user wants to stop.
        monitor: Who is told about progress.
        keep_logits: Store logits beside predictions.
    """

    document: D
    store: Store
    registries: Registries
    engine: Engine
    limits: Limits
    interrupts: Interrupts
    monitor: Monitor
    keep_logits: bool = False

    def clock(self) -> Clock:
        """A clock that starts now."""
        return Clock(self.interrupts, self.monitor, self.document.key, self.limits.timeout_s)

    def meter(self) -> Meter:
        """A meter whose level is the present one."""
        return Meter(gpu=gpu_of(self.engine.device), others=lambda: self.store.working_beside(self.document.key))


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """How guarded work ended: with a result, or with a status and a reason.

    Attributes:
        result: None where there is a reason.
        status: Of the node.
        reason: Why there is no result.
        warnings: What the work did to its process, for the record.
    """

    result: T | None
    status: Status
    reason: str | None
    warnings: tuple[str, ...] = ()


def guarded(job: Job[Any], work: Callable[[], T], folder: Path) -> Ended[T]:
    """Run ``work``; what goes wrong inside becomes a status and a reason, and the process is left as it was.

    The work starts from one state of the process (:mod:`ddbench.core.process_state`), whichever node ran before.

    Args:
        job: The node's.
        work: Calls plugins.
        folder: The node's.

    Raises:
        InterruptedRunError: If the user asked to stop.
        StoreError: If nothing can be written, an input is damaged, or what the node needs has vanished.
    """
    around = Surroundings.of(job.document)
    ended: Ended[T]
    with kept(seed=int(job.document.key[:8], 16)) as changes:
        try:
            ended = Ended(work(), "ok", None)
        except BaseException as error:  # whatever a plugin raises, SystemExit and its like included
            if is_nobodys(error, folder, job.interrupts):
                raise
            around.check()
            status, reason = failure(error)
            keep_log(job.store.log(job.document), status, reason, trace_of(error))
            ended = Ended(None, status, reason)
    return replace(ended, warnings=(f"its code {changes.text}",)) if changes.text else ended


def keep_log(path: Path, status: str, reason: str, text: str) -> None:
    """Write why a node failed, in place of what was written about an earlier attempt.

    Args:
        path: From :meth:`Store.log`.
        status: Of the node.
        reason: The one line of its record.
        text: The traceback, or what its process said last.

    Raises:
        StoreError: If it cannot be written.
    """
    atomic_write(path, f"{now()} {status}: {reason}\n{text}\n".encode(errors="backslashreplace"), durable=False)


def read_log(path: Path) -> str:
    """What :func:`keep_log` wrote; empty where there is nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def drop_log(path: Path) -> None:
    """Remove the log of a node that succeeds, or that fails for a reason that is another node's."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def now() -> str:
    """UTC time, ISO 8601 to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Attempt:
    """The beginning of a record: what it costs, and since when."""

    meter: Meter = field(default_factory=Meter)
    started: str = field(default_factory=now)

    def record(self, document: Recorded, ended: Ended[Any], cost: Cost, env: dict[str, Any]) -> Record:
        """The record of a node that ends now; metrics and the like are still to be filled in."""
        return Record(
            key=document.key, kind="condense" if document.kind == "cell" else "evaluation", status=ended.status,
            reason=ended.reason, source=source_of(document), document=document, cost=cost, env=env,
            started=self.started, finished=max(self.started, now()), warnings=[*ended.warnings],
        )  # fmt: skip


def environment_of(plugin: str, data: DataSpec, origins: Mapping[str, str], *parts: str) -> dict[str, Any]:
    """Versions and machine, and whose members took part in a node.

    Args:
        plugin: Who registered the method, or the artifact's kind.
        data: The data.
        origins: Of the node's spec; who is not named there is ddbench.
        parts: What else took part: ``arch``, ``protocol``; none where no registered member did.
    """
    others = {part: origins.get(part, FIRST_PARTY) for part in parts}
    return dict(environment(plugin, data=data.origin or FIRST_PARTY, **others))


def fail_unstarted(
    store: Store, document: Recorded, status: Status, reason: str, *, set_sha256: str | None = None
) -> Record:
    """Publish the failure of a cell or evaluation that could not be started, with the status of what it needed.

    Args:
        store: Where.
        document: The node's.
        status: Of what it needed.
        reason: One line.
        set_sha256: Of the set that an evaluation would have been of, if it is there.
    """
    path = store.result(document)
    make_folder(path.parent)
    drop_log(store.log(document))
    spec = document.cell
    env = environment_of(spec.origin, spec.data, spec.origins, *spec.origins)
    record = Attempt().record(document, Ended(None, status, reason), Cost(), env)
    record.set_sha256 = set_sha256
    write_record(path, record, durable=False)
    return record


def publish(path: Path, record: Record, checkpoint: Path, log: Path) -> Outcome:
    """Write the record of a node, last of all its files; then its checkpoint goes, unless time was up.

    Args:
        path: The record's file.
        record: What the node says.
        checkpoint: Of the node, if there is one.
        log: Of the node, which goes if it succeeds.

    Raises:
        StoreError: If it cannot be written.
    """
    cost = record.cost
    if record.status == "ok":
        drop_log(log)
    long = cost.prepare_s + cost.condense_s + cost.evaluate_s >= CHECKPOINT_S
    write_record(path, record, durable=long)  # what a power failure may take is no more than between two checkpoints
    if record.status != "timeout":
        checkpoint.unlink(missing_ok=True)
    return Outcome.of(record)


def make_folder(folder: Path) -> Path:
    """Create a folder; returns it.

    Raises:
        StoreError: If that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise store_error(folder, error) from error
    return folder
