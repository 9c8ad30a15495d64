"""What the executor `slurm` decides by itself; that Slurm does its part is tried on a real one (tests/cluster)."""

from __future__ import annotations

import os
import subprocess
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ddbench.core.errors import DDBenchError, InterruptedRunError, Notice, StoreError, UsageError
from ddbench.core.plugin.loader import Registries
from ddbench.core.store import jobs
from ddbench.core.store.folder import Store
from ddbench.work.attempt import Outcome
from ddbench.work.executors import slurm
from ddbench.work.executors.base import Resources, Run
from ddbench.work.executors.elsewhere import Task
from ddbench.work.executors.slurm_jobs import NOT_NOW, Limits, Told, said_by
from ddbench.work.executors.slurm_notices import LAST_LOG, SILENT_S, STRANGE_S, JobsWarning
from ddbench.work.executors.wanted import Wanted, wanted_of
from ddbench.work.failures import failure
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent
from tests.e2e.runs import ddbench

OUTCOME = {"status": "failed", "reason": "x", "record": None}


def document(key: str) -> Any:
    return SimpleNamespace(key=key, model_dump=lambda mode: {"key": key})


class Clocked(slurm.Slurm):
    """One that submits into a list, on a clock of its own."""

    def _array(self, need: Any, packs: Any) -> bool:
        self.sent = [*getattr(self, "sent", []), *([task.key for task in pack] for pack in packs)]
        for pack in packs:
            name = f"{len(self._jobs):012x}"
            handle = jobs.Handle(name=name, executor="slurm", engine_id=name, nodes={t.key: None for t in pack},
                                 submitted=0.0, **jobs.submitter())  # fmt: skip
            jobs.write(self._store.out, handle)
            report = jobs.report(self._store.out, name)
            self._jobs[name] = slurm.Submitted(handle, report, {t.key: t for t in pack})
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(now=1000.0, states={}, reasons={})
    fake = SimpleNamespace(monotonic=lambda: found.now, sleep=lambda s: None, time=lambda: 5.0)
    monkeypatch.setattr(slurm, "time", fake)
    monkeypatch.setattr(slurm, "limits", lambda: Limits(1000, 5000))

    def said(out: Path) -> dict[str, Told]:
        return {name: Told(state, found.reasons.get(name, "")) for name, state in found.states.items()}

    monkeypatch.setattr(slurm, "states", lambda out: None if found.states is None else said(out))
    monkeypatch.setattr(slurm, "is_published", lambda document, store: False)
    monkeypatch.setattr(Store, "claims_of", lambda self, document: self.out)
    return found


def made(out: Path, pack: float = 100.0) -> Clocked:
    return Clocked(Run(Store(out), Registries(), 100, Interrupts(), Silent(), wanted=Wanted(pack=pack)))


def tasks(executor: Clocked) -> dict[str, Task]:
    """All nodes that have no outcome yet, wherever they are."""
    handed = [task for job in executor._jobs.values() for task in job.tasks.values()]
    return {task.key: task for task in [*handed, *executor._waiting.values()]}


def give(executor: Clocked, *keys: str, seconds: float = 10.0) -> None:
    for key in keys:
        executor.submit(document(key), Resources(device="cpu", threads=1, seconds=seconds))


def test_nodes_too_few_for_a_job_wait_a_tenth_while_others_run(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path)
    give(executor, "long", seconds=100.0)
    executor.poll(0.0)
    clock.states = dict.fromkeys(executor._jobs, "RUNNING")
    give(executor, "a", "b")
    for _ in range(9):
        executor.poll(0.0)
        clock.now += 1.0
    assert executor.sent == [["long"]]
    clock.now += 2.0
    executor.poll(0.0)
    assert executor.sent == [["long"], ["a", "b"]], "however often it was asked meanwhile"


def test_they_do_not_wait_where_nothing_runs(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path)
    give(executor, "a", "b")
    executor.poll(0.0)
    assert executor.sent == [["a", "b"]]


@pytest.fixture
def left(tmp_path: Path, clock: SimpleNamespace) -> SimpleNamespace:
    """A job of an earlier run: one node ended, one begun, one not."""
    handle = jobs.Handle(name="a" * 12, executor="slurm", engine_id="7", nodes=dict.fromkeys("xyz"), submitted=5.0,
                         **(jobs.submitter() | {"pid": 2**22 + 1}))  # fmt: skip
    jobs.write(tmp_path, handle)
    report = jobs.report(tmp_path, handle.name)
    for key in "xy":
        report.add({"key": key, "begun": 1.0})
    report.add({"key": "x", "outcome": OUTCOME})
    clock.states = {"7": "RUNNING"}
    return SimpleNamespace(handle=handle, report=report)


def test_the_jobs_of_an_earlier_run_are_waited_for(
    tmp_path: Path, clock: SimpleNamespace, left: SimpleNamespace
) -> None:
    with pytest.warns(Notice, match="1 job of an earlier run is with Slurm, where it keeps what was asked for"):
        executor = made(tmp_path)
    give(executor, "x", "y", "z")
    executor.poll(0.0)
    assert getattr(executor, "sent", []) == [], "while a job runs, few nodes wait"
    assert [*executor._waiting] == ["x"], "it ended before: it is wanted again"
    left.report.add({"key": "y", "outcome": OUTCOME})
    clock.now += 1.0
    assert [(key, outcome.status) for key, outcome in executor.poll(0.0) if outcome] == [("y", "failed")]


def test_when_such_a_job_dies_only_the_node_that_it_had_begun_is_blamed(
    tmp_path: Path, clock: SimpleNamespace, left: SimpleNamespace
) -> None:
    with pytest.warns(Notice):
        executor = made(tmp_path)
    give(executor, "y", "z")
    clock.states = {"7": "FAILED"}
    for _ in range(3):
        clock.now += slurm.SETTLE_S
        executor.poll(0.0)
    assert {key: task.lost for key, task in tasks(executor).items()} == {"y": 1, "z": 0}


def test_what_another_run_has_heard_and_removed_the_store_knows(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path)
    give(executor, "a")
    executor.poll(0.0)
    (name,) = executor._jobs
    jobs.remove(tmp_path, name)
    clock.states = {name: "COMPLETED"}
    found = []
    for _ in range(3):  # not for as long as for a report that is late
        clock.now += 10.0
        found += executor.poll(0.0)
    assert found == [("a", None)]


@pytest.mark.parametrize(("state", "lost"), [("TIMEOUT", 0), ("PREEMPTED", 0), ("NODE_FAIL", 0), ("FAILED", 1)])
def test_a_job_that_ended_for_no_fault_of_its_node_blames_it_not(
    tmp_path: Path, clock: SimpleNamespace, state: str, lost: int
) -> None:
    executor = made(tmp_path)
    give(executor, "a")
    executor.poll(0.0)
    (job,) = executor._jobs.values()
    job.report.add({"key": "a", "begun": 1.0})
    clock.states = {job.handle.engine_id: state}
    for _ in range(3):
        clock.now += slurm.SETTLE_S
        executor.poll(0.0)
    again = tasks(executor)["a"]
    assert (again.lost, again.spared) == (lost, 1 - lost)


def test_jobs_that_begin_no_node_end_the_run_and_blame_none(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path)
    give(executor, "a", "b")
    with pytest.raises(DDBenchError, match="3 jobs in a row began no node"):
        for _ in range(20):
            executor.poll(0.0)
            clock.states = dict.fromkeys(executor._jobs, "FAILED")
            clock.now += slurm.SETTLE_S
    assert not (tmp_path / ".lost").exists()


def test_of_what_the_last_of_them_said_the_last_line_is_told_and_all_is_kept(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    words = "the cause\n" + "x" * 8000 + "\n    ^^^^^^^^^^^^\nModuleNotFoundError: No module named 'torch'\n\n"
    executor = made(tmp_path)
    give(executor, "a")
    executor._folder.mkdir(parents=True)
    with pytest.raises(DDBenchError, match=r"\(FAILED\): ModuleNotFoundError: No module named 'torch' \(/") as told:
        for _ in range(20):
            executor.poll(0.0)
            for name in executor._jobs:
                (executor._folder / f"{name}_0_log.err").write_text(words)
            clock.states = dict.fromkeys(executor._jobs, "FAILED")
            clock.now += slurm.SETTLE_S
    executor.close()
    path = tmp_path / jobs.FOLDER / LAST_LOG
    assert str(path) in str(told.value)
    assert path.read_text() == words
    again = made(tmp_path)
    give(again, "a")
    clock.states = {}
    again.poll(0.0)
    (job,) = again._jobs.values()
    job.report.add({"key": "a", "begun": 1.0})
    clock.now += 1.0
    again.poll(0.0)
    assert not path.exists(), "jobs can work here by now"


def test_slurm_that_says_nothing_is_spoken_of_once_a_silence(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path)
    give(executor, "a")
    executor.poll(0.0)
    (name,) = executor._jobs

    def looks(n: int) -> list[str]:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for _ in range(n):
                clock.now += slurm.LOOK_S
                executor.poll(0.0)
        return [str(one.message) for one in said]

    few, many = int(SILENT_S / slurm.LOOK_S) - 1, int(3 * SILENT_S / slurm.LOOK_S)
    clock.states = {name: "RUNNING"}
    assert looks(few) == []
    clock.states = None
    assert looks(few) == []
    assert looks(many) == ["Slurm does not answer: the jobs that it has go on, and it is asked again"]
    clock.states = {name: "RUNNING"}
    assert looks(1) == []
    clock.states = None
    assert len(looks(many)) == 1


def test_why_a_job_waits_stands_in_its_handle_as_long_as_it_has_one(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path)
    give(executor, "a")
    executor.poll(0.0)
    (name,) = executor._jobs
    for state, reason, kept in (("PENDING", "Resources", "PENDING (Resources)"), ("RUNNING", "None", "RUNNING")):
        clock.states, clock.reasons = {name: state}, {name: reason}
        clock.now += slurm.LOOK_S
        executor.poll(0.0)
        assert [one.state for one in jobs.handles(tmp_path)] == [kept]
    jobs.remove(tmp_path, name)  # by another run of the same command
    clock.states = {name: "COMPLETING"}
    clock.now += slurm.LOOK_S
    executor.poll(0.0)
    assert jobs.handles(tmp_path) == []


def test_a_state_that_cannot_be_written_ends_no_run(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = made(tmp_path)
    give(executor, "a")
    executor.poll(0.0)
    (name,) = executor._jobs
    clock.states, clock.reasons = {name: "PENDING"}, {name: "Resources"}
    clock.now += slurm.LOOK_S

    def full(*_: Any, **__: Any) -> None:
        raise StoreError("no space left")

    monkeypatch.setattr(jobs, "atomic_write", full)
    executor.poll(0.0)
    assert [one.state for one in jobs.handles(tmp_path)] == [""]


def test_a_cancel_ends_the_run_that_waits_for_jobs_of_an_earlier_one(
    tmp_path: Path, clock: SimpleNamespace, left: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(Notice):
        executor = made(tmp_path)
    give(executor, "y", "z")
    executor.poll(0.0)
    monkeypatch.setattr("ddbench.cli.status.end_jobs", lambda name, handles: ["cancelled"])
    assert ddbench("cancel", "--out", tmp_path) == 0
    clock.states = {"7": "CANCELLED"}
    clock.now += slurm.LOOK_S
    with pytest.raises(InterruptedRunError, match="job 7 was cancelled"):
        executor.poll(0.0)


def test_jobs_that_have_nothing_left_are_not_said_to_go_on(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path, pack=1.0)
    give(executor, "a", "b", seconds=5.0)
    executor.poll(0.0)
    first, second = executor._jobs.values()
    clock.states = {first.handle.engine_id: "COMPLETING", second.handle.engine_id: "RUNNING"}
    clock.now += slurm.LOOK_S
    executor.poll(0.0)
    first.report.add({"key": "a", "outcome": OUTCOME})
    with pytest.warns(Notice, match="^1 job goes on"):
        executor.close()


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"sbatch: error: Batch job submission failed: Invalid qos specification\n",
         "Batch job submission failed: Invalid qos specification"),
        ("sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: Invalid name",
         "invalid partition specified: x; Batch job submission failed: Invalid name"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_sbatch_s_words(said: Any, text: str) -> None:
    cause = subprocess.CalledProcessError(1, ["sbatch", "/tmp/x.sh"], stderr=said)
    try:
        raise RuntimeError("of submitit") from cause
    except RuntimeError as error:
        assert said_by(error) == text
    assert said_by(RuntimeError(f"{text}\nCommand '['sbatch', 'x']' returned non-zero exit status 1.")) == text


def test_the_handle_of_a_run_that_lives_stays(tmp_path: Path, clock: SimpleNamespace) -> None:
    mine = jobs.submitter() | {"pid": os.getppid(), "started": None}
    handle = jobs.Handle(name="b" * 12, executor="slurm", engine_id="9", nodes={"k": None}, submitted=5.0, **mine)
    jobs.write(tmp_path, handle)
    made(tmp_path)
    assert jobs.handles(tmp_path) == [handle], "that run reads the end of its job itself"


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", True),
        ("sbatch: error: AssocMaxJobsLimit", True),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", True),
        ("Unable to contact slurm controller (connect failure)", True),
        ("Socket timed out on send/recv operation", True),
        ("QOSMaxWallDurationPerJobLimit", False),
        ("QOSMaxCpuPerJobLimit", False),
        ("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", False),
        ("invalid partition specified: nowhere", False),
    ],
)
def test_what_is_asked_again_and_what_is_refused(text: str, later: bool) -> None:
    assert (NOT_NOW.search(text) is not None) is later


@pytest.mark.parametrize("name", ["job_name", "array", "output", "signal", "setup"])
def test_options_by_which_jobs_are_found_are_not_the_users(name: str) -> None:
    with pytest.raises(UsageError, match=f"slurm_{name}"):
        wanted_of({f"slurm_{name}": "x"})


def test_what_ran_out_of_memory_is_tried_once_with_twice_as_much(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path)
    one = Task(document("a"), Resources(peak_mb=1000.0))
    first = executor.need(one).mem_mb
    assert executor.vanished(one, "job 1", status="oom") is None
    assert executor.need(one).mem_mb == pytest.approx(2 * first, abs=512)


def test_the_row_of_what_nobody_has_memory_for_is_told(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many reports are heard in the same breath."""
    executor = made(tmp_path)
    row = ("a", None)
    monkeypatch.setattr(executor, "_array", lambda need, packs: executor._refused.append(row) or True)
    give(executor, "a")
    assert executor.poll(0.0) == [row]


def test_a_job_that_slurm_could_not_start_and_holds_is_ended(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(slurm, "scancel", ended.extend)
    executor = made(tmp_path)
    give(executor, "a")
    executor.poll(0.0)
    (job,) = executor._jobs.values()
    clock.states = {job.handle.engine_id: slurm.NOT_LAUNCHED}
    with pytest.warns(JobsWarning, match="1 node of it is tried again"):
        for _ in range(3):
            clock.now += slurm.SETTLE_S
            executor.poll(0.0)
            clock.states = {} if ended else clock.states
    assert ended == [job.handle.engine_id]
    assert tasks(executor)["a"].lost == 0


def test_a_reason_that_time_does_not_mend_is_told_once(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path)
    give(executor, *"abc", seconds=100.0)
    executor.poll(0.0)
    clock.states = dict.fromkeys((job.handle.engine_id for job in executor._jobs.values()), "PENDING")
    clock.reasons = dict.fromkeys(clock.states, "Priority")
    clock.now += slurm.LOOK_S
    with warnings.catch_warnings(action="error"):
        executor.poll(0.0)
    clock.reasons = dict.fromkeys(clock.states, "PartitionTimeLimit")
    clock.now += slurm.LOOK_S
    with pytest.warns(JobsWarning, match="PartitionTimeLimit") as said:
        executor.poll(0.0)
        clock.now += slurm.LOOK_S
        executor.poll(0.0)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("reason", "stuck"),
    [("BadConstraints", True), ("JobHeldUser", True), ("JobHeldAdmin", True), ("PartitionDown", True),
     ("ReqNodeNotAvail, UnavailableNodes:n[1-2]", True), ("InvalidQOS", True), ("AccountNotAllowed", True),
     ("QOSMaxCpuPerJobLimit", True), ("PartitionConfig", True), ("PartitionNodeLimit", True), ("NodeDown", True),
     ("QOSMinGRES", True), ("QOSTimeLimit", True), ("AssocMaxMemPerNode", True), ("MaxMemPerLimit", True),
     ("AssocGrpCPUMinutesLimit", True), ("QOSGrpGRESMinutes", True), ("JobHoldMaxRequeue", True),
     ("Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions", True),
     ("AssocGrpCPURunMinutesLimit", False), ("Priority", False), ("Licenses", False), ("QOSGrpMemLimit", False),
     ("Reservation", False), ("QOSMaxCpuPerUserLimit", False), ("Resources", False), ("None", False), ("BeginTime", False),
     ("JobArrayTaskLimit", False), ("QOSMaxJobsPerUserLimit", False), ("AssocGrpCPULimit", False)],
)  # fmt: skip
def test_what_somebody_must_mend(reason: str, stuck: bool) -> None:
    assert Told("PENDING", reason).is_stuck is stuck
    assert not Told("RUNNING", reason).is_stuck


def test_a_job_that_no_run_knows_is_ended_after_a_minute(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr("ddbench.work.executors.slurm_notices.scancel", ended.extend)
    executor = made(tmp_path)
    give(executor, "a")
    executor.poll(0.0)
    other = jobs.Handle(name="c" * 12, executor="slurm", engine_id="72", nodes={"b": None}, submitted=5.0)
    jobs.write(tmp_path, other)
    (job,) = executor._jobs.values()
    clock.states = {job.handle.engine_id: "RUNNING", "71": "PENDING", "72": "RUNNING", "70": "COMPLETED"}
    for seconds in (slurm.LOOK_S, STRANGE_S - 1.0):
        clock.now += seconds
        executor.poll(0.0)
    assert not ended, "another run may be about to write its handle"
    clock.now += slurm.LOOK_S
    with pytest.warns(JobsWarning, match=": 71$"):
        executor.poll(0.0)
    assert ended == ["71"]


def test_what_waits_can_be_let_go_of(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path)
    give(executor, "a", "b")
    executor.cancel("a")
    executor.poll(0.0)
    assert executor.sent == [["b"]]


def test_nobody_has_twice_the_memory_of_a_gpu(tmp_path: Path, clock: SimpleNamespace) -> None:
    executor = made(tmp_path)
    where, reason = failure(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."))
    assert (where, reason.startswith("GPU memory: CUDA out of memory")) == ("oom", True)
    one = Task(document("a"), Resources(device="cuda"))
    outcome = Outcome(status="oom", reason=reason)
    assert executor.ended(one, outcome) == [("a", outcome)]
    assert (
        executor.ended(Task(document("b"), Resources(device="cuda")), Outcome(status="oom", reason="MemoryError"))
        is None
    )
