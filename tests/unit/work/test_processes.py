"""Workers as a run has them: which GPU each sees, who gets a node, and what becomes of those that die.

Most of them are tiny programs that answer as `ddbench work` does: an artifact's name says what becomes of it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.store.folder import Store
from ddbench.work.executors import processes
from ddbench.work.executors.base import Resources, Run
from ddbench.work.executors.devices import VARIABLE
from ddbench.work.executors.processes import REDO, Processes
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent
from tests.unit.work.test_schedule import artifact

FAKE = """
import json, os, signal, subprocess, sys, time
def tell(**answer):
    print(json.dumps(answer), flush=True)
tell(ready=True, free_mb=FREE)
for line in sys.stdin:
    what, gpu = json.loads(line)["document"]["artifact"]["kind"], os.environ.get("CUDA_VISIBLE_DEVICES")
    print(f"{what} {gpu}", file=open(LOG, "a"), flush=True)
    if what == "wait":
        while not os.path.exists(LOG + ".go"):
            time.sleep(0.01)
    if what == "die-once" and sum(seen.startswith(what) for seen in open(LOG)) == 1 or what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "orphan":
        wait = "import os, time\\nwhile not os.path.exists(" + repr(LOG + ".go") + "): time.sleep(0.1)"
        subprocess.Popen([sys.executable, "-c", wait], stdin=subprocess.DEVNULL)
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "refuse":
        tell(error={"kind": "UsageError", "text": "--device cuda: no GPU"})
    tell(outcome={"status": "ok", "reason": f"on {gpu}"})
"""


class Bench:
    """Workers on GPUs that are not there, and what they wrote."""

    def __init__(self, folder, gpus, jobs):
        self.log = folder / "log"
        run = Run(Store(folder / "runs"), installed(), jobs, Interrupts(), Silent(), gpus=gpus)
        self.executor = Processes(run)
        self.jobs, self.submitted = jobs, 0
        while self.executor.slots < jobs:
            self.executor.poll(0.5)

    def submit(self, *kinds, **given):
        for kind in kinds:
            self.submitted += 1
            document = artifact(f"{kind}-{self.submitted}").document
            document = document.model_copy(update={"artifact": document.artifact.model_copy(update={"kind": kind})})
            self.executor.submit(document, Resources(device="cuda", **given))

    def go(self):
        """Let waiting nodes end."""
        self.log.with_name("log.go").touch()

    def outcomes(self, n):
        """What became of ``n`` nodes, in the order in which they ended."""
        found, end = [], time.monotonic() + 60
        while len(found) < n:
            assert time.monotonic() < end, "the run hangs"
            found += [outcome for _, outcome in self.executor.poll(0.2)]
        return found

    def seen(self, n=None):
        """Node and GPU of what was begun so far; waits for ``n``."""
        end = time.monotonic() + 60
        while n is not None and (not self.log.exists() or len(self.seen()) < n):
            assert time.monotonic() < end
            time.sleep(0.01)
        return [tuple(line.split()) for line in self.log.read_text().splitlines()]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    made = []

    def start(*gpus, jobs, free_mb=None):
        program = FAKE.replace("LOG", repr(str(tmp_path / "log"))).replace("FREE", repr(free_mb))
        monkeypatch.setattr(processes, "command", lambda run: [sys.executable, "-c", program])
        made.append(Bench(tmp_path, gpus, jobs))
        return made[-1]

    yield start
    for one in made:
        one.go()
        one.executor.close()


@pytest.fixture(autouse=True)
def _four_gpus(monkeypatch):
    monkeypatch.setenv(VARIABLE, "4,5,6,7")


def test_each_process_sees_the_gpu_that_is_its_turn(bench):
    found = bench("cuda:0", "cuda:1", jobs=4)
    found.submit("wait", "wait", "wait", "wait")
    assert sorted(gpu for _, gpu in found.seen(4)) == ["4", "4", "5", "5"]


def test_nodes_spread_over_gpus_before_two_share_one(bench):
    found = bench("cuda:1", "cuda:3", jobs=6)
    found.submit("wait", "wait")
    assert sorted(gpu for _, gpu in found.seen(2)) == ["5", "7"]


def test_processes_of_a_run_that_names_no_gpu_see_what_the_run_sees(bench):
    found = bench(jobs=2)
    found.submit("a", "b")
    assert {outcome.reason for outcome in found.outcomes(2)} == {"on 4,5,6,7"}


def _shown(pid):
    """The GPUs that a process was started with; of one that has not begun to run Python this is its parent's."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return next((line.partition("=")[2] for line in lines if line.startswith(f"{VARIABLE}=")), None)


@pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="what a process was started with is read from /proc"
)
def test_a_real_worker_is_shown_its_gpu(tmp_path):
    run = Run(Store(tmp_path), installed(), 2, Interrupts(), Silent(), gpus=("cuda:0", "cuda:2"))
    executor = Processes(run)
    pids = [worker.process.pid for worker in executor._workers]
    try:
        before_exec = _shown(os.getpid())
        deadline = time.monotonic() + 60
        while before_exec in (shown := [_shown(pid) for pid in pids]) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        executor.close()
    assert shown == ["4", "6"]


def test_a_dead_process_has_a_successor_on_its_gpu_that_does_its_node(bench):
    found = bench("cuda:0", "cuda:1", jobs=2)
    found.submit("wait", "die-once")
    assert [outcome.status for outcome in found.outcomes(1)] == ["ok"]
    assert sorted(found.seen(3)) == [("die-once", "5"), ("die-once", "5"), ("wait", "4")]
    found.submit("b")
    assert found.outcomes(1)[0].reason == "on 5"


def test_a_node_that_kills_every_process_is_a_failure_and_the_rest_goes_on(bench):
    found = bench("cuda:0", "cuda:1", jobs=2)
    found.submit("die", "a")
    (failed,) = (one for one in found.outcomes(2) if one.status != "ok")
    assert failed.reason == f"artifact die: its process was killed by signal 9, {REDO + 1} times in a row"
    while found.executor.slots < 2:
        found.executor.poll(0.5)
    found.submit("wait", "wait")
    found.go()
    assert {one.reason for one in found.outcomes(2)} == {"on 4", "on 5"}, "both GPUs are still in use"


def test_a_process_is_dead_though_what_it_started_keeps_its_pipe_open(bench):
    found = bench("cuda:0", jobs=1)
    found.submit("orphan")
    assert found.outcomes(1)[0].status == "failed"


def test_a_node_waits_for_memory_unless_nothing_is_beside_it(bench, monkeypatch):
    free = [1000.0]
    monkeypatch.setattr(processes, "available_mb", lambda: free[0])
    found = bench(jobs=3)
    assert found.executor.has_room(Resources(peak_mb=5000.0)), "nothing runs"
    found.submit("wait", peak_mb=400.0)
    assert found.executor.has_room(Resources(peak_mb=500.0))
    assert not found.executor.has_room(Resources(peak_mb=501.0))
    free[0] = 500.0  # the first one took 400, and somebody else 100
    assert not found.executor.has_room(Resources(peak_mb=500.0))
    assert found.executor.has_room(Resources(peak_mb=400.0))
    found.go()
    found.outcomes(1)
    assert found.executor.has_room(Resources(peak_mb=5000.0))


def test_a_node_goes_to_the_gpu_that_has_room_for_it(bench):
    found = bench("cuda:0", "cuda:1", jobs=4, free_mb=1000.0)
    found.submit("wait", device_mb=700.0)
    found.submit("wait", device_mb=300.0)
    assert not found.executor.has_room(Resources(device_mb=601.0))
    found.submit("wait", device_mb=600.0)
    assert not found.executor.has_room(Resources(device_mb=300.0))
    assert [gpu for _, gpu in sorted(found.seen(3))] in (["4", "5", "5"], ["5", "4", "5"], ["5", "5", "4"])


def test_the_last_try_of_a_node_has_the_machine_for_itself(bench):
    found = bench("cuda:0", "cuda:1", jobs=2)
    found.submit("wait", "die")
    while len(found.seen(1)) < 1 + REDO or not found.executor._waiting:
        found.executor.poll(0.1)
    for _ in range(5):
        assert found.executor.poll(0.05) == []
        assert not found.executor.has_room(Resources()), "nothing else may start"
    assert sorted(found.seen()) == [("die", "5")] * REDO + [("wait", "4")]
    found.go()
    assert sorted(outcome.status for outcome in found.outcomes(2)) == ["failed", "ok"]
    assert len(found.seen()) == 1 + REDO + 1


def test_a_worker_that_finds_no_device_ends_the_run_before_it_has_a_node(tmp_path):
    run = Run(Store(tmp_path), installed(), 1, Interrupts(), Silent(), gpus=("cuda:2",), device="nosuch")
    executor = Processes(run)
    try:
        with pytest.raises(UsageError, match="cuda:2: --device nosuch"):
            while not executor.slots:
                executor.poll(0.5)
    finally:
        executor.close()


def test_a_gpu_that_cannot_be_used_is_named(bench):
    found = bench("cuda:0", "cuda:1", jobs=2)
    found.submit("wait", "refuse")
    with pytest.raises(UsageError, match="cuda:1: --device cuda: no GPU"):
        found.outcomes(1)
