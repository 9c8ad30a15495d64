"""What a cluster runs: the nodes of one job, one after the other, in a process of their own beside this one. No torch.

What crosses is a JSON text and the name of :func:`run_job`. The nodes run by the executor ``processes`` with one
worker: isolation, limits, losses and logs are those of a run on one machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ddbench.core.documents import ArtifactDocument, CellDocument, Document, EvaluationDocument, parse
from ddbench.core.errors import InterruptedRunError
from ddbench.core.keys import short
from ddbench.core.plugin.loader import one_file_plugins
from ddbench.core.specs import Frozen
from ddbench.core.store import jobs
from ddbench.core.store.artifacts import manifest
from ddbench.core.store.claims import SEEN_WITHIN_S, Claim, Watch, acquire, release
from ddbench.core.store.folder import Store, evaluation_path
from ddbench.work.attempt import Outcome
from ddbench.work.evaluate.predictions import Recounter
from ddbench.work.executors.base import Resources, Run
from ddbench.work.executors.devices import VARIABLE
from ddbench.work.executors.processes import Processes
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent

Steps: TypeAlias = tuple[str, int, int, str, dict[str, float]]
"""Key of a node, steps done, of how many, of what, and metrics."""
WAIT_S = 0.2


class Packed(Frozen):
    """A node of a job.

    Attributes:
        document: Its document.
        resources: What it may use.
    """

    document: dict[str, Any]
    resources: Resources


class Job(Frozen):
    """All that crosses to where nodes run.

    Attributes:
        name: Of the job; empty: nobody reads a report of it.
        out: Results folder.
        home: ``DDBENCH_HOME``.
        plugins: One-file plugins.
        keep_logits: Store logits beside predictions.
        device: Where most nodes run.
        nodes: What to run.
    """

    name: str
    out: str
    home: str
    plugins: tuple[str, ...] = ()
    keep_logits: bool = False
    device: str = "cpu"
    nodes: tuple[Packed, ...]


def run_job(
    text: str, place: str = "", *, keep: bool = False, tell: Callable[[Steps], None] | None = None
) -> str:  # fmt: skip
    """Run the nodes of a job.

    Lines of its report are ``{"key", "begun"}`` and ``{"key", "outcome"}``.

    Args:
        text: A :class:`Job` as JSON.
        place: What people call the place where it runs: ``slurm job 71_3``.
        keep: Whether the process that runs nodes is kept for the next job of the same folders: it imports torch once.
        tell: Is told about the steps of nodes.

    Returns:
        JSON, ``{"outcomes": {KEY: OUTCOME | null}, "stopped": BOOL}``: null where another run published the node;
        ``stopped``: a signal came, and the nodes that are not named were not finished.

    Raises:
        StoreError: If nothing can be written.
    """
    job = Job.model_validate_json(text)
    os.environ["DDBENCH_HOME"] = job.home
    interrupts = Interrupts()
    with _stopping(interrupts):
        outcomes = _Work(job, interrupts, place, keep, tell).done()
    said = {key: None if one is None else one.model_dump(mode="json", by_alias=True) for key, one in outcomes.items()}
    return json.dumps({"outcomes": said, "stopped": interrupts.requested})


@contextlib.contextmanager
def _stopping(interrupts: Interrupts) -> Iterator[None]:
    """A block that a signal asks to checkpoint and end; it is left without an exception then."""
    with interrupts.installed(), interrupts.deferred():
        yield


@dataclass
class _Beats(Silent):
    """Lets the claim on the running node know of its steps, and whoever else wants to hear of them."""

    claims: dict[str, Claim] = field(default_factory=dict)
    tell: Callable[[Steps], None] | None = None

    def progress(self, key: str, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """The running node is a step further."""
        if (claim := self.claims.get(key)) is not None:
            claim.beat(last=done >= total, at=(done, total, what))
        if self.tell is not None:
            self.tell((key, done, total, what, dict(metrics)))


@dataclass
class _Place:
    """A process that runs nodes; ``mark``: all that it was started with."""

    mark: tuple[object, ...]
    store: Store
    beats: _Beats
    processes: Processes
    plugins: ExitStack

    @classmethod
    def of(cls, job: Job) -> _Place:
        """The one that an earlier job left, or a new one."""
        mark = (job.out, job.home, job.plugins, job.keep_logits, job.device, os.environ.get(VARIABLE))
        while _kept:
            place = _kept.pop()
            if place.mark == mark:
                return place
            place.close()
        with ExitStack() as loaded:
            registries = loaded.enter_context(one_file_plugins(map(Path, job.plugins)))
            store, beats = Store(Path(job.out), Recounter()), _Beats()
            run = Run(store, registries, 1, Interrupts(), beats, job.keep_logits, (), job.device)
            return cls(mark, store, beats, Processes(run), loaded.pop_all())

    def close(self) -> None:
        """Wait until its process has ended."""
        with self.plugins:
            self.processes.close()


_kept: list[_Place] = []
"""The place that the next job of this process may go on with."""


@dataclass
class _Work:
    """The nodes of a job on their way."""

    job: Job
    interrupts: Interrupts
    called: str
    keep: bool
    tell: Callable[[Steps], None] | None
    watch: Watch = field(default_factory=Watch)
    report: jobs.Report | None = None
    outcomes: dict[str, Outcome | None] = field(default_factory=dict)

    def done(self) -> dict[str, Outcome | None]:
        """Run them; the outcome of each that ended."""
        self.report = jobs.report(Path(self.job.out), self.job.name) if self.job.name else None
        said = [] if self.report is None else [*self.report.news()]
        known = {line["key"] for line in said if "outcome" in line}  # the job was queued again
        waiting = deque((parse(node.document), node.resources) for node in self.job.nodes)
        waiting = deque((document, resources) for document, resources in waiting if document.key not in known)
        if not waiting:
            return {}
        place = _Place.of(self.job)
        place.beats.tell = self.tell
        held: dict[Any, ExitStack] = {}
        sound = False
        try:
            while (waiting or held) and not self.interrupts.requested:
                if not held and place.processes.slots:
                    self._next(waiting, place, held)
                for handle, outcome in place.processes.poll(WAIT_S):
                    place.beats.claims.pop(str(handle), None)
                    with held.pop(handle):
                        self.outcomes[str(handle)] = outcome
                for key in [key for key in self.outcomes if key not in known]:
                    known.add(key)
                    self._tell(key)
            sound = not held
        except InterruptedRunError:
            self.interrupts.requested = True
        finally:
            if self.keep and sound:
                _kept.append(place)
            else:
                for handle in held:
                    place.processes.cancel(handle)
                place.close()  # claims are held until nodes have stopped
                for claim in held.values():
                    claim.close()
        return self.outcomes

    def _tell(self, key: str) -> None:
        if self.report is not None:
            outcome = self.outcomes[key]
            self.report.add({"key": key, "outcome": outcome and outcome.model_dump(mode="json", by_alias=True)})

    def _next(
        self, waiting: deque[tuple[Document, Resources]], place: _Place, held: dict[Any, ExitStack]
    ) -> None:  # fmt: skip
        """Start the first node that no other run works on; what others publish meanwhile is theirs."""
        store = place.store
        for _ in range(len(waiting)):
            document, resources = waiting.popleft()
            if is_published(document, store):
                self.outcomes[document.key] = None
                continue
            folder = store.claims_of(document)
            release(folder, short(document.key), self.called)  # of this job, before it was queued again
            claim = acquire(folder, short(document.key), self.watch, self.called)
            if claim is None:
                waiting.append((document, resources))
                continue
            with ExitStack() as holding:
                holding.enter_context(claim)
                if self.watch.hides(store.result(document)):  # another machine was faster
                    waiting.append((document, resources))
                    continue
                if is_published(document, store):  # in between
                    self.outcomes[document.key] = None
                    continue
                _await_inputs(document, store, self.interrupts)
                place.beats.claims[document.key] = claim
                if self.report is not None:
                    self.report.add({"key": document.key, "begun": round(time.time(), 3)})
                held[place.processes.submit(document, resources)] = holding.pop_all()
                return
        if waiting:
            time.sleep(WAIT_S)


def is_published(document: Document, store: Store) -> bool:
    """Whether a node has a result already; one that failed has none, because it is here to be tried again."""
    match document:
        case ArtifactDocument(artifact=spec):
            return manifest(spec.kind, document.key) is not None
        case CellDocument():
            record = store.condensation(store.folder(document))
        case EvaluationDocument():
            folder = store.folder(document.set)
            made = store.condensation(folder)
            record = made and store.evaluation(folder, document.key, made.set_sha256)
    return record is not None and record.status == "ok"


def _await_inputs(document: Document, store: Store, interrupts: Interrupts) -> None:
    """Wait until what a node reads can be seen here, for a time; a node that starts without says what it misses."""
    until = time.monotonic() + SEEN_WITHIN_S
    while not sees_inputs(document, store) and not interrupts.requested and time.monotonic() < until:
        time.sleep(WAIT_S)


def sees_inputs(document: Document, store: Store) -> bool:
    """Whether what a node reads is there, and whole as far as sizes tell."""
    sets: list[CellDocument | None] = []
    chosen = True
    if isinstance(document, EvaluationDocument):
        sets = [document.set, document.recipe]
        if (choice := document.choice) is not None:
            chosen = evaluation_path(store.folder(choice.set), choice.key).is_file()
    elif isinstance(document, CellDocument):
        sets = [document.initial]
    made = all(one is None or is_published(one, store) for one in sets)
    return chosen and made and all(manifest(kind, key) is not None for kind, key in document.artifacts.values())
