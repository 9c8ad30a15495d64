"""What all executors share whose nodes run on other machines: what crosses, what is asked for, and losses. No torch."""

from __future__ import annotations

import math
import os
import signal
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ddbench.core.documents import ArtifactDocument, Document
from ddbench.core.errors import FailureStatus
from ddbench.core.memory import in_words
from ddbench.core.store import jobs
from ddbench.core.store.files import home
from ddbench.core.store.jobs import Handle as Handed
from ddbench.work.attempt import Outcome, drop_log, fail_unstarted, keep_log
from ddbench.work.executors.agent import Job, Packed
from ddbench.work.executors.base import Handle, Resources, Run
from ddbench.work.executors.losses import count_loss, forget, losses
from ddbench.work.failures import GPU_OOM

Ended: TypeAlias = list[tuple[Handle, Outcome | None]]
MOST_LOST = 2
"""A node whose job was lost more often than this has failed."""
BASE_MB = 2048.0
"""What a worker holds before its first node, and the process beside it [MB]: Python and torch, and room."""
SPARE = 1.5
"""Memory asked for, as a multiple of the forecast."""
UNKNOWN_S = 60.0
"""What a node counts of which no forecast is known [s]."""
LEAST_TIME_S = 1800.0
TIME_FACTOR = 3.0
"""Longest time asked for, as a multiple of the forecast; what takes longer goes on from its checkpoint."""


@dataclass
class Task:
    """A submitted node.

    Attributes:
        document: Its document.
        resources: What it may use.
        lost: How often the job or process that ran it was lost.
        spared: How often it was running when its job ended for a reason that is nobody's fault.
        times: How many times the usual memory it gets: a node that ran out of it gets twice as much, once.
    """

    document: Document
    resources: Resources
    lost: int = 0
    times: int = 1
    spared: int = 0

    @property
    def key(self) -> str:
        """The node's."""
        return self.document.key

    @property
    def seconds(self) -> float:
        """What it counts when nodes are packed."""
        return UNKNOWN_S if self.resources.seconds is None else self.resources.seconds


@dataclass(frozen=True, slots=True)
class Need:
    """What a job asks for.

    Attributes:
        cpus: Cores.
        gpus: GPUs.
        mem_mb: Memory [MB], a whole number of 512 MB.
    """

    cpus: int
    gpus: int
    mem_mb: float


class Elsewhere:
    """Keeps count of the nodes that an engine runs on other machines.

    Args:
        run: What it is made for.

    Attributes:
        outlives: Whether jobs go on when the run ends that submitted them.
    """

    outlives = True

    def __init__(self, run: Run) -> None:
        self._run, self._store, self._wanted = run, run.store, run.wanted

    @staticmethod
    def scripts(run: Run, ready: Iterable[tuple[Document, Resources]]) -> Iterator[str]:
        """What would be submitted, for people; nothing where that is no text.

        Args:
            run: What an executor would be made for.
            ready: Nodes that nothing is to be done before.
        """
        yield from ()

    @staticmethod
    def end(handles: Sequence[Handed]) -> Iterator[str]:
        """End jobs that end with the run that submitted them: ask that run to stop; yields what was done.

        Args:
            handles: Of the jobs.
        """
        for one in {(one.host, one.pid_namespace, one.pid, one.started): one for one in handles}.values():
            ended, pid = jobs.submitter_ended(one), one.pid
            if ended is None:
                yield (f"process {pid} on {one.host}, with which its jobs end, is asked to stop by a mark in the "
                       f"folder; if it does not see that: kill -INT {pid} there")  # fmt: skip
            elif ended:
                yield f"process {pid} has ended, and with it its jobs"
            else:
                try:
                    os.kill(pid, signal.SIGINT)
                except PermissionError:
                    yield f"process {pid} is another user's: a mark in the folder asks it to stop, and with it its jobs"
                else:
                    yield f"process {pid} was asked to stop, and with it its jobs"

    def _task(self, document: Document, resources: Resources) -> Task:
        return Task(document, resources, losses(self._store, document.key))

    def need(self, task: Task) -> Need:
        """What a node asks for: what the user says, else what is expected of it."""
        wanted = self._wanted
        on_gpu = task.resources.device != "cpu"
        mem = wanted.mem_mb or BASE_MB + SPARE * task.resources.peak_mb
        return Need(
            wanted.cpus or task.resources.threads or 1,
            wanted.gpus if wanted.gpus is not None else int(on_gpu),
            512 * math.ceil(mem * task.times / 512),
        )

    def job(self, tasks: Iterable[Task], *, named: bool = True) -> Job:
        """What crosses.

        Args:
            tasks: The nodes, in their order.
            named: Whether the job has a report.
        """
        run = self._run
        nodes = tuple(Packed(document=one.document.model_dump(mode="json"), resources=one.resources) for one in tasks)
        return Job(
            name=uuid.uuid4().hex[:12] if named else "", out=str(self._store.out.resolve()),
            home=str(home().resolve()), plugins=tuple(str(file.resolve()) for file in run.registries.files),
            keep_logits=run.keep_logits, device=run.device, nodes=nodes,
        )  # fmt: skip

    def keep(
        self, name: str, engine: str, engine_id: str, need: Need, tasks: Iterable[Task], more: Mapping[str, Any] = {}
    ) -> Handed:
        """Write what others may know of a job that an engine has; the handle.

        Args:
            name: Of the job.
            engine: Name of the executor.
            engine_id: What the engine calls the job.
            need: What it asks for.
            tasks: Its nodes.
            more: What else was asked for, for people.
        """
        asked = {"cpus": need.cpus, "gpus": need.gpus, "mem": in_words(need.mem_mb), **more}
        nodes = {task.key: task.resources.seconds for task in tasks}
        handle = Handed(
            name=name, executor=engine, engine_id=engine_id, nodes=nodes, submitted=time.time(), resources=asked,
            outlives=self.outlives, **jobs.submitter(),
        )  # fmt: skip
        jobs.write(self._store.out, handle)
        return handle

    def ended(self, task: Task, outcome: Outcome | None) -> Ended | None:
        """What is told of a node that has an outcome; None: it is tried again, with twice the memory.

        No engine gives twice the memory of a GPU.
        """
        oom = outcome is not None and outcome.status == "oom" and not (outcome.reason or "").startswith(GPU_OOM)
        if oom and task.times == 1:
            task.times = 2
            return None
        forget(self._store, task.key)
        return [(task.key, outcome)]

    def vanished(self, task: Task, how: str, words: str = "", status: FailureStatus = "failed") -> Ended | None:
        """What is told of a node whose job is gone without an outcome; None: it is tried again.

        Args:
            task: The node.
            how: What became of its job: ``job 71_3 (NODE_FAIL)``.
            words: What the job said last.
            status: ``oom`` where it is known that memory was the cause.
        """
        if status == "oom" and task.times == 1:
            task.times = 2
            return None
        task.lost += 1
        if task.lost <= MOST_LOST and status != "oom":
            count_loss(self._store, task.key, task.lost)
            return None
        forget(self._store, task.key)
        often = "with twice the memory, too" if status == "oom" else f"{task.lost} times in a row"
        reason = f"{how} ended without a result, {often}"
        log = self._store.log(task.document)
        if isinstance(task.document, ArtifactDocument):
            drop_log(log)
            outcome = Outcome(status=status, reason=f"artifact {task.document.artifact.kind}: {reason}")
        else:
            outcome = Outcome.of(fail_unstarted(self._store, task.document, status, reason))
        if words:
            keep_log(log, status, reason, words)
        return [(task.key, outcome)]


def time_s(tasks: Sequence[Task], wanted: float | None) -> float:
    """The longest time that a job asks for [s].

    Args:
        tasks: Its nodes.
        wanted: What ``--resources time=`` says.
    """
    if wanted is not None:
        return wanted
    return max(LEAST_TIME_S, TIME_FACTOR * sum(task.seconds for task in tasks) + 600.0)
