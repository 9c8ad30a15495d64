"""Nodes as tasks of Ray. No torch, and no Ray in this process: see :mod:`ddbench.work.executors.ray_link`."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ddbench.core.documents import Document
from ddbench.core.errors import DDBenchError, InterruptedRunError, UsageError
from ddbench.core.keys import short
from ddbench.core.memory import in_words
from ddbench.core.store import jobs
from ddbench.core.store.claims import holders, release
from ddbench.core.store.files import home
from ddbench.core.words import plural
from ddbench.work.attempt import Outcome
from ddbench.work.executors import tree
from ddbench.work.executors.agent import sees_inputs
from ddbench.work.executors.base import Handle, Resources, Run
from ddbench.work.executors.carried import check_inputs
from ddbench.work.executors.elsewhere import Elsewhere, Ended, Need, Task
from ddbench.work.executors.processes import error_of
from ddbench.work.executors.ray_job import place_of

NAME = "ray"
AHEAD = 3
"""Nodes with Ray, as a multiple of the cluster's cores: so many wait there, the most urgent of the others here."""
CONNECT_S = 120.0
"""The most seconds until Ray lets a run in."""
CLOSE_S = 90.0
"""The most seconds until nodes have stopped and Ray is left."""
LOOK_S = 5.0
WORDS_S = 5.0
"""The most seconds until the last words of a process that has ended are read."""
TAIL = 4096
_Event: TypeAlias = dict[str, Any]


class RayWarning(UserWarning):
    """What a user should know of the cluster."""


@dataclass
class _Flight:
    """A node with Ray; ``wanted``: whether this run still waits for it."""

    task: Task
    need: Need
    wanted: bool = True


class _Link:
    """The process that is connected to Ray."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._mark = uuid.uuid4().hex
        # -P, and a folder that is nobody's: Ray lets its workers import from where its driver stands.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ddbench.work.executors.ray_link"], cwd="/", start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(self._mark),
        )  # fmt: skip
        self.events: queue.Queue[_Event | None] = queue.Queue()
        self._said = b""
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        for thread in (self._hearing, threading.Thread(target=self._listen, daemon=True)):
            thread.start()
        self.tell(settings)

    def tell(self, command: Mapping[str, Any]) -> None:
        """Write a command; where nobody reads it, the end of the process says so."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                self.events.put(json.loads(line))
        self._hearing.join(WORDS_S)
        self.events.put(None)

    def _hear(self) -> None:
        """Keep the last of what Ray says, for nobody but whoever asks why it ended."""
        assert self.process.stderr is not None
        while text := os.read(self.process.stderr.fileno(), TAIL):
            self._said = (self._said + text)[-TAIL:]

    @property
    def last_words(self) -> str:
        """The last that Ray said: a sentence, without where in Ray that was."""
        lines = [line.strip() for line in self._said.decode(errors="backslashreplace").splitlines() if line.strip()]
        last = re.sub(r"^(\[[^]]*\] )?(\w+\.\w+:\d+: )?", "", lines[-1] if lines else "it said nothing")
        return last.partition(". ")[0][:300]

    def end(self) -> None:
        """End it, and all that it started."""
        tree.end(self.process.pid, self._mark)
        self.process.wait()


def _environment(mark: str) -> dict[str, str]:
    """That of this process, whose ``PYTHONPATH`` holds from another folder, too."""
    path = [str(Path(part).absolute()) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return (
        os.environ
        | {tree.MARK: mark, "DDBENCH_HOME": str(home().absolute())}
        | ({"PYTHONPATH": os.pathsep.join(path)} if path else {})
    )


class OnRay(Elsewhere):
    """Keeps a few nodes for each core with Ray, which places them and tries again what is lost."""

    crosses = "ddbench.work.executors.ray_job:run_ray_job"
    outlives = False

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._shared = run.wanted.store == "shared"
        self._address = run.wanted.address or os.environ.get("RAY_ADDRESS") or "local"
        if self._address.startswith("ray://"):
            raise UsageError(
                f"--executor ray: {self._address}: run this on a machine of the cluster and say its address, HOST:PORT"
            )
        self._forget_dead()
        self._flights: dict[str, _Flight] = {}
        self._rooms: list[tuple[float, float, float]] = []
        self._begun = self._looked = time.monotonic()
        self._told_of: set[Need] = set()
        out = str(run.store.out.resolve())
        settings = {"address": self._address, "store": run.wanted.store, "out": out, "crosses": self.crosses}
        self._link = _Link(settings)

    @property
    def claims(self) -> bool:
        """Whether workers see the folder of claims; else this run holds them, and they move as nodes report steps."""
        return self._shared

    def _forget_dead(self) -> None:
        """Remove the handles of runs that are gone: Ray ended their tasks with them.

        A run of another machine is gone if its handle is a day old and nobody claims the node.
        """
        known = [handle for handle in jobs.handles(self._store.out) if handle.executor == NAME]
        claims = [holders(self._store.claims(shared=shared)) for shared in (False, True)] if known else []
        for handle in known:
            ended = jobs.submitter_ended(handle)
            claimed = any(short(key) in held for held in claims for key in handle.nodes)
            if jobs.is_old(handle) and not claimed if ended is None else ended:
                jobs.remove(self._store.out, handle.name)

    @property
    def slots(self) -> int:
        """A few for each core that the cluster has by now."""
        known = bool(self._rooms)  # a cluster that grows by demand may have no core yet
        return min(self._run.jobs, max(AHEAD * known, int(AHEAD * sum(cpus for cpus, _, _ in self._rooms))))

    def has_room(self, resources: Resources) -> bool:
        """Always: Ray waits for room itself."""
        return True

    def submit(self, document: Document, resources: Resources) -> Handle:
        """Hand the node to Ray."""
        self._send(self._task(document, resources))
        return document.key

    def _send(self, task: Task) -> None:
        need = self.need(task)
        self._check(need)
        name = uuid.uuid4().hex[:12]
        job = self.job([task], named=False)
        self._flights[name] = _Flight(task, need)
        self._run.monitor.moved(task.key, "")
        called = f"{task.document.kind} {short(task.key)}"
        asked = {"cpus": need.cpus, "gpus": need.gpus, "mem_mb": need.mem_mb}
        self._link.tell({"run": name, "text": job.model_dump_json(), "called": called, **asked})

    def _check(self, need: Need) -> None:
        """Tell of what no machine of the cluster has.

        Raises:
            UsageError: If there will be none, either.
        """
        asked = (need.cpus, need.gpus, need.mem_mb)
        if need in self._told_of or any(all(map(float.__le__, map(float, asked), room)) for room in self._rooms):
            return
        self._told_of.add(need)
        text = f"{plural(need.cpus, 'core')}, {plural(need.gpus, 'GPU')} and {in_words(need.mem_mb)}"
        if self._address == "local":
            raise UsageError(f"--executor ray: a node asks for {text}, which this machine does not have: --resources")
        why = f"no machine of the cluster has the {text} that a node asks for: it waits until one has (--resources)"
        warnings.warn(why, RayWarning, stacklevel=2)

    def poll(self, wait_s: float) -> Ended:
        """Hear what becomes of nodes.

        Raises:
            DDBenchError: If the cluster is gone, or lets nobody in.
            InterruptedRunError: If somebody cancelled the nodes.
        """
        now = time.monotonic()
        if not self._rooms and now - self._begun > CONNECT_S:
            raise DDBenchError(f"Ray at {self._address} does not let this run in: {self._link.last_words}")
        if now - self._looked >= LOOK_S:
            self._looked = now
            if any(jobs.is_cancelled(self._store.out, name) for name in self._flights):
                raise InterruptedRunError("its nodes were cancelled")
        found: Ended = []
        with contextlib.suppress(queue.Empty):
            told = self._heard(self._link.events.get(timeout=wait_s))
            while True:
                found += told
                told = self._heard(self._link.events.get_nowait())
        return found

    def _heard(self, event: _Event | None) -> Ended:
        """What is done now."""
        if event is None and not self._rooms:
            raise DDBenchError(f"--executor ray: Ray does not start: {self._link.last_words}")
        if event is None or "gone" in event:
            where = "on this machine" if self._address == "local" else f"at {self._address}"
            why = self._link.last_words if event is None else event["gone"]
            raise DDBenchError(
                f"the Ray cluster {where} is gone ({why}); once there is one again, the same command continues where "
                "it stopped"
            )
        if "error" in event:
            raise error_of(event["error"]["kind"], event["error"]["text"])
        if "cluster" in event:
            self._rooms = [tuple(room) for room in event["cluster"]]
        elif "begun" in event:
            self._run.monitor.moved(*event["begun"])
        elif "steps" in event:
            key, done, total, what, metrics = event["steps"]
            self._run.monitor.progress(key, done, total, what, metrics)
        elif "sent" in event:
            self._keep(event["sent"], event["id"])
        elif "done" in event or "lost" in event:
            name = event.get("done") or event["lost"]
            flight = self._flights.pop(name)
            self._release(name, flight)
            if flight.wanted:
                return self._over(name, flight.task, event)
        return []

    def _keep(self, name: str, engine_id: str) -> None:
        """Write what others may know of the node."""
        flight = self._flights[name]
        self.keep(name, NAME, engine_id, flight.need, [flight.task])

    def _over(self, name: str, task: Task, event: _Event) -> Ended:
        """What is told of a node that Ray is done with; one without an outcome is tried again."""
        if "lost" in event:
            how = f"its task of Ray ({event['how']})"
            told = self.vanished(task, how, event.get("words", ""), "oom" if event["oom"] else "failed")
        elif "error" in event["said"]:
            error = event["said"]["error"]
            raise error_of(error["kind"], error["text"])
        elif task.key in event["said"]["outcomes"]:
            said = event["said"]["outcomes"][task.key]
            outcome = None if said is None else Outcome.model_validate(said)
            told = self._damaged(name, task, outcome) if _is_damaged(outcome) else self.ended(task, outcome)
        else:
            told = self.vanished(task, "its task of Ray (it was told to stop)")
        if told is None:
            if "lost" in event:
                why = f"Ray's task of a node is gone ({event['how']}): the node is tried again"
                warnings.warn(why, RayWarning, stacklevel=2)
            self._send(task)
        return told or []

    def _damaged(self, name: str, task: Task, outcome: Outcome | None) -> Ended | None:
        """What is told of a node whose input was damaged, perhaps on the way alone."""
        if not self._shared:
            check_inputs(task.document, self._store)
            if sees_inputs(task.document, self._store):
                return self.vanished(task, "its task of Ray (its input arrived damaged)")
        return self.ended(task, outcome)

    def cancel(self, handle: Handle) -> None:
        """Ask the node to checkpoint and to stop."""
        for name, flight in self._flights.items():
            if flight.task.key == handle:
                flight.wanted = False
                self._link.tell({"cancel": name})

    def close(self) -> None:
        """Wait until nodes have stopped; a cluster of this run ends."""
        try:
            self._link.tell({"close": True})
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._link.process.wait(CLOSE_S)
        finally:
            self._link.end()
            for name, flight in self._flights.items():
                self._release(name, flight)
            self._flights = {}

    def _release(self, name: str, flight: _Flight) -> None:
        """Forget a task; a claim that it still holds is of a worker that is gone."""
        jobs.remove(self._store.out, name)
        if self._shared:
            release(self._store.claims_of(flight.task.document), short(flight.task.key), place_of(name))


def _is_damaged(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.status == "damaged"
