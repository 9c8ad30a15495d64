"""The executor `processes` (`--jobs N`): N processes run nodes for this one; each imports torch once."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeAlias

from ddbench.core import errors
from ddbench.core.documents import Document
from ddbench.core.errors import DDBenchError
from ddbench.core.memory import available_mb
from ddbench.work.attempt import Outcome
from ddbench.work.executors.base import Handle, Resources, Run
from ddbench.work.executors.devices import environment
from ddbench.work.executors.memory import fits

REDO = 2
"""How often a node is run again whose process was lost: killed, for instance, because memory was short.

The last time nothing runs beside it.
"""


@dataclass
class _Task:
    """A submitted node, and how often its process was lost."""

    document: Document
    resources: Resources
    lost: int = 0

    @property
    def handle(self) -> Handle:
        return self.document.key


class _Worker:
    """A process that runs `ddbench work`: a task per line goes in, answers come out; ``gpu``: all that it sees.

    ``free_mb``: what its GPU had free when it was ready.
    """

    def __init__(self, command: list[str], gpu: str | None, told: _Told) -> None:
        # A session of its own, so that a Ctrl-C in the terminal does not reach it as a second signal.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            env=os.environ | ({} if gpu is None else environment(gpu)),
        )  # fmt: skip
        self.gpu = gpu
        self.task: _Task | None = None
        self.ready = False
        self.free_mb: float | None = None
        self._stopping = False
        threading.Thread(target=self._listen, args=(told,), daemon=True).start()

    def give(self, task: _Task) -> None:
        """Let it run a node; where it is gone already, that is told like any loss."""
        assert self.process.stdin is not None
        self.task = task
        line = {"document": task.document.model_dump(mode="json"), "resources": task.resources.model_dump()}
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(line) + "\n")
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

    def _listen(self, told: _Told) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):  # a line cut short by the end of the process
            for line in self.process.stdout:
                told.put((self, json.loads(line)))
        told.put((self, None))


_Told: TypeAlias = "queue.Queue[tuple[_Worker, dict[str, Any] | None]]"
"""Answers of workers as they come; None: its process has ended."""


def command(run: Run) -> list[str]:
    """What a worker of a run is started with."""
    here = str(Path.cwd()) in sys.path or "" in sys.path
    safe = [] if here else ["-P"]  # `-m` alone lets modules of the current folder in that this process does not see
    plugins = [part for file in run.registries.files for part in ("--plugin", str(file))]
    logits = ["--keep-logits"] * run.keep_logits
    where = ["--out", str(run.store.out), "--device", run.device]
    return [sys.executable, *safe, "-m", "ddbench", "work", *where, *plugins, *logits]


class Processes:
    """Starts its workers at once, and gives the node of a lost one to another."""

    def __init__(self, run: Run) -> None:
        self._monitor = run.monitor
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
        task = _Task(document, resources)
        self._waiting.append(task)
        self._place()
        return task.handle

    def _place(self) -> None:
        """Give what waits to idle workers, one after the other."""
        while self._waiting and not self._redone:
            task = self._waiting[0]
            worker = self._worker_for(task.resources, alone=task.lost == REDO)
            if worker is None:
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
            if worker.ready and worker.task is None and fits(resources.device_mb, beside, idle=free, now=None):
                rooms.append((len(beside), worker))
        return min(rooms, key=lambda room: room[0], default=(0, None))[1]

    def poll(self, wait_s: float) -> list[tuple[Handle, Outcome]]:
        """Hear what workers say until one is ready or done with its node, or for ``wait_s`` seconds.

        Raises:
            DDBenchError: If a worker cannot start, or what ended its work, as that would have ended it here.
        """
        end, done, dead = time.monotonic() + wait_s, None, self._dead()
        while done is None:
            try:
                worker, answer = self._told.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return [lost for worker in dead if worker in self._workers for lost in self._lost(worker)]
            if worker in self._workers:
                done = self._lost(worker) if answer is None else self._heard(worker, answer)
        return done

    def _dead(self) -> list[_Worker]:
        """Workers that have ended; their pipes need not have: what they started may hold those for longer."""
        return [worker for worker in self._workers if worker.process.poll() is not None]

    def _heard(self, worker: _Worker, answer: Mapping[str, Any]) -> list[tuple[Handle, Outcome]] | None:
        """What is done now; None where nothing has changed."""
        if "progress" in answer:
            self._monitor.progress(*answer["progress"])
            return None
        if "error" in answer:
            told = answer["error"]
            raise _error(told["kind"], f"{worker.gpu}: {told['text']}" if worker.gpu else told["text"])
        if "ready" in answer:
            worker.ready, worker.free_mb = True, answer.get("free_mb")
            self._place()
            return []
        assert worker.task is not None
        handle, worker.task = worker.task.handle, None
        self._place()
        return [(handle, Outcome.model_validate(answer["outcome"]))]

    def _lost(self, worker: _Worker) -> list[tuple[Handle, Outcome]]:
        """Its process has ended: another one takes its place and its node, unless that goes on for ever."""
        code, task = worker.process.wait(), worker.task
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._workers.remove(worker)
        if not worker.ready:
            raise DDBenchError(f"a process for --jobs {how} while it started; what it said stands above")
        self._workers.append(_Worker(self._command, worker.gpu, self._told))
        if task is None:
            return []
        task.lost += 1
        if task.lost > REDO:
            return [(task.handle, Outcome(status="failed", reason=f"its process {how}, {task.lost} times in a row"))]
        warnings.warn(f"a process {how}: its node is tried again", UserWarning, stacklevel=2)
        self._waiting.append(task)
        self._place()
        return []

    def cancel(self, handle: Handle) -> None:
        """Ask the node's process to checkpoint and end."""
        for worker in self._workers:
            if worker.task is not None and worker.task.handle == handle:
                worker.stop()

    def close(self) -> None:
        """Let idle processes end, and wait for all."""
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.process.wait()
        self._workers = []


def _error(kind: str, text: str) -> DDBenchError:
    """The exception that a worker could not handle."""
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, DDBenchError):
        return known(text)
    return DDBenchError(f"{kind}: {text} (a defect of ddbench or a plugin; --executor local -v shows where)")
