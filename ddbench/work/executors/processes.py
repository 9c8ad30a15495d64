"""The executor `processes` (`--jobs N`): N processes run nodes for this one; each imports torch once."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeAlias

from ddbench.core import errors
from ddbench.core.documents import ArtifactDocument, Document
from ddbench.core.errors import DDBenchError, FailureStatus, InterruptedRunError, StoreError, printable
from ddbench.core.memory import available_mb
from ddbench.core.store.files import home
from ddbench.work.attempt import Outcome, drop_log, fail_unstarted, keep_log
from ddbench.work.executors import tree
from ddbench.work.executors.base import Handle, Resources, Run
from ddbench.work.executors.devices import environment
from ddbench.work.executors.losses import count_loss, forget, losses
from ddbench.work.executors.memory import fits
from ddbench.work.failures import is_its_own

REDO = 2
"""How often a node is run again whose process was lost: killed, for instance, because memory was short.

The last time nothing runs beside it. Losses of earlier commands count, too.
"""
GRACE_S = 30.0
"""The most seconds beyond ``--timeout`` in which a node can stop by itself before its process is ended.

One and a third of the limit where that is less.
"""
STOP_S = 60.0
"""Seconds that a process has for its last step and a checkpoint, once it was asked to stop."""
LOOK_S = 1.0
"""Seconds between looks at how many threads a process has."""
MOST_THREADS = 1000 + 16 * (os.cpu_count() or 1)
"""Of one node, those of the processes that it started included: more are a mistake that takes the machine with it."""
TAIL = 4096
"""Bytes that are kept of what a process said last on stderr."""


class LostProcessWarning(UserWarning):
    """A worker process has ended in the middle of a node."""


@dataclass
class _Task:
    """A submitted node, and how often its process was lost."""

    document: Document
    resources: Resources
    lost: int = 0
    begun: float = 0.0

    @property
    def handle(self) -> Handle:
        return self.document.key

    @property
    def over_s(self) -> float:
        """When its process is ended, if it has not stopped by itself [monotonic s]."""
        limit = self.resources.timeout_s
        return math.inf if limit is None else self.begun + limit + min(GRACE_S, 1 + limit / 3)


class _Worker:
    """A process that runs `ddbench work`: a task per line goes in, answers come out; ``gpu``: all that it sees.

    ``free_mb``: what its GPU had free when it was ready.
    """

    def __init__(self, command: list[str], gpu: str | None, told: _Told) -> None:
        self._mark = uuid.uuid4().hex
        place = {"DDBENCH_HOME": str(home().absolute())}  # code in there may change its folder
        # A session of its own, so that a Ctrl-C in the terminal does not reach it as a second signal.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env=os.environ | place | ({} if gpu is None else environment(gpu)) | {tree.MARK: self._mark},
        )  # fmt: skip
        self.gpu = gpu
        self.task: _Task | None = None
        self.ready = False
        self.free_mb: float | None = None
        self.ends = False
        self.apart: str | None = None
        self.verdict: tuple[FailureStatus, str] | None = None
        self.said = b""
        self._stopping = False
        threading.Thread(target=self._listen, args=(told,), daemon=True).start()
        self._hears = threading.Thread(target=self._hear, daemon=True)
        self._hears.start()

    @property
    def idle(self) -> bool:
        """Whether it waits for a node."""
        return self.ready and self.task is None and not self.ends

    def suits(self, resources: Resources) -> bool:
        """Whether it may run a node: it ran none yet, or those of the same plugins."""
        return self.apart in (None, resources.apart or "")

    def give(self, task: _Task) -> None:
        """Let it run a node; where it is gone already, that is told like any loss."""
        assert self.process.stdin is not None
        self.task, self.apart, task.begun = task, task.resources.apart or "", time.monotonic()
        line = {"document": task.document.model_dump(mode="json"), "resources": task.resources.model_dump()}
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(line).encode() + b"\n")
            self.process.stdin.flush()

    def stop(self) -> None:
        """Ask it to checkpoint and end, once: a second signal would end it without a checkpoint."""
        if not self._stopping:
            self._stopping = True
            self.process.terminate()

    def end(self) -> None:
        """Let it end: an idle one at the end of its input, which one that works would take for our death."""
        assert self.process.stdin is not None
        if self.task is not None or not self.ready:
            self.stop()
        else:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def kill(self, verdict: tuple[FailureStatus, str] | None = None) -> None:
        """End it and all that it started, now.

        Args:
            verdict: What its node's row says; None: it ended by itself.
        """
        self.verdict = self.verdict or verdict
        tree.end(self.process.pid, self._mark)

    def wait(self, seconds: float) -> None:
        """Wait for its end, and end what is left then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.kill()
        self.process.wait()

    def last_words(self) -> str:
        """What it said last on stderr, once it has ended."""
        self._hears.join(timeout=1.0)  # what it started may hold the pipe for longer
        return self.said.decode(errors="backslashreplace")

    def _listen(self, told: _Told) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):  # a line cut short by the end of the process
            for line in self.process.stdout:
                told.put((self, json.loads(line)))
        told.put((self, None))

    def _hear(self) -> None:
        """Hand on what it says, and keep the last of it."""
        assert self.process.stderr is not None
        while text := os.read(self.process.stderr.fileno(), TAIL):
            self.said = (self.said + text)[-TAIL:]
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(text.decode(errors="backslashreplace"))
                sys.stderr.flush()


_Told: TypeAlias = "queue.Queue[tuple[_Worker, dict[str, Any] | None]]"
"""Answers of workers as they come; None: its process has ended."""


def command(run: Run) -> list[str]:
    """What a worker of a run is started with."""
    here = str(Path.cwd()) in sys.path or "" in sys.path
    safe = [] if here else ["-P"]  # `-m` alone lets modules of the current folder in that this process does not see
    plugins = [part for file in run.registries.files for part in ("--plugin", str(file))]
    logits = ["--keep-logits"] * run.keep_logits
    where = ["--out", str(run.store.out.absolute()), "--device", run.device]
    return [sys.executable, *safe, "-m", "ddbench", "work", *where, *plugins, *logits]


class Processes:
    """Starts its workers at once, and gives the node of a lost one to another."""

    claims = False

    def __init__(self, run: Run) -> None:
        self._monitor, self._store = run.monitor, run.store
        self._looked = 0.0
        self._told: _Told = queue.Queue()
        self._waiting: list[_Task] = []
        self._idle_mb: float | None = None
        self._command = command(run)
        gpus = islice(cycle(run.gpus or [None]), run.jobs)
        self._workers = [_Worker(self._command, gpu, self._told) for gpu in gpus]

    @property
    def slots(self) -> int:
        """As many as there are workers, once they have imported torch."""
        return sum(worker.ready for worker in self._workers)

    def has_room(self, resources: Resources) -> bool:
        """Whether there is a worker with memory for it, and no node that needs all of it waits or runs."""
        return not self._waiting and not self._redone and self._worker_for(resources) is not None

    @property
    def _redone(self) -> bool:
        """Whether a node runs for the last time: nothing else may start then."""
        return any(worker.task is not None and worker.task.lost == REDO for worker in self._workers)

    def submit(self, document: Document, resources: Resources) -> Handle:
        """Give the node to an idle worker."""
        self._waiting.append(_Task(document, resources, losses(self._store, document.key)))
        self._place()
        return document.key

    def _place(self) -> None:
        """Give what waits to idle workers, one after the other."""
        while self._waiting and not self._redone:
            task = self._waiting[0]
            worker = self._worker_for(task.resources, alone=task.lost == REDO)
            if worker is None:
                break
            if not worker.suits(task.resources):  # it goes, and its successor takes the node when it is ready
                self._replace(worker)
                break
            worker.give(self._waiting.pop(0))

    def _worker_for(self, resources: Resources, *, alone: bool = False) -> _Worker | None:
        """The idle worker that has memory for a node and whose GPU has the fewest nodes, if there is one.

        Args:
            resources: The node's.
            alone: Whether none is to run beside it.
        """
        busy = [(worker.gpu, worker.task.resources) for worker in self._workers if worker.task is not None]
        if alone and busy:
            return None
        now = available_mb()
        if not busy:
            self._idle_mb = now
        if not fits(resources.peak_mb, [other.peak_mb for _, other in busy], idle=self._idle_mb, now=now):
            return None
        rooms = []
        for worker in self._workers:
            beside = [other.device_mb for gpu, other in busy if gpu == worker.gpu]
            told = [one.free_mb for one in self._workers if one.gpu == worker.gpu and one.free_mb is not None]
            free = max(told, default=None)
            if worker.idle and fits(resources.device_mb, beside, idle=free, now=None):
                rooms.append((not worker.suits(resources), len(beside), worker))
        return min(rooms, key=lambda room: room[:2], default=(False, 0, None))[2]

    def _replace(self, worker: _Worker) -> None:
        """A new process takes the place of one that has no node."""
        worker.end()
        worker.wait(STOP_S)
        self._workers.remove(worker)
        self._workers.append(_Worker(self._command, worker.gpu, self._told))

    def poll(self, wait_s: float) -> list[tuple[Handle, Outcome]]:
        """Hear what workers say until one is ready or done with its node, or for ``wait_s`` seconds.

        Raises:
            DDBenchError: If a worker cannot start, or what ended its work, as that would have ended it here.
        """
        self._watch()
        end, done, dead = time.monotonic() + wait_s, None, self._dead()
        while done is None:
            try:
                worker, answer = self._told.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return [lost for worker in dead if worker in self._workers for lost in self._lost(worker)]
            if worker in self._workers:
                done = self._lost(worker) if answer is None else self._heard(worker, answer)
        return done

    def _watch(self) -> None:
        """End processes whose node takes too long, or starts too much: nothing inside them can be trusted to."""
        now = time.monotonic()
        look = now - self._looked >= LOOK_S
        if look:
            self._looked = now
        for worker in self._workers:
            if worker.task is None:
                continue
            if now > worker.task.over_s:
                limit = worker.task.resources.timeout_s
                why = f"stopped by --timeout after {limit:g} s: the node did not stop by itself, its process was ended"
                worker.kill(("timeout", why))
            elif look and (n := tree.threads_of(worker.process.pid)) > MOST_THREADS:
                why = f"the node and what it started ran {n} threads, more than {MOST_THREADS}: all were ended"
                worker.kill(("failed", why))

    def _dead(self) -> list[_Worker]:
        """Workers that have ended; their pipes need not have: what they started may hold those for longer."""
        return [worker for worker in self._workers if worker.process.poll() is not None]

    def _heard(self, worker: _Worker, answer: Mapping[str, Any]) -> list[tuple[Handle, Outcome]] | None:
        """What is done now; None where nothing has changed."""
        if "progress" in answer:
            self._monitor.progress(*answer["progress"])
            return None
        if "error" in answer:
            kind, text = answer["error"]["kind"], answer["error"]["text"]
            error, task = error_of(kind, f"{worker.gpu}: {text}" if worker.gpu else text), worker.task
            if task is None or not task.resources.apart or not is_its_own(error, task.document, self._store):
                raise error
            said = text.partition(";")[0] if isinstance(error, StoreError) else f"{kind}: {text}"
            worker.kill(("failed", printable(f"its process could not go on: {said}")[:300]))
            return None
        if "ready" in answer:
            worker.ready, worker.free_mb = True, answer.get("free_mb")
            self._place()
            return []
        assert worker.task is not None
        key, worker.task, worker.ends = worker.task.document.key, None, answer.get("ends", False)
        forget(self._store, key)
        self._place()
        return [(key, Outcome.model_validate(answer["outcome"]))]

    def _lost(self, worker: _Worker) -> list[tuple[Handle, Outcome]]:
        """Its process has ended: another one takes its place and its node, unless that goes on for ever."""
        code, task = worker.process.wait(), worker.task
        worker.kill()  # what it started may live on
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._workers.remove(worker)
        if not worker.ready:
            raise DDBenchError(f"a process for --jobs {how} while it started; what it said stands above")
        self._workers.append(_Worker(self._command, worker.gpu, self._told))
        if task is None:
            return []
        if worker.verdict is not None:
            return [(task.handle, self._failed(worker, *worker.verdict))]
        if code >= 0 and code != InterruptedRunError.exit_code:  # its own code ended it, and would again
            return [(task.handle, self._failed(worker, "failed", f"its process {how}"))]
        task.lost += 1
        if task.lost > REDO:
            return [(task.handle, self._failed(worker, "failed", f"its process {how}, {task.lost} times in a row"))]
        count_loss(self._store, task.document.key, task.lost)
        warnings.warn(f"a process {how}: its node is tried again", LostProcessWarning, stacklevel=2)
        self._waiting.append(task)
        self._place()
        return []

    def _failed(self, worker: _Worker, status: FailureStatus, reason: str) -> Outcome:
        """The outcome of a node whose process is gone, with a record of it where its kind leaves one."""
        assert worker.task is not None
        document = worker.task.document
        forget(self._store, document.key)
        log, words = self._store.log(document), worker.last_words()
        if isinstance(document, ArtifactDocument):
            drop_log(log)
            outcome = Outcome(status=status, reason=f"artifact {document.artifact.kind}: {reason}")
        else:
            outcome = Outcome.of(fail_unstarted(self._store, document, status, reason))
        if words:
            keep_log(log, status, reason, words)
        return outcome

    def cancel(self, handle: Handle) -> None:
        """Ask the node's process to checkpoint and end."""
        for worker in self._workers:
            if worker.task is not None and worker.task.handle == handle:
                worker.stop()

    def close(self) -> None:
        """Let idle processes end, and wait for all; what does not stop is ended."""
        for worker in self._workers:
            worker.end()
        try:
            for worker in self._workers:
                worker.wait(STOP_S)
        finally:
            for worker in self._workers:
                worker.kill()
            self._workers = []


def error_of(kind: str, text: str) -> DDBenchError:
    """The exception that a worker could not handle."""
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, DDBenchError):
        return known(text)
    return DDBenchError(f"{kind}: {text} (a defect of ddbench or a plugin; --executor local -v shows where)")
