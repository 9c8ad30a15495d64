"""`--executor slurm` on a real Slurm of two nodes: the results are those of a local run, whatever is killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddbench.core.store import jobs
from ddbench.library.standing import Watched
from ddbench.plan.graph import PLAN
from tests.cluster import slurm as here
from tests.cluster.compare import assert_same
from tests.e2e.runs import PLUGIN, plugin

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
pytest.importorskip("submitit", reason="no submitit here: pip install 'ddbench[slurm]'")
QUICK = ["--profile", "smoke", "--progress", "plain", "--threads", "1", "--reference-limit", "0", "--seeds", "1"]
ONE_EACH = ["--executor", "slurm", "--resources", "pack=0,mem=1500M"]
"""A job for each node, two at a time on each of the Slurm's nodes."""


@pytest.fixture(scope="module")
def slurm() -> Iterator[here.Slurm]:
    if (why := here.missing()) is not None:
        pytest.skip(why)
    running = here.make()
    try:
        running.start()
        yield running
    finally:
        running.stop()
        subprocess.run(["rm", "-r", str(running.folder)], check=True)


class Runs:
    """Commands of ddbench beside a Slurm, with a home and a plugin of their own."""

    def __init__(self, slurm: here.Slurm, folder: Path, like: Path | None = None) -> None:
        self.slurm, self.folder = slurm, folder
        if like is not None:  # what was compiled and decoded, and no results
            shutil.copytree(like / "home", folder / "home", ignore=shutil.ignore_patterns("artifacts", "rates*"))
        self.env = os.environ | slurm.env | {"DDBENCH_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
        self.plugin = plugin(folder)

    def start(self, *words: str, out: str = "runs") -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "ddbench", *words, "--out", str(self.folder / out)]
        return subprocess.Popen(
            command, env=self.env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *words: str, out: str = "runs", code: int = 0) -> tuple[str, str]:
        process = self.start(*words, out=out)
        told, said = process.communicate(timeout=400)
        assert process.returncode == code, (told, said)
        return told, said

    def mean(self, *more: str) -> list[str]:
        """A run of a plugin whose two cells take about five seconds each."""
        pause = ["--set", "mean.pause_s=0.4", "--set", "mean.iterations=12"]
        return ["run", "--methods", "mean", "--plugin", str(self.plugin), "--ipc", "1", *pause, *QUICK, *more]

    def same(self, here: Path) -> None:
        assert_same(here, self.folder / "runs")
        assert not jobs.handles(self.folder / "runs")
        assert not (self.folder / "runs" / jobs.FOLDER / "slurm").exists(), "what submitit left"

    def handles(self) -> list[jobs.Handle]:
        return jobs.handles(self.folder / "runs")

    def at_work(self) -> list[str]:
        """Slurm's ids of jobs that make a set of the plugin, which takes them seconds."""
        if not (self.folder / "runs" / PLAN).exists():
            return []
        working = Watched(self.folder / "runs").look().working
        places = [one.holder.where for one in working if re.match(r"mean[^·]*$", one.line.title)]
        return [found[1] for place in places if (found := re.match(r"slurm job (\S+),", place))]

    def begun(self) -> bool:
        """Whether a job reports that it works on a node."""
        return any('"begun"' in path.read_text() for path in (self.folder / "runs" / jobs.FOLDER).glob("*.jsonl"))


@pytest.fixture(scope="module")
def mean(slurm: here.Slurm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run of the plugin leaves that computes in its own process."""
    local = Runs(slurm, tmp_path_factory.mktemp("local"))
    local.run(*local.mean())
    return local.folder / "runs"


@pytest.fixture
def runs(slurm: here.Slurm, mean: Path, tmp_path: Path) -> Runs:
    return Runs(slurm, tmp_path, mean.parent)


def test_thirty_nodes_with_artifacts_equal_a_local_run(runs: Runs) -> None:
    words = ["run", "--methods", "random,dm,mtt,kmeans", "--ipc", "1,2", *QUICK]
    runs.run(*words, out="here")
    (runs.folder / "json.py").write_text("raise SystemExit('the working folder was imported from')")
    told, _ = runs.run(*words, "--executor", "slurm", "--resources", "pack=20s")
    runs.same(runs.folder / "here")
    assert "mtt" in told
    again, said = runs.run(*words, "--executor", "slurm")
    assert "0 of" in said, "nothing is submitted where nothing is to do"
    assert again == told


def test_a_login_node_that_goes_away_loses_nothing(runs: Runs, mean: Path) -> None:
    words = runs.mean()
    first = runs.start(*words, *ONE_EACH)
    runs.slurm.wait_for(runs.begun)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = {one.engine_id for one in runs.handles()}
    told = json.loads(runs.run("status", "--json")[0])
    assert told["working"] and "slurm job" in told["working"][0]["where"]
    assert {one["engine_id"] for one in told["handed"]} <= before
    _, said = runs.run(*words, *ONE_EACH)
    assert re.search(r"\d jobs? of an earlier run (is|are) with Slurm, where .* what was asked for \(cpus 1, ", said)
    runs.same(mean)
    cells = [state for name, state in runs.slurm.jobs().items() if name in before]
    assert set(cells) == {"COMPLETED"}, "they were waited for, not made again"


@pytest.mark.slow
def test_ctrl_c_leaves_jobs_that_cancel_ends(runs: Runs, mean: Path) -> None:
    words = runs.mean()
    first = runs.start(*words, *ONE_EACH)
    runs.slurm.wait_for(runs.begun)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "ddbench cancel" in said
    second = runs.start(*words, *ONE_EACH)
    time.sleep(3)
    told, _ = runs.run("cancel")
    assert "of Slurm cancelled" in told
    _, said = second.communicate(timeout=60)
    assert second.returncode == 130, said
    runs.run(*words, *ONE_EACH)
    runs.same(mean)


@pytest.mark.slow
def test_a_cancel_that_slurm_does_not_hear_loses_no_job(runs: Runs, mean: Path) -> None:
    words = runs.mean()
    first = runs.start(*words, *ONE_EACH)
    runs.slurm.wait_for(runs.begun)
    runs.slurm.kill("slurmctld")
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = runs.handles()
    _, said = runs.run("cancel", code=2)
    assert "the jobs go on: the same `ddbench cancel`" in said
    assert runs.handles() == before
    runs.slurm.start_controller()
    _, said = runs.run(*words, *ONE_EACH)
    assert "of an earlier run" in said
    runs.same(mean)


@pytest.mark.slow
def test_a_job_that_disappears_is_tried_again(runs: Runs, mean: Path) -> None:
    words = runs.mean()
    first = runs.start(*words, *ONE_EACH)
    found: list[str] = []

    def at_work() -> bool:
        found.extend(runs.at_work())
        return bool(found)

    runs.slurm.wait_for(at_work, 120)
    runs.slurm.run("scancel", "--signal=KILL", found[0])
    _, said = first.communicate(timeout=200)
    assert first.returncode == 0, said
    assert "tried again" in said
    runs.same(mean)


@pytest.mark.slow
def test_a_killed_node_and_a_killed_controller(runs: Runs, mean: Path) -> None:
    words = runs.mean()
    first = runs.start(*words, *ONE_EACH)
    runs.slurm.wait_for(runs.begun)
    runs.slurm.kill("slurmd-two")
    time.sleep(6)  # the controller writes down what runs every few seconds
    runs.slurm.kill("slurmctld")
    time.sleep(3)
    runs.slurm.start_controller()
    runs.slurm.start_node("two")
    while first.poll() is None:
        runs.slurm.hurry()
        time.sleep(1)
    assert first.returncode == 0, first.communicate()
    runs.same(mean)


@pytest.mark.slow
def test_a_job_that_is_held_is_waited_for(runs: Runs, mean: Path) -> None:
    words = runs.mean()
    runs.slurm.run("scontrol", "update", "PartitionName=main", "State=DOWN")
    first = runs.start(*words, *ONE_EACH)
    runs.slurm.wait_for(lambda: len(runs.handles()) >= 2)
    told, _ = runs.run("status")
    assert "in jobs that wait or run" in told
    assert "slurm " in told
    runs.slurm.run("scontrol", "update", "PartitionName=main", "State=UP")
    _, said = first.communicate(timeout=200)
    assert first.returncode == 0, said
    runs.same(mean)


@pytest.mark.slow
def test_a_node_that_needs_more_memory_gets_twice_as_much_once(runs: Runs) -> None:
    grabs = PLUGIN.replace("time.sleep(self.params.pause_s)", "time.sleep(1.5); self.more = bytearray(900_000_000)")
    assert grabs != PLUGIN
    runs.plugin.write_text(grabs)
    words = ["run", "--methods", "mean", "--plugin", str(runs.plugin), "--ipc", "1", *QUICK]
    _, said = runs.run(*words, "--executor", "slurm", "--resources", "pack=0,mem=1100M")
    assert "(OUT_OF_MEMORY) is gone: 1 node of it is tried again with twice the memory" in said
    records = [json.loads(path.read_text()) for path in (runs.folder / "runs").rglob("condense.json")]
    assert {record["status"] for record in records} == {"ok"}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--resources", "partition=nowhere"], "partition"),
        (["--resources", "mem=900G"], "Slurm refuses a job"),
        (["--resources", "slurm_time=soon"], "Slurm refuses a job"),
        (["--resources", "cpu=2"], "did you mean cpus"),
        (["--resources", "cpus=many"], "cpus"),
        (["--resources", "mem"], "name=value"),
        (["--store", "driver"], "--store driver says nothing to --executor slurm: it is for ray"),
        (["--resources", "address=auto"], "address says nothing to --executor slurm"),
        (["--device", "cuda:1"], "--resources gpus=1"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(runs: Runs, words: list[str], what: str) -> None:
    _, said = runs.run("run", "--methods", "random", "--ipc", "1", *QUICK, "--executor", "slurm", *words, code=2)
    assert what in said
    assert "Traceback" not in said


def test_dry_run_prints_the_scripts(runs: Runs) -> None:
    words = ["run", "--methods", "random,dm", "--ipc", "1", *QUICK, "--executor", "slurm", "--dry-run"]
    told, _ = runs.run(*words, "--resources", "time=2h,account=lab,slurm_constraint=fast")
    for line in (
        "#SBATCH --time=120",
        "#SBATCH --account=lab",
        "#SBATCH --constraint=fast",
        "#SBATCH --requeue",
        " -P ",
    ):
        assert line in told
    assert not runs.slurm.run("squeue", "--noheader", "--name=none").strip()
    assert not (runs.folder / "runs").exists()


@pytest.mark.slow
def test_a_job_whose_time_is_up_is_queued_again_and_goes_on_from_its_checkpoint(runs: Runs) -> None:
    long = ["--set", "mean.pause_s=0.5", "--set", "mean.iterations=110"]
    words = ["run", "--methods", "mean", "--plugin", str(runs.plugin), "--ipc", "1", *long, *QUICK]
    first = runs.start(*words, "--executor", "slurm", "--resources", "pack=0,mem=1500M,time=60s")
    while first.poll() is None:
        runs.slurm.hurry()
        time.sleep(1)
    told, said = first.communicate()
    assert first.returncode == 0, (told, said)
    records = [
        json.loads(path.read_text()) for path in (runs.folder / "runs" / "digits" / "mean").rglob("condense.json")
    ]
    assert {record["status"] for record in records} == {"ok"}
    assert all(record["cost"]["attempts"] >= 2 for record in records), "not made anew, not lost"
    assert "tried again" not in said, "Slurm queued it again, and no one else"
