"""Kills, interrupts and rivals: the same command continues, and the result is that of an undisturbed run."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import time
from functools import cache
from pathlib import Path

import pytest

from ddbench.blocks.training import Trainer
from ddbench.core.store.tensors import load_state
from tests.e2e.runs import SMOKE, contents, ddbench, plugin, start

GRID = (
    "--methods",
    "mean",
    "--ipc",
    "1",
    "--seeds",
    "2",
    "--protocols",
    "hard-fixed",
    "--reference-limit",
    "0s",
    *SMOKE,
)


def test_a_second_call_runs_nothing_and_prints_the_same_bytes(tmp_path, capsys):
    args = ("run", "--methods", "kmeans,dm", "--ipc", "1", "--seeds", "2", "--out", tmp_path / "runs", *SMOKE)
    assert ddbench(*args) == 0
    first = capsys.readouterr()
    assert "dm ipc 1 r0 · done" in first.err
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.json")}
    assert ddbench(*args) == 0
    second = capsys.readouterr()
    assert second.out == first.out
    assert "done" not in second.err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.json")} == stamps


def wait_for(found, process, seconds=90):
    """Wait until ``found()`` or the process ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None and not found():
        time.sleep(0.05)
    assert process.poll() is None, f"the run ended before it could be stopped: {process.communicate()}"


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """What undisturbed runs of GRID compute, by their further words."""

    @cache
    def of(*more):
        folder = tmp_path_factory.mktemp("calm")
        assert ddbench("run", *GRID, "--plugin", plugin(folder), *more, "--out", folder / "runs") == 0
        return contents(folder / "runs")

    return of


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_kill_9_loses_at_most_a_step_and_changes_nothing(tmp_path, calm, step):
    words, killed = ("run", *GRID, "--plugin", plugin(tmp_path)), tmp_path / "killed"
    process = start(*words, "--out", killed, MEAN_SIGNAL=f"{int(signal.SIGKILL)}@{step}")
    assert process.communicate(timeout=120) and process.returncode == -signal.SIGKILL
    (checkpoint,) = killed.rglob("mean/**/checkpoint.safetensors")
    assert load_state(checkpoint)["step"] == step
    assert not list(killed.rglob("mean/**/condense.json"))
    assert ddbench(*words, "--out", killed) == 0
    assert contents(killed) == calm()
    records = [json.loads(path.read_text()) for path in killed.rglob("mean/**/condense.json")]
    assert sorted((record["cost"]["attempts"], record["cost"]["steps"]) for record in records) == [(1, 6), (2, 6)]
    assert not list(killed.rglob(".claims/*"))


ADAM = """
import os, signal
from ddbench import CondensedSet, DistillationParams, Method, MethodInfo, hookimpl

class AdamParams(DistillationParams):
    iterations: int = 8

class Adam(Method[AdamParams]):
    def prepare(self, ctx):
        import torch
        self.labels = torch.arange(ctx.dataset.classes).repeat_interleave(ctx.ipc)
        shape = ctx.train.images(torch.tensor([0])).shape[1:]
        self.images = torch.randn(len(self.labels), *shape, generator=ctx.generator).requires_grad_()
        self.optimiser = torch.optim.Adam([self.images], lr=0.1)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimiser, step_size=3)

    def step(self, ctx):
        import torch
        if ctx.step == 4 and "ADAM_STOPS" in os.environ:
            os.kill(os.getpid(), signal.SIGTERM)
        means = torch.stack([ctx.train.images(ctx.train.of_class(int(c))).mean(0) for c in self.labels])
        loss = (self.images - means).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        return {"loss": float(loss)}

    def finalise(self, ctx):
        return CondensedSet.of_images(self.images.detach().clone(), self.labels, ctx.train.preprocess)

    def state_dict(self):
        return {"images": self.images, "optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state):
        self.images.data.copy_(state["images"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo("adam", "distillation", "adam_e2e:Adam", "adam_e2e:AdamParams", "for tests"))
"""


def test_an_optimisers_state_is_kept_as_it_is_and_a_stopped_method_goes_on_with_it(tmp_path, monkeypatch):
    file, out = tmp_path / "adam_e2e.py", tmp_path / "stopped"
    file.write_text(ADAM)
    words = ("run", "--methods", "adam", *GRID[2:], "--seeds", "1", "--plugin", file)
    with monkeypatch.context() as patch:
        patch.setenv("ADAM_STOPS", "1")
        assert ddbench(*words, "--out", out) == 130
    (checkpoint,) = out.rglob("adam*/**/checkpoint.safetensors")
    kept = load_state(checkpoint)["state"]
    assert kept["optimiser"]["state"].keys() == {0}, "keys that are numbers stay numbers"
    assert int(kept["optimiser"]["state"][0]["step"]) == kept["schedule"]["last_epoch"] == 5
    assert ddbench(*words, "--out", out) == 0
    assert ddbench(*words, "--out", tmp_path / "calm") == 0
    assert contents(out) == contents(tmp_path / "calm")
    (record,) = [json.loads(path.read_text()) for path in out.rglob("adam*/**/condense.json")]
    assert record["cost"]["attempts"] == 2


def interrupted_here(words, monkeypatch, capsys, number):
    """The exit code and what is said where a signal comes to this process in the third step."""
    with monkeypatch.context() as patch:
        patch.setenv("MEAN_SIGNAL", f"{int(number)}@2")
        code = ddbench(*words)
    return code, capsys.readouterr().err


def interrupted_there(words, monkeypatch, capsys, number):
    """The same of a process of its own."""
    process = start(*words, DDBENCH_CHECKPOINT_S="1000", MEAN_SIGNAL=f"{int(number)}@2")
    _, err = process.communicate(timeout=120)
    return process.returncode, err


@pytest.mark.parametrize(
    ("number", "interrupted"), [(signal.SIGINT, interrupted_there), (signal.SIGTERM, interrupted_here)]
)
def test_an_interrupt_checkpoints_exits_130_and_continues_to_the_bit(
    tmp_path, calm, monkeypatch, capsys, interrupts, number, interrupted
):
    out = tmp_path / "stopped"
    words = ("run", *GRID, "--plugin", plugin(tmp_path), "--out", out)
    code, err = interrupted(words, monkeypatch, capsys, number)
    assert code == 130
    assert "Traceback" not in err
    assert "the same command continues" in err
    assert len(list(out.rglob("checkpoint.safetensors"))) == 1
    assert ddbench(*words) == 0
    assert contents(out) == calm()


def test_an_interrupted_student_continues_to_the_bit(tmp_path, monkeypatch):
    words = ("run", "--methods", "random", "--ipc", "1", "--seeds", "1", *GRID[6:])
    updates, update = itertools.count(1), Trainer.update

    def stops(trainer):
        if next(updates) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", stops)
        assert ddbench(*words, "--out", tmp_path / "stopped") == 130
    (checkpoint,) = (tmp_path / "stopped").rglob("*.checkpoint.safetensors")
    assert load_state(checkpoint)
    assert ddbench(*words, "--out", tmp_path / "stopped") == 0
    assert ddbench(*words, "--out", tmp_path / "calm") == 0
    assert contents(tmp_path / "stopped") == contents(tmp_path / "calm")


def test_two_processes_share_the_work_of_one_folder(tmp_path, capsys):
    args = ("run", *GRID, "--plugin", plugin(tmp_path), "--set", "mean.pause_s=0.1", "--out", tmp_path / "runs")
    rival = start(*args)
    wait_for(lambda: list((tmp_path / "runs").rglob("mean/**/spec.json")), rival)
    assert ddbench(*args) == 0
    shown, told = rival.communicate(timeout=120)
    assert rival.returncode == 0, told
    assert shown == capsys.readouterr().out
    attempts = [json.loads(path.read_text())["cost"]["attempts"] for path in (tmp_path / "runs").rglob("condense.json")]
    assert attempts == [1] * len(attempts)
    assert not list((tmp_path / "runs").rglob("*.corrupt"))


def test_jobs_share_the_work_and_change_nothing(tmp_path, monkeypatch):
    file, seen = plugin(tmp_path), tmp_path / "pids"
    seen.mkdir()
    monkeypatch.setenv("SEEN", str(seen))
    mark = """
        open(os.path.join(os.environ["SEEN"], str(os.getpid())), "w").close()
        while len(os.listdir(os.environ["SEEN"])) < 2:
            time.sleep(0.02)
"""
    source = file.read_text()
    file.write_text(source.replace("    def prepare(self, ctx):\n", f"    def prepare(self, ctx):{mark}"))
    args = ("run", *GRID, "--plugin", file)
    assert ddbench(*args, "--jobs", "2", "--out", tmp_path / "two") == 0
    assert len({*(path.name for path in seen.iterdir())} - {str(os.getpid())}) == 2
    assert ddbench(*args, "--out", tmp_path / "one") == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert str(os.getpid()) in [path.name for path in seen.iterdir()]


def pids_of(folder):
    """Processes that have `folder` in their command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (place / "cmdline").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def workers_of(out, process):
    return [pid for pid in pids_of(out) if pid != process.pid]


def test_the_node_of_a_killed_process_is_redone(tmp_path, calm):
    file, out = plugin(tmp_path), tmp_path / "runs"
    slow = (*GRID, "--plugin", file, "--set", "mean.pause_s=0.2", "--seeds", "1")
    process = start("run", *slow, "--executor", "processes", "--out", out)
    wait_for(lambda: list(out.rglob("snapshots/*.safetensors")), process)
    (worker,) = workers_of(out, process)
    os.kill(worker, signal.SIGKILL)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert contents(out) == calm(*slow[len(GRID) + 2 :])
    (record,) = out.rglob("mean/**/condense.json")
    assert json.loads(record.read_text())["cost"]["attempts"] == 2
    assert not pids_of(out)


@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGINT, ("--jobs", "2")), (signal.SIGKILL, ("--executor", "processes"))],
)
def test_jobs_end_with_the_run_and_the_same_command_continues(tmp_path, calm, number, workers):
    file, out = plugin(tmp_path), tmp_path / "runs"
    pause = ("--set", "mean.pause_s=0.2")
    slow = ("run", *GRID, "--plugin", file, *pause, "--out", out)
    process = start(*slow, *workers, DDBENCH_CHECKPOINT_S="1000" if number == signal.SIGINT else "0")
    wait_for(lambda: list(out.rglob("snapshots/*.safetensors")), process)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while pids_of(out) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not pids_of(out), "a process outlives its run"
    assert "Traceback" not in told
    assert "Fatal" not in told
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert told.count("the same command continues") == 1
    begun = {path.parents[1] for path in out.rglob("snapshots/*.safetensors")}
    stopped = [cell for cell in begun if not (cell / "condense.json").exists()]
    assert stopped, "to be stopped is no failure"
    assert all((cell / "checkpoint.safetensors").exists() for cell in stopped)
    assert ddbench(*slow) == 0
    assert contents(out) == calm(*pause)


def test_a_timeout_is_a_row_and_the_same_command_continues(tmp_path, calm, capsys):
    pause = ("--set", "mean.pause_s=0.2")
    args = ("run", *GRID, "--plugin", plugin(tmp_path), *pause, "--out", tmp_path / "runs")
    assert ddbench(*args, "--timeout", "0.5s") == 1
    told = capsys.readouterr()
    assert "timeout" in told.out
    assert "the same command continues" in told.err
    for _ in range(20):  # the very same command, limit included, gets there
        if ddbench(*args, "--timeout", "0.5s") == 0:
            break
    else:
        raise AssertionError("the same command does not finish")
    assert contents(tmp_path / "runs") == calm(*pause)


def test_a_longer_run_goes_on_where_a_shorter_one_ended(tmp_path, capsys):
    file = plugin(tmp_path)

    def run(out, iterations, **changed):
        overrides = [f"--set=mean.{name}={value}" for name, value in {"iterations": iterations, **changed}.items()]
        assert ddbench("run", *GRID, "--plugin", file, *overrides, "--out", tmp_path / out) == 0
        capsys.readouterr()
        records = [json.loads(path.read_text()) for path in (tmp_path / out).rglob("mean/**/condense.json")]
        return {record["spec"]["cell"]["r"]: record for record in records if record["cost"]["steps"] == iterations}

    run("straight", 7)
    run("grown", 2)
    four = run("grown", 4)
    seven = run("grown", 7)
    whole = run("straight", 7)
    for r in (0, 1):
        assert seven[r]["set_sha256"] == whole[r]["set_sha256"]
        assert (seven[r]["env"]["continues"], seven[r]["cost"]["attempts"]) == (four[r]["key"], 3)
        assert "continues" not in whole[r]["env"]
        assert seven[r]["cost"]["condense_s"] > four[r]["cost"]["condense_s"]
        assert seven[r]["cost"]["cpu"]["condense_s"] > four[r]["cost"]["cpu"]["condense_s"]
    place = next(p.parent for p in (tmp_path / "grown").rglob("condense.json") if seven[0]["key"][:16] in str(p))
    assert {int(p.stem) for p in (place / "snapshots").iterdir()} == {1, 2, 3, 4, 5, 6, 7}
    assert "continues" not in run("grown", 9, pause_s=0.001)[0]["env"], "another cell is no forerunner"
    assert "continues" not in run("grown", 8, selection="val")[0]["env"], "it wants snapshots of its own"
    assert "continues" not in run("grown", 3, pause_s=0.001)[0]["env"], "a longer run is no forerunner"


@pytest.fixture(scope="module")
def lengths(tmp_path_factory):
    """A folder with a run of two steps, ``2``, and an undisturbed one of four, ``4``; and the words of such a run."""
    folder = tmp_path_factory.mktemp("lengths")

    def words(steps, out):
        return ("run", *GRID, "--plugin", folder / "meanplugin.py", "--set", f"mean.iterations={steps}", "--out", out)

    plugin(folder)
    for steps in (2, 4):
        assert ddbench(*words(steps, folder / str(steps))) == 0
    return folder, words


@pytest.mark.parametrize("damage", ["cut", "no snapshots", "no spec", "both"])
def test_a_damaged_forerunner_costs_only_its_time(tmp_path, lengths, capsys, damage):
    folder, words = lengths
    out = shutil.copytree(folder / "2", tmp_path / "runs")
    for path in [*out.rglob("final.safetensors")]:
        if damage in ("cut", "both"):
            path.write_bytes(path.read_bytes()[:50])
        if damage == "no snapshots":
            shutil.rmtree(path.parent / "snapshots")
        if damage in ("no spec", "both"):
            (path.parent / "spec.json").unlink()
    assert ddbench(*words(4, out)) == 0
    assert ("starting over" in capsys.readouterr().err) == (damage != "no snapshots")
    files = [*out.rglob("mean/**/condense.json"), *(folder / "4").rglob("mean/**/condense.json")]
    records = [json.loads(path.read_text()) for path in files]
    sets = {(r["spec"]["cell"]["r"], r["set_sha256"]) for r in records if r["cost"]["steps"] == 4}
    assert len(sets) == 2
    told = {r["env"].get("continues", "") for r in records if r["cost"]["steps"] == 4}
    assert (told == {""}) == (damage != "no snapshots"), "the record says what the state was, not what was hoped for"


def test_a_method_without_iterations_cannot_continue_and_says_nothing(tmp_path):
    file = plugin(tmp_path)
    source = file.read_text()
    for old, new in {
        "import os, time": "import os, time\nfrom typing import ClassVar",
        "CondensedSet, DistillationParams": "CondensedSet, Params",
        "(DistillationParams)": "(Params)",
        "continues = True": "continues: ClassVar[bool] = True",
        "iterations: int = 6": "rounds: int = 6",
        "def prepare": "def done(self, ctx):\n        return ctx.step >= 6\n\n    def prepare",
    }.items():
        assert old in source
        source = source.replace(old, new)
    file.write_text(source)
    assert ddbench("run", *GRID, "--plugin", file, "--out", tmp_path / "runs") == 0


@pytest.mark.parametrize("more", [{"schema": 2}, {"key_format": 2}, {"energy_wh": 1.0}, {"schema": "2", "metrics": 3}])
def test_a_record_of_a_newer_ddbench_is_left_alone(tmp_path, more, capsys):
    out = tmp_path / "out"
    command = ("run", "--methods", "random", "--ipc", 1, *SMOKE, "--seeds", 1, "--reference-limit", "0s", "--out", out)
    assert ddbench(*command) == 0
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for path in out.rglob("eval/*.json"):
        files[path] = json.dumps(json.loads(files[path]) | more).encode()
        path.write_bytes(files[path])
    capsys.readouterr()
    assert ddbench(*command) == 2
    assert "newer than this ddbench" in capsys.readouterr().err
    assert ddbench("results", "show", "--out", out) == 2
    assert "newer than this ddbench" in capsys.readouterr().err
    for path, content in files.items():
        assert path.name == "plan.jsonl" or path.read_bytes() == content
