"""The process that holds a run's connection to Ray: commands on stdin, answers on stdout. No torch.

Ray ends a process whose cluster is gone, writes where it likes and takes signals for itself; this process may have all
of that, and the run none.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ddbench.core.cpu import cores
from ddbench.core.documents import parse
from ddbench.core.errors import DDBenchError, UsageError, text_of
from ddbench.core.plugin.loader import import_target
from ddbench.core.store.folder import Store
from ddbench.work.executors import carried
from ddbench.work.executors.agent import Job
from ddbench.work.executors.ray_job import File, Reporter, sent
from ddbench.work.executors.serve import take_over_pipes

RETRIES = 2
"""How often Ray itself tries a node again whose worker or machine was lost."""
WAIT_S = 0.2
LOOK_S = 5.0
"""Seconds between looks at what the cluster has."""
HEAR_S = 1.0
"""Seconds between questions for steps."""
CONNECT_S = 10.0
STOP_S = 75.0
"""Seconds that nodes have for a checkpoint once the run ends."""


def main() -> int:
    """Serve a run until it closes its end, or says so."""
    lines, channel = take_over_pipes()
    link = _Link(json.loads(lines.readline()), _teller(channel))
    try:
        link.connect()
        threading.Thread(target=link.listen, args=(lines,), daemon=True).start()
        link.serve()
    except DDBenchError as error:
        link.tell({"error": {"kind": type(error).__name__, "text": str(error)}})
    except Exception as error:
        link.tell({"error": {"kind": type(error).__name__, "text": text_of(error)[:400]}})
    link.disconnect()
    return 0


def _teller(channel: TextIO) -> Callable[[Mapping[str, Any]], None]:
    def tell(answer: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            channel.write(json.dumps(answer) + "\n")
            channel.flush()

    return tell


@dataclass
class _Link:
    """The connection.

    Attributes:
        settings: ``address``, ``store``, ``out``, and ``crosses``: the function that tasks run, ``module:name``.
        tell: Writes an answer.
        refs: What Ray has for the nodes on their way, by the names of their jobs.
        cancelled: Names of those that are to stop.
        known: Files that crossed before, by place, size and time.
        closes: When nodes must have stopped [monotonic s]; None: the run goes on.
    """

    settings: Mapping[str, Any]
    tell: Callable[[Mapping[str, Any]], None]
    refs: dict[str, Any] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    known: dict[tuple[str, int, int], File] = field(default_factory=dict)
    commands: queue.SimpleQueue[dict[str, Any]] = field(default_factory=queue.SimpleQueue)
    closes: float | None = None
    reporter: Any = None
    hearing: Any = None
    looked: float = 0.0
    heard: float = 0.0

    def connect(self) -> None:
        """Connect to the cluster, or start one on this machine.

        Raises:
            UsageError: If nobody answers at the address, or whoever does lets nobody in.
        """
        os.environ.setdefault("RAY_task_oom_retries", "0")  # the run asks for more memory instead
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        address = self.settings["address"]
        quiet = {"log_to_driver": False, "logging_level": "error"}
        if address == "local":
            ray.init(address="local", num_cpus=cores(), include_dashboard=False, **quiet)
        else:
            _check(_resolved(address))
            try:
                ray.init(address=address, **quiet)
            except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
                hint = "" if "RAY_AUTH_MODE" in os.environ else " (one that wants tokens: export RAY_AUTH_MODE=token)"
                raise UsageError(f"--executor ray: {text_of(error)[:300]}{hint}") from None
        if self.settings["store"] == "driver":
            here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=True
            )
            actor = ray.remote(Reporter).options(num_cpus=0, scheduling_strategy=here, max_restarts=-1)
            self.reporter = actor.remote()
        self._task = ray.remote(import_target(self.settings["crosses"]))
        self._look()

    def listen(self, lines: TextIO) -> None:
        """Hand on what the run says; its end is a request to stop."""
        with contextlib.suppress(OSError, ValueError):
            for line in lines:
                self.commands.put(json.loads(line))
        self.commands.put({"close": True})

    def serve(self) -> None:
        """Do what the run says until it closes, and tell it what becomes of its nodes."""
        import ray

        while self.closes is None or (self.refs and time.monotonic() < self.closes):
            self._obey()
            now = time.monotonic()
            if now - self.looked >= LOOK_S:
                self._look()
            if self.reporter is not None and now - self.heard >= HEAR_S:
                self._hear()
            if self.refs:
                names = {ref: name for name, ref in self.refs.items()}
                ready, left = ray.wait([*names], num_returns=1, timeout=WAIT_S)
                if ready and left:
                    ready += ray.wait(left, num_returns=len(left), timeout=0)[0]
                for ref in ready:
                    self._ended(names[ref], self.refs.pop(names[ref]))
            else:
                time.sleep(WAIT_S / 4)

    def _obey(self) -> None:
        import ray

        with contextlib.suppress(queue.Empty):
            while True:
                said = self.commands.get_nowait()
                if "run" in said:
                    self._start(said)
                    continue
                if said.get("close") and self.closes is None:
                    self.closes = time.monotonic() + STOP_S
                for name in [*self.refs] if said.get("close") else [said["cancel"]]:
                    if name in self.refs and name not in self.cancelled:
                        self.cancelled.add(name)
                        ray.cancel(self.refs[name], force=False)

    def _start(self, said: Mapping[str, Any]) -> None:
        """Hand a node to Ray."""
        name, text = said["run"], said["text"]
        options = {"num_cpus": said["cpus"], "num_gpus": said["gpus"], "memory": int(said["mem_mb"] * 2**20)}
        task = self._task.options(name=f"ddbench {said['called']}", max_retries=RETRIES, **options)
        if self.reporter is None:
            ref = task.remote(name, text)
        else:
            try:
                files = [self._file(one).crossing for one in self._given(text)]
            except OSError as error:
                self.tell({"lost": name, "how": f"a file of it cannot be read ({error})", "oom": False})
                return
            ref = task.remote(name, text, files, self.reporter)
        self.refs[name] = ref
        self.tell({"sent": name, "id": ref.task_id().hex()})

    def _given(self, text: str) -> list[carried.Given]:
        job = Job.model_validate_json(text)
        document = parse(job.nodes[0].document)
        return [*carried.given(document, Store(Path(job.out)), map(Path, job.plugins))]

    def _file(self, one: carried.Given) -> File:
        """A file as it crosses; data and artifacts are read once."""
        if not one.fixed:
            return sent(one.name, one.path)
        facts = one.path.stat()
        place = (one.name, facts.st_size, facts.st_mtime_ns)
        if place not in self.known:
            self.known[place] = sent(one.name, one.path, fixed=True)
        return self.known[place]

    def _ended(self, name: str, ref: Any) -> None:
        """Tell what became of a node."""
        import ray
        from ray import exceptions

        try:
            said, left, gone = ray.get(ref, timeout=60.0)
            if self.reporter is not None:
                self._take([File(*one) for one in left], gone)
            self.tell({"done": name, "said": json.loads(said)})
        except exceptions.TaskCancelledError:
            self.tell({"done": name, "said": {"outcomes": {}, "stopped": True}})
        except exceptions.LocalRayletDiedError:  # nothing can be handed over any more
            self.tell({"gone": "Ray has ended on this machine"})
            self.closes = 0.0
        except exceptions.RayTaskError as error:
            text = text_of(error.cause if error.cause is not None else error)[-300:]
            raise DDBenchError(f"a worker of Ray cannot run nodes: {text}") from None
        except exceptions.RayError as error:
            kind = type(error).__name__  # of its worker, its machine, or what these held
            self.tell({"lost": name, "how": kind, "words": str(error), "oom": kind == "OutOfMemoryError"})

    def _take(self, left: Sequence[File], gone: Sequence[str]) -> None:
        """Put what a node left in its place, records last, and remove what it removed.

        Raises:
            StoreError: If it cannot be written.
        """
        out = Path(self.settings["out"])
        for file in left:
            carried.write(carried.path_of(file.name, out), file.bytes(), file.sha256)
        for name in gone:
            path = carried.path_of(name, out)
            with contextlib.suppress(OSError):
                path.unlink()
                path.parent.rmdir()  # of an artifact that was being built

    def _look(self) -> None:
        """Tell what the cluster has by now."""
        import ray

        self.looked = time.monotonic()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        rooms = [[node.get("CPU", 0), node.get("GPU", 0), node.get("memory", 0) / 2**20] for node in nodes]
        self.tell({"cluster": rooms})

    def _hear(self) -> None:
        """Hand on where nodes have begun, and their steps."""
        import ray

        self.heard = time.monotonic()
        if self.hearing is None:
            self.hearing = self.reporter.news.remote()
        elif ray.wait([self.hearing], timeout=0)[0]:
            with contextlib.suppress(ray.exceptions.RayError):
                begun, said = ray.get(self.hearing)
                for key, place in begun.items():
                    self.tell({"begun": [key, place]})
                for steps in said:
                    self.tell({"steps": steps})
            self.hearing = None

    def disconnect(self) -> None:
        """Leave the cluster; one that was started here ends."""
        with contextlib.suppress(Exception):
            import ray

            ray.shutdown()


def _resolved(address: str) -> str:
    """HOST:PORT of what Ray means by ``auto``: it remembers clusters that are gone."""
    if address == "auto":
        with contextlib.suppress(Exception):  # not of Ray's public functions; without a cluster Ray says so itself
            from ray._private.services import canonicalize_bootstrap_address

            return canonicalize_bootstrap_address(address) or address
    return address


def _check(address: str) -> None:
    """Refuse an address where nobody answers: Ray itself would go on asking for minutes.

    Raises:
        UsageError: If it is one.
    """
    found = re.fullmatch(r"\[?([^/\]]+)\]?:(\d+)", address)
    if found is None:
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=CONNECT_S).close()
    except OSError as error:
        why = error.strerror or error
        raise UsageError(
            f"--executor ray: nobody answers at {address} ({why}): is the cluster up (`ray status`), and is this its "
            "address (--resources address=…, or RAY_ADDRESS)?"
        ) from None


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
