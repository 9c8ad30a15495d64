"""Ten thousand nodes that do nothing, on a Slurm or a Ray of this machine: `python -m benchmarks.cluster`.

What is measured is ddbench alone: planning, packing, submitting, collecting and `ddbench status`; nodes only say that
they are done. ``--executor slurm`` starts a Slurm of two nodes as tests do, ``ray`` a local cluster; ``--cells`` says
how many sets the plan has, each with one student.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddbench.core.plugin.loader import active, import_target
from ddbench.core.process_state import kept
from ddbench.core.profiles import profile
from ddbench.core.store import jobs
from ddbench.core.store.folder import Store
from ddbench.library.progress import Progress
from ddbench.library.standing import Watched
from ddbench.library.suites import suite_of
from ddbench.plan import grid, outlook, planner
from ddbench.plan.graph import PLAN, Node, Plan
from ddbench.plan.status import assess
from ddbench.work.executors.base import EXECUTORS, Resources, Run
from ddbench.work.executors.schedule import Schedule
from ddbench.work.executors.wanted import Wanted
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Beats


def no_op(text: str) -> str:
    """What crosses in place of a job: each node says at once that it is done."""
    content = json.loads(text)
    done = {"status": "ok", "reason": None, "record": None}
    keys = [node["document"]["key"] for node in content["nodes"]]
    if content["name"]:
        said = jobs.report(Path(content["out"]), content["name"])
        for key in keys:
            said.add({"key": key, "begun": time.time()})
            said.add({"key": key, "outcome": done})
    return json.dumps({"outcomes": dict.fromkeys(keys, done), "stopped": False})


def no_op_task(name: str, text: str, *_: object) -> tuple[str, list[object], list[str]]:
    """The same of a task of Ray."""
    return no_op(text), [], []


CROSSES = {"slurm": staticmethod(no_op), "ray": "benchmarks.cluster:no_op_task"}


class _First(Progress):
    """Says how far the run is, as `ddbench run` does, and notes when nodes end."""

    def __init__(self) -> None:
        super().__init__("plain")
        self.began = time.monotonic()
        self.first = 0.0
        self.ended = 0

    def end(self, node: Node) -> None:
        """A node is done."""
        super().end(node)
        self.ended += 1
        self.first = self.first or time.monotonic() - self.began


def _plan(cells: int, out: Path) -> tuple[Plan, Store]:
    store = Store(out)
    words = {"methods": ["random"], "ipc": [*range(1, 101)], "seeds": cells // 100, "profile": "smoke"}
    suite = suite_of({**_NO_WORDS, **words}, active())
    with kept():
        plan = planner.make(grid.build(suite, active(), profile("smoke")))
    assess(plan, store)
    return plan, store


_NO_WORDS = {
    "suite": None, "methods": [], "datasets": [], "ipc": [], "fraction": [], "archs": [], "eval_archs": [],
    "preprocess": [], "protocols": [], "seeds": None, "eval_seeds": None, "random_seeds": None, "profile": None,
    "split": None, "controls": False, "engine": "auto", "settings": [],
}  # fmt: skip


@contextmanager
def _slurm() -> Iterator[None]:
    from tests.cluster import slurm

    running = slurm.make()
    try:
        running.start()
        os.environ |= running.env
        yield
    finally:
        running.stop()
        subprocess.run(["rm", "-r", str(running.folder)], check=True)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def main() -> None:
    """Run it and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor", choices=["slurm", "ray"], default="slurm")
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--pack", type=float, default=600.0, help="what a job is worth [s]")
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryDirectory() as folder, (_slurm if given.executor == "slurm" else _nothing)():
        os.environ["DDBENCH_HOME"] = f"{folder}/home"
        print(json.dumps(measured(given.executor, given.cells, given.pack, Path(folder) / "runs")))


def measured(name: str, cells: int, pack_s: float, out: Path) -> dict[str, float | int | str]:
    """One run; seconds, megabytes and counts."""
    begun = time.monotonic()
    plan, store = _plan(cells, out)
    planned = time.monotonic()
    store.check_writable()
    plan.write(out / PLAN)
    first = _First()
    target = import_target(EXECUTORS[name].target)
    executor_type = type("NoOp", (target,), {"crosses": CROSSES[name]})
    run = Run(store, plan.grid.registries, cells, Interrupts(), first, wanted=Wanted(pack=pack_s))
    executor = executor_type(run)
    most = {"files": 0, "status_s": 0.0}

    def look() -> None:
        began = time.monotonic()
        Watched(out).look()
        most["status_s"] = time.monotonic() - began
        most["files"] = sum(len(files) for _, _, files in os.walk(out))

    poll = executor.poll
    looked = False

    def polled(wait_s: float) -> object:
        nonlocal looked
        found = poll(wait_s)
        if found and not looked:
            looked = True
            look()
        return found

    executor.poll = polled
    nodes = len(plan.pending())
    first.expect(outlook.summary(plan, limit_s=0.0), plan.pending(), 1)
    schedule = Schedule(
        plan, store, executor, lambda document: Resources(device="cpu", threads=1), Interrupts(), Beats(first), 0.0,
        parallel=True,
    )  # fmt: skip
    first.began = time.monotonic()
    schedule.run()
    ended = time.monotonic()
    return {
        "executor": name, "nodes": nodes, "ended": first.ended, "plan_s": round(planned - begun, 2),
        "first_s": round(first.first, 2), "all_s": round(ended - first.began, 2),
        "nodes_per_s": round(first.ended / (ended - first.began), 1),
        "driver_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "files_then": most["files"], "status_s": round(most["status_s"], 2),
        "files_left": sum(len(files) for _, _, files in os.walk(out)),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
