"""What a node costs: seconds by several timers, memory above a warm start, and nodes beside it. Clocks are made up."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.core.api import Method, Params
from ddbench.core.store.tensors import save_state
from ddbench.work import meter as meters
from ddbench.work.condense import Condensation, History
from ddbench.work.costs import cost_of
from ddbench.work.meter import Meter, Spent
from ddbench.work.timers import HOST, added, cpu_seconds, gpu_of
from tests.fakes import FakeContext, toy


class Hands:
    """Timers that a test moves."""

    def __init__(self):
        self.at = {"wall": 100.0, "cpu": 7.0}

    @property
    def timers(self):
        return {name: (lambda name=name: self.at[name]) for name in self.at}

    def move(self, **seconds):
        for name, passed in seconds.items():
            self.at[name] += passed


class FakeGpu:
    """A GPU whose clock and allocator a test moves."""

    def __init__(self):
        self.clock, self.level, self.peak = 50.0, 30.0, 900.0

    def now(self):
        return self.clock

    def level_mb(self):
        return self.level

    def reset_peak(self):
        self.peak = self.level

    def peak_mb(self):
        return self.peak

    def hold(self, megabytes):
        self.peak = max(self.peak, self.level + megabytes)


def test_seconds_add_up_over_phases_of_one_name_and_count_open_ones():
    hands = Hands()
    meter = Meter(0.0, timers=hands.timers)
    with meter.phase("a"):
        hands.move(wall=2.0, cpu=3.0)
    hands.move(wall=50.0, cpu=50.0)
    with meter.phase("a"):
        hands.move(wall=1.0, cpu=0.5)
        assert meter.running() == {"wall": {"a": 3.0}, "cpu": {"a": 3.5}}
        with meter.phase("b"):
            hands.move(wall=4.0)
    assert meter.seconds == {"wall": {"a": 7.0, "b": 4.0}, "cpu": {"a": 3.5, "b": 0.0}}


def test_seconds_of_a_phase_that_fails_are_kept():
    hands = Hands()
    meter = Meter(0.0, timers=hands.timers)
    with pytest.raises(ValueError), meter.phase("a"):
        hands.move(wall=2.0, cpu=1.0)
        raise ValueError
    assert meter.seconds == {"wall": {"a": 2.0}, "cpu": {"a": 1.0}}


def test_a_gpu_has_a_clock_and_a_peak_of_its_own_reset_for_every_phase():
    hands, gpu = Hands(), FakeGpu()
    meter = Meter(0.0, timers=hands.timers, gpu=gpu)
    with meter.phase("a"):
        gpu.clock += 0.5
        gpu.hold(200.0)
    assert (meter.seconds["device"], meter.device_mb) == ({"a": 0.5}, 200.0), "what was held before does not count"
    gpu.hold(5000.0)  # between phases
    with meter.phase("b"):
        gpu.hold(100.0)
    assert meter.device_mb == 200.0
    assert Meter(0.0).device_mb is None and "device" not in Meter(0.0).running()


def test_cpu_seconds_are_of_all_threads_and_of_children_that_have_ended():
    before = cpu_seconds()
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert cpu_seconds() - before >= 0.3
    assert HOST["cpu"] is cpu_seconds


def test_waiting_takes_no_cpu_seconds():
    """Of a process: asked of a child, because this one has other threads."""
    code = "import time\nfrom ddbench.work.timers import cpu_seconds as now\na = now()\ntime.sleep(2)\nprint(now() - a)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(run.stdout) < 0.5


def test_cuda_tells_seconds_and_megabytes(monkeypatch):
    """Its side of the interface, with torch's functions replaced: this machine may have no GPU."""
    time_ms, told = [1000.0], []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = time_ms[0]

        def synchronize(self):
            told.append("waited")

        def elapsed_time(self, later):
            return later.at - self.at

    for name, found in {
        "Event": Event, "reset_peak_memory_stats": lambda: told.append("reset"),
        "memory_allocated": lambda: 3 * 2**20, "max_memory_allocated": lambda: 5 * 2**20,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, found)
    gpu = gpu_of("cuda")
    time_ms[0] += 250.0
    assert (gpu.now(), gpu.level_mb(), gpu.peak_mb()) == (0.25, 3.0, 5.0)
    gpu.reset_peak()
    assert told == ["waited", "waited", "reset"], "a reading waits for what the device was given"
    assert gpu_of("cpu") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_real_gpu_is_measured():
    meter = Meter(0.0, gpu=gpu_of("cuda"))
    with meter.phase("a"):
        block = torch.ones(2**25, device="cuda")
        block = block @ block
    assert meter.device_mb >= 127 and meter.seconds["device"]["a"] > 0


def test_attempts_add_up_by_the_timers_that_all_of_them_had():
    old, new = {"wall": {"a": 1.0}}, {"wall": {"a": 2.0, "b": 5.0}, "cpu": {"a": 1.5, "b": 4.0}}
    assert added(None, new) == new
    assert added(new, new) == {"wall": {"a": 4.0, "b": 10.0}, "cpu": {"a": 3.0, "b": 8.0}}
    assert added(old, new) == {"wall": {"a": 3.0, "b": 5.0}}, "half of the CPU seconds would be none of it"


def test_what_attempts_took_survives_their_file(tmp_path):
    hands, gpu = Hands(), FakeGpu()
    meter = Meter(0.0, timers=hands.timers, gpu=gpu, others=lambda: 2)
    with meter.phase("artifact"):
        hands.move(wall=2.0, cpu=1.0)
        gpu.clock += 3.0
        gpu.hold(70.0)
    Spent().plus(meter, 4).write(tmp_path)
    spent = Spent.read(tmp_path).plus(meter, 4)
    assert spent.totals == {
        "wall": 4.0,
        "cpu": 2.0,
        "device": 6.0,
    }
    assert (spent.steps, spent.attempts, spent.device_mb, spent.beside) == (8, 2, 70.0, 2)
    assert Spent.load(json.loads(json.dumps(asdict(spent))), "artifact") == spent


def test_what_attempts_of_before_took_is_read_as_wall_seconds(tmp_path):
    (tmp_path / ".attempts.json").write_text('{"seconds": 5.0, "steps": 3, "peak_mb": 9.0, "attempts": 1}')
    spent = Spent.read(tmp_path)
    assert (spent.seconds, spent.steps, spent.attempts) == ({"wall": {"artifact": 5.0}}, 3, 1)
    hands = Hands()
    meter = Meter(0.0, timers=hands.timers)
    with meter.phase("artifact"):
        hands.move(wall=1.0, cpu=1.0)
    assert (spent.plus(meter).totals.get("wall"), spent.plus(meter).totals.get("cpu")) == (6.0, None)
    (tmp_path / ".attempts.json").write_text("{")
    assert Spent.read(tmp_path) == Spent()


class Still(Method):
    """A method that takes no steps."""

    def __init__(self):
        super().__init__(Params())

    def state_dict(self):
        return {"x": torch.ones(1)}


def condensing(folder, meter):
    ctx = FakeContext(toy(), toy((2, 2, 2), seed=9))
    ctx.step = 5
    return Condensation(Still(), ctx, None, meter, folder, History.read(folder), "distillation")


def test_a_resumed_cell_adds_up_what_all_attempts_took(tmp_path):
    gpu = FakeGpu()
    for _ in range(3):
        hands = Hands()
        meter = Meter(0.0, timers=hands.timers, gpu=gpu, others=lambda: 1)
        running = condensing(tmp_path, meter)
        with meter.phase("prepare"):
            hands.move(wall=1.0, cpu=0.5)
        with meter.phase("condense"):
            hands.move(wall=8.0, cpu=2.0)
            gpu.clock += 1.5
            gpu.hold(40.0)
            running.checkpoint()
            hands.move(wall=1000.0, cpu=1000.0)  # lost: the process was killed before the next checkpoint
    spent = History.read(tmp_path).spent
    assert spent.seconds == {
        "wall": {"prepare": 1.0, "condense": 24.0}, "cpu": {"prepare": 0.5, "condense": 6.0},
        "device": {"prepare": 0.0, "condense": 4.5},
    }  # fmt: skip
    assert (spent.attempts, spent.beside, spent.device_mb) == (3, 1, 40.0)


def test_a_checkpoint_of_before_goes_on_and_its_cpu_seconds_stay_unknown(tmp_path):
    before = {"step": 5, "state": {"x": torch.ones(1)}, "generator": torch.Generator().get_state(), "warnings": [],
              "forerunner": "", "seconds": {"prepare": 1.0, "condense": 7.0}, "peak_mb": 12.0, "attempts": 2}  # fmt: skip
    save_state(tmp_path / "checkpoint.safetensors", before)
    history = History.read(tmp_path)
    assert history.spent == Spent(seconds={"wall": {"prepare": 1.0, "condense": 7.0}}, peak_mb=12.0, attempts=2)
    hands = Hands()
    meter = Meter(0.0, timers=hands.timers)
    with meter.phase("condense"):
        hands.move(wall=2.0, cpu=1.0)
    cost = cost_of(history.spent.plus(meter), meter, {}, steps=9, shares={})
    assert (cost.prepare_s, cost.condense_s, cost.cpu, cost.attempts) == (1.0, 9.0, None, 3)


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "final.safetensors"], ids=["resumed", "continued"])
def test_a_cell_is_charged_for_preparing_once_by_its_last_attempt(name, tmp_path):
    for prepare in (5.0, 3.0, 4.0):
        hands = Hands()
        meter = Meter(0.0, timers=hands.timers)
        running = condensing(tmp_path, meter)
        with meter.phase("prepare"):
            hands.move(wall=prepare, cpu=prepare / 2)
        with meter.phase("condense"):
            hands.move(wall=8.0, cpu=2.0)
            running.keep(name)
        (tmp_path / name).rename(tmp_path / "checkpoint.safetensors")
    cost = cost_of(History.read(tmp_path).spent, meter, {}, steps=9)
    assert (cost.prepare_s, cost.condense_s, cost.attempts) == (4.0, 24.0, 3)
    assert (cost.cpu.prepare_s, cost.cpu.condense_s) == (2.0, 6.0)


def test_an_attempt_that_ended_before_it_prepared_leaves_what_preparing_took():
    seconds = {"wall": {"prepare": 5.0, "condense": 8.0}}
    assert added(seconds, {"wall": {}}) == seconds


def test_the_most_nodes_beside_are_remembered():
    seen = iter([0, 3, 1, 0, 0])
    meter = Meter(0.0, others=lambda: next(seen))
    with meter.phase("a"):  # asked at its begin, at its end, and with every checkpoint
        meter.running()
        meter.running()
    assert meter.beside == 3
    assert Meter(0.0).beside is None


def test_peak_memory_sees_what_was_freed_again():
    import numpy as np

    quiet, loud = Meter(base_mb=0.0), Meter(base_mb=0.0)
    with quiet.phase("x"):
        time.sleep(0.1)
    with loud.phase("x"):
        block = np.ones(200 * 2**20, dtype=np.uint8)
        time.sleep(0.1)
        del block
    assert loud.peak_mb - quiet.peak_mb > 150


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("resets", [True, False])
def test_a_checkpoint_keeps_at_least_the_memory_that_its_phase_used_so_far(resets, monkeypatch):
    import numpy as np

    if not resets:
        monkeypatch.setattr(meters, "_reset_peak", lambda: False)
    meter = Meter()
    with meter.phase("condense"):
        block = np.ones(200 * 2**20, dtype=np.uint8)
        kept = Spent().plus(meter)
        del block
    assert meter.peak_mb >= kept.peak_mb > 180


HELD_MB = st.floats(0.0, 1e4)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(HELD_MB, HELD_MB), min_size=1, max_size=4))
def test_the_peak_of_a_resumed_node_is_the_largest_of_its_attempts(attempts):
    gpu, spent = FakeGpu(), Spent()
    for in_prepare, in_condense in attempts:
        meter = Meter(0.0, gpu=gpu)
        with meter.phase("prepare"):
            gpu.hold(in_prepare)
        with meter.phase("condense"):
            gpu.hold(in_condense)
            spent = spent.plus(meter)
            gpu.hold(1e6)  # lost: the process was killed before the next checkpoint
    assert spent.device_mb == pytest.approx(max(map(max, attempts)))


def test_a_checkpoint_keeps_that_others_used_the_cores(monkeypatch):
    busy = iter([False, True, False])
    monkeypatch.setattr(meters, "_busy", lambda: next(busy))
    meter = Meter(0.0)
    with meter.phase("condense"):
        assert not Spent().plus(meter).contended
        assert Spent().plus(meter).contended
    assert meter.contended


BOUND_MB = 12.0
"""How far two peaks of one cell may lie apart: free pages between live blocks, and pages of libraries that only it
touches, are some megabytes. Without the warm-up the first node of a process reads 29 MB more than the second."""

ONE_CELL = """
import json, sys, tempfile
from pathlib import Path
from ddbench.core.plugin.loader import installed
from ddbench.core.store.folder import Store
from ddbench.work.engine import Engine
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent
from ddbench.work.node import run_node
from tests.unit.plan.test_planner import planned

plan = planned(methods=["dm"], budget={"ipc": [10]}, profile="smoke", set={"dm": {"iterations": 3}})
node = next(node for node in plan.nodes.values() if node.kind == "cell" and node.document.cell.method == "dm")
peaks = []
for _ in range(int(sys.argv[1])):
    store = Store(Path(tempfile.mkdtemp(dir=sys.argv[2])))
    made = run_node(node.document, store, Engine(device="cpu", threads=1), registries=installed(),
                    interrupts=Interrupts(), monitor=Silent())
    assert made.status == "ok" and made.record.cost.warm, made.reason
    peaks.append(made.record.cost.peak_mb)
print(json.dumps(peaks))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_the_first_node_of_a_process_has_the_peak_of_a_later_one(tmp_path):
    command = [sys.executable, "-c", ONE_CELL, "2", str(tmp_path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert min(found) > 1.0, "a pass over images takes memory"
    assert max(found) - min(found) < BOUND_MB, found
