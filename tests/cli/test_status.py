"""`ddbench status`, `ddbench cancel` and `ddbench results cost`: from files alone, whoever wrote these."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ddbench.cli.results.cost import _hours
from ddbench.cli.status import _facts
from ddbench.core.keys import short
from ddbench.core.store import jobs
from ddbench.core.store.claims import Watch, acquire
from ddbench.core.store.folder import CONDENSE, Store
from ddbench.library.standing import Watched, plan_of
from ddbench.work.executors.schedule import Schedule
from tests.e2e.runs import SMOKE, ddbench, plugin

WHAT = ("--ipc", "1", "--seeds", "1", *SMOKE, "--reference-limit", "0")


@pytest.fixture
def runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert ddbench("run", "--methods", "random,kmeans", *WHAT, "--out", tmp_path / "runs") == 0
    capsys.readouterr()
    return tmp_path / "runs"


def undo(out: Path, method: str) -> tuple[str, list[Path]]:
    """Take the reported set of a method away; its key and what else was of it."""
    (folder,) = [
        path.parent
        for path in (out / "digits" / method).rglob(CONDENSE)
        if json.loads(path.read_text())["spec"]["cell"]["r"] == 0
    ]
    gone = [folder / CONDENSE, *folder.rglob("eval/*.json")]
    key = json.loads((folder / CONDENSE).read_text())["key"]
    for path in gone:
        path.unlink()
    return key, gone


def facts(out: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> dict:
    assert ddbench("status", "--json", "--out", out) == code
    return json.loads(capsys.readouterr().out)


def test_a_run_that_is_done(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(runs, capsys)
    assert found["done"] == found["total"] == sum(line.wanted for line in plan_of(runs)) > 4
    assert not (found["working"] or found["failed"] or found["handed"] or found["waiting"])
    assert ddbench("status", "--watch", "--out", runs) == 0, "there is nothing to watch"
    assert re.fullmatch(r"(\d+) of \1 nodes done\n", capsys.readouterr().out)


def test_who_stops_watching_is_told_that_the_run_goes_on(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        assert seconds == 3
        raise KeyboardInterrupt

    undo(runs, "kmeans")
    monkeypatch.setattr("ddbench.cli.status.time.sleep", interrupted)
    assert ddbench("status", "--watch", "--every", "3s", "--out", runs) == 130
    shown = capsys.readouterr()
    assert "waiting" in shown.out
    assert shown.err == "ddbench: no longer watched; what runs goes on\n"


def test_looking_changes_nothing(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def content() -> dict[Path, tuple[bytes, int]]:
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in runs.rglob("*") if path.is_file()}

    before = content()
    facts(runs, capsys)
    assert content() == before


@pytest.mark.parametrize("place", ["", "slurm job 7_1"])
def test_what_runs_where_and_since_when(runs: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    key, gone = undo(runs, "kmeans")
    claim = acquire(Store(runs).claims(shared=False), short(key), Watch(), place)
    assert claim is not None
    with claim:
        claim.beat(at=(3, 12, "steps"))
        found = facts(runs, capsys)
        (working,) = found["working"]
        assert working["key"] == key
        assert working["where"].startswith(place)
        assert f"process {os.getpid()}" in working["where"]
        assert working["at"] == [3, 12, "steps"]
        assert abs(time.time() - working["since"]) < 60
        assert found["waiting"] == len(gone) - 1, "its students"
        ddbench("status", "--out", runs)
        told = capsys.readouterr().out
        assert "3 of 12 steps" in told
        assert "1 running" in told
    assert facts(runs, capsys)["waiting"] == len(gone)


def test_a_claimed_node_that_waits_for_a_place_does_not_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, gone = undo(runs, "kmeans")
    with acquire(Store(runs).claims(shared=False), short(key), Watch()) or pytest.fail("nobody has it") as claim:
        claim.move()
        found = facts(runs, capsys)
        assert (found["working"], found["waiting"]) == ([], len(gone))
        claim.move("ray task 7 on host-b")
        (working,) = facts(runs, capsys)["working"]
        assert working["where"].startswith("ray task 7 on host-b, for process ")


def test_jobs_at_an_engine(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, gone = undo(runs, "kmeans")
    handle = jobs.Handle(
        name="0123456789ab", executor="slurm", engine_id="7_1", nodes={key: 120.0, "f" * 64: None},
        submitted=time.time() - 180, host="login1", pid=77, resources={"cpus": 2},
    )  # fmt: skip
    jobs.write(runs, handle)
    found = facts(runs, capsys)
    assert [(one["engine_id"], one["waiting"]) for one in found["handed"]] == [("7_1", 1)]
    assert found["waiting"] == len(gone) - 1
    ddbench("status", "--out", runs)
    told = capsys.readouterr().out
    for text in (
        "1 in jobs that wait or run",
        "slurm 7_1",
        "1 of 2",
        "2 min",
        "3 min ago by process 77 on login1",
        "cpus 2",
    ):
        assert text in told, text


def test_failures_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs"
    broken = ("--plugin", plugin(tmp_path), "--set", "mean.trouble=step")
    assert ddbench("run", "--methods", "mean", *broken, *WHAT, "--out", out) == 1
    capsys.readouterr()
    found = facts(out, capsys, code=1)
    assert any("broken in step" in one["reason"] for one in found["failed"])
    assert found["done"] + len(found["failed"]) == found["total"], "students whose set failed have no record"
    ddbench("status", "--out", out)
    told = capsys.readouterr().out
    assert "failed: mean (trouble=step) ipc 1 r0: ValueError: broken in step" in told
    assert "its set failed" not in told, "said of the set, once"


@pytest.fixture
def held(runs: Path) -> Iterator[Callable[..., float | None]]:
    """Lets a claim on the set of kmeans tell steps, two seconds each; gives how long the set goes on."""
    key, _ = undo(runs, "kmeans")
    clock = [0.0]

    def plan(steps: int, forecast_s: float | None) -> None:
        rows = [json.loads(line) for line in (runs / "plan.jsonl").read_text().splitlines()]
        known = {"steps": steps, "forecast_s": forecast_s}
        rows = [row | known if row["key"] == key else row for row in rows]
        (runs / "plan.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    with acquire(Store(runs).claims(shared=False), short(key), Watch()) or pytest.fail("nobody has it") as claim:
        claim._now = lambda: clock[0]

        def told(*done: int, total: int = 40, first_s: float = 30.0, steps: int = 40, forecast_s: float | None = None):
            plan(steps, forecast_s)
            clock[0] += first_s
            for n in done:
                claim._written = -1e9  # each is written
                claim.beat(at=(n, total, "steps"))
                clock[0] += 2.0
            (working,) = Watched(runs).look().working
            return working.left_s

        yield told


def test_left_goes_by_the_speed_of_the_steps_after_the_first(held: Callable[..., float | None]) -> None:
    assert held(1) is None, "the first has the start in it"
    assert held(2, 3, 4, first_s=0.0) == pytest.approx(72.0, abs=3.0)
    assert held(40, first_s=0.0) == pytest.approx(0.0, abs=0.1)


def test_a_resumed_node_counts_the_steps_of_this_attempt(held: Callable[..., float | None]) -> None:
    assert held(30, 31, 32, 33, first_s=100.0) == pytest.approx(14.0, abs=3.0)


def test_left_goes_by_the_forecast_until_there_are_several_steps(held: Callable[..., float | None]) -> None:
    assert held(1, 2, forecast_s=500.0) == pytest.approx(500.0, abs=5.0)
    assert held(3, 4, first_s=0.0, forecast_s=500.0) == pytest.approx(72.0, abs=5.0)


def test_of_steps_without_a_known_end_no_time_is_told(held: Callable[..., float | None]) -> None:
    assert held(1, 2, 3, 4, 5, total=0) is None


def test_what_is_counted_several_times_goes_on_for_longer_than_one_of_them(held: Callable[..., float | None]) -> None:
    """A student of each of five learning rates, the second of them."""
    each = {"total": 40, "steps": 200, "first_s": 0.0}
    held(*range(1, 41), **each)
    assert held(1, **each, forecast_s=400.0) == pytest.approx(400.0, abs=5.0)
    assert held(2, 3, 4, **each, forecast_s=20.0) == pytest.approx(72.0, abs=5.0)


def test_of_what_nothing_is_known_no_time_is_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    undo(runs, "kmeans")
    assert facts(runs, capsys)["left_s"] is None
    ddbench("status", "--out", runs)
    assert "left" not in capsys.readouterr().out


def test_a_node_whose_process_has_ended_does_not_run(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = undo(runs, "kmeans")
    with acquire(Store(runs).claims(shared=False), short(key), Watch()):
        monkeypatch.setattr("ddbench.core.store.claims.process_start", lambda pid: 1)
        found = facts(runs, capsys)
        assert (found["running"], len(found["working"])) == (0, 1)
        assert found["done"] + found["waiting"] == found["total"]
        ddbench("status", "--out", runs)
        told = capsys.readouterr().out
        assert "running ·" not in told
        assert "has ended: another process takes the node over" in told


def handle(runs: Path, key: str, **more: Any) -> jobs.Handle:
    known = {"name": "0123456789ab", "executor": "slurm", "engine_id": "7_1", "nodes": {key: 120.0}, "submitted": 5.0}
    found = jobs.Handle(**{**known, **jobs.submitter(), **more})
    jobs.write(runs, found)
    return found


def scancel(folder: Path, says: str, code: int) -> Path:
    """A program of that name; gives the file with its arguments."""
    program, seen = folder / "bin" / "scancel", folder / "seen"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {seen}\necho "{says}" >&2\nexit {code}\n')
    program.chmod(0o755)
    return seen


def test_what_is_cancelled_is_marked_so(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = undo(runs, "kmeans")
    one = handle(runs, key)
    seen = scancel(tmp_path, "", 0)
    monkeypatch.setenv("PATH", f"{seen.parent / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert ddbench("cancel", "--out", runs) == 0
    assert capsys.readouterr().out == "1 job of Slurm cancelled: 7_1\n"
    assert seen.read_text().split()[-1] == "7_1"
    assert jobs.is_cancelled(runs, one.name), "the run that waits for it hears so"


def test_a_cancel_that_the_engine_does_not_carry_out_leaves_all_as_it_was(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = undo(runs, "kmeans")
    one = handle(runs, key, pid=2**22 + 1, started=None)
    seen = scancel(tmp_path, "Unable to contact slurm controller", 1)
    monkeypatch.setenv("PATH", f"{seen.parent / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert ddbench("cancel", "--out", runs) == 2
    told = capsys.readouterr().err
    assert "Unable to contact slurm controller; the jobs go on: the same `ddbench cancel` once that is mended" in told
    assert not jobs.is_cancelled(runs, one.name)
    assert jobs.handles(runs) == [one]


def test_jobs_that_ended_with_their_run_are_neither_shown_nor_waited_for(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, gone = undo(runs, "kmeans")
    handle(runs, key, executor="ray", pid=2**22 + 1, started=None, outlives=False)
    found = facts(runs, capsys)
    assert (found["handed"], found["waiting"]) == ([], len(gone))
    assert ddbench("cancel", "--out", runs) == 0
    assert capsys.readouterr().out == f"process {2**22 + 1} has ended, and with it its jobs\n"
    assert jobs.handles(runs) == []


def test_a_run_elsewhere_whose_jobs_end_with_it_is_asked_by_a_mark(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, _ = undo(runs, "kmeans")
    one = handle(runs, key, executor="ray", host="elsewhere", outlives=False)
    assert ddbench("cancel", "--out", runs) == 0
    assert "is asked to stop by a mark in the folder" in capsys.readouterr().out
    assert jobs.is_cancelled(runs, one.name)


@pytest.mark.parametrize("command", ["status", "cancel"])
def test_nothing_was_run_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert ddbench(command, "--out", tmp_path / "nowhere") == 2
    assert str(tmp_path / "nowhere") in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{", "[1]", '{"kind": "cell"}', "\xff"])
def test_a_plan_that_cannot_be_read(runs: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (runs / "plan.jsonl").write_bytes(text.encode("latin-1"))
    assert ddbench("status", "--out", runs) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_cost_adds_up_what_records_say(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [json.loads(path.read_text()) for path in runs.rglob(CONDENSE)]
    own = sum(r["cost"]["prepare_s"] + r["cost"]["condense_s"] for r in records)
    students = [json.loads(path.read_text())["cost"]["evaluate_s"] for path in runs.rglob("eval/*.json")]
    assert ddbench("results", "cost", "--json", "--out", runs) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["random"]["wall_s"] + found["kmeans"]["wall_s"] == pytest.approx(own, rel=1e-6)
    assert found["students"]["wall_s"] >= 0.999 * sum(students), "and those of full, where there are some"
    assert found["students"]["nodes"] >= len(students)
    assert found["all"]["wall_s"] == pytest.approx(sum(v["wall_s"] for k, v in found.items() if k != "all"))
    assert found["all"]["gpu_s"] == 0
    read = {tuple(place) for r in records for place in r["spec"].get("artifacts", {}).values()}
    assert found["(features)"]["nodes"] == len(read) == 2, "each once: of the reported repetition, and of the other"
    assert ddbench("results", "cost", "--out", runs) == 0
    assert "core hours and 0 GPU hours" in capsys.readouterr().out


def test_a_reference_that_is_not_to_be_measured_is_no_node_to_wait_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict] = []

    class Looking(Schedule):
        def run(self) -> None:
            seen.append(json.loads(json.dumps(_facts(Watched(tmp_path / "runs").look()))))
            super().run()

    monkeypatch.setattr("ddbench.work.executors.schedule.Schedule", Looking)
    assert ddbench("run", "--methods", "random", *WHAT, "--out", tmp_path / "runs") == 0
    assert re.search(r"\[(\d+)/\1\]", capsys.readouterr().err), "the last of so many"
    assert facts(tmp_path / "runs", capsys)["total"] == seen[0]["total"]


def test_a_reference_that_is_measured_after_all_is_shown(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = facts(runs, capsys)
    (one, *_) = [line for line in plan_of(runs) if not line.wanted]
    with acquire(Store(runs).claims(shared=True), short(one.key), Watch()):
        found = facts(runs, capsys)
        assert [working["key"] for working in found["working"]] == [one.key]
        assert (found["done"], found["total"]) == (before["done"], before["total"] + 1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0"),
        (1.0, "<0.001"),
        (36.0, "0.01"),
        (3600 * 12.345, "12.3"),
        (3600 * 99.96, "100"),
        (3600 * 123456.7, "123,457"),
    ],
)
def test_hours_are_shown_without_powers_of_ten(seconds: float, text: str) -> None:
    assert _hours(seconds) == text
