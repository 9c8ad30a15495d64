"""Two machines on one network folder that shows changes late: each node is made once, and results are those of a local run.

The machines are host names, process numbers and networks of their own; the folder is one of this disk, seen through a
FUSE mount for each. `python -m pytest -n0 -m cluster tests/cluster/test_mounts.py`
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.store.claims import Watch, acquire
from ddbench.library.standing import Watched, Working
from tests.cluster import mounts as here
from tests.cluster import slurm as slurms
from tests.cluster.compare import assert_same
from tests.cluster.mounts import APART, LATE_S, Mounts
from tests.e2e.runs import ddbench, plugin

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]
T = TypeVar("T")
ROOT = Path(__file__).parents[2]
KEY = "0123456789abcdef"
QUICK = ("--ipc", "1", "--profile", "smoke", "--reference-limit", "0", "--engine", "eager", "--isolate", "never",
         "--progress", "json")  # fmt: skip
GRID = ("--methods", "random,kmeans,dm", "--seeds", "1", *QUICK)
SOON = "from ddbench.core.store import claims; claims.STALE_AFTER_S, claims.LONG_S, claims.BEAT_S = 15.0, 15.0, 1.0; "
"""What lets a command take claims over in seconds; else in two minutes, or in an hour before the first step."""
RUN = "import sys; from ddbench.cli import invoke; sys.exit(invoke(sys.argv[1:]))"

BOTH = pytest.mark.parametrize("mounts", [True, pytest.param(False, marks=pytest.mark.slow)], indirect=True)
"""Mounts that keep sizes and contents, and mounts that keep names alone."""


@pytest.fixture
def mounts(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mounts]:
    if (why := here.missing()) is not None:
        pytest.skip(why)
    made = Mounts(tmp_path)
    try:
        made.mount(keeps=getattr(request, "param", True))
        yield made
    finally:
        for one in Command.started:
            one.process.kill()
        Command.started.clear()
        made.unmount()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where local runs are, and the plugin."""
    made = tmp_path_factory.mktemp("local")
    file = plugin(made)
    file.write_text(file.read_text().replace("self.params.pause_s", 'float(os.environ.get("PAUSE_S", 0))'))
    return made


def mean(folder: Path) -> tuple[str, ...]:
    """A run of a plugin whose two cells take six steps each, of as many seconds as PAUSE_S says."""
    steps = ("--set", "mean.iterations=6")
    return ("--plugin", str(folder / "meanplugin.py"), "--methods", "mean", "--seeds", "1", *QUICK, *steps)


class Command:
    """A command of ddbench with its results folder and home below a place."""

    started: ClassVar[list[Command]] = []
    """What is killed at the end of a test, where it still runs."""

    def __init__(
        self, place: Path, *words: str, host: str = "", within: Sequence[str] = (), before: str = "", **env: str
    ) -> None:
        self.process = subprocess.Popen(
            [*((*APART, host) if host else within), sys.executable, "-P", "-c", before + RUN, *words, "--out", str(place / "out")],
            env={**os.environ, **env, "DDBENCH_HOME": str(place / "home"), "OMP_NUM_THREADS": "1", "DDBENCH_CHECKPOINT_S": "0",
                 "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "plugins")))},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.started.append(self)

    def end(self, code: int = 0) -> str:
        """What it said on stdout."""
        told, self.said = self.process.communicate(timeout=120)
        assert self.process.returncode == code, (told, self.said)
        assert "Traceback" not in self.said
        return told

    def kill(self) -> None:
        """End it at once, with what it has begun."""
        self.process.kill()
        self.process.communicate(timeout=60)

    def nodes(self, what: str) -> list[str]:
        """Keys of the nodes that it told to ``begin``, or to ``end`` with a result."""
        events = [json.loads(line) for line in self.said.splitlines() if line.startswith('{"event"')]
        return [one["key"] for one in events if one["event"] == what and one.get("state", "done") == "done"]


def local(place: Path, *words: str) -> Path:
    """A place where the same was computed on a plain folder by one run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DDBENCH_HOME", str(place / "home"))
        assert ddbench("run", *words, "--out", place / "out") == 0
    return place


@pytest.fixture(scope="module")
def grid(folder: Path) -> Path:
    return local(folder / "grid", *GRID)


@pytest.fixture(scope="module")
def slow(folder: Path) -> Path:
    return local(folder / "slow", *mean(folder))


def same(one: Path, other: Path) -> None:
    assert_same(one / "out", other / "out")
    assert_same(one / "home", other / "home")
    assert not [*(other / "out/.claims").glob("[!.]*")]
    assert not [*(other / "out").rglob("*.corrupt")], "late, not damaged"


def wait_for(true: Callable[[], T], seconds: float = 90.0) -> T:
    """What is true at last."""
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.1)
    return found


def stepped(mounts: Mounts) -> list[dict[str, Any]]:
    """Claims on slow cells that have a checkpoint, looked for where nothing is late."""
    found = mounts.real.rglob("mean/*/*/checkpoint.safetensors")
    claims = [mounts.real / "out/.claims" / f"{path.parent.name}.0" for path in found]
    return [json.loads(claim.read_bytes()) for claim in claims if claim.exists()]


def attempts(mounts: Mounts) -> list[int]:
    """How often the slow cells were begun."""
    records = (mounts.real / "out").rglob("mean/**/condense.json")
    return sorted(json.loads(record.read_bytes())["cost"]["attempts"] for record in records)


@BOTH
def test_the_mounts_are_late(mounts: Mounts, request: pytest.FixtureRequest) -> None:
    """The premise of all that follows: what was there before is seen for a while, and not for ever."""
    one, other = mounts.on("a"), mounts.on("b")
    (one / "old").write_text("before")
    assert (other / "old").read_text() == "before"
    assert (other / "old").stat().st_size == len("before")
    assert not (other / "new").exists()
    (one / "new").write_text("there")
    (one / ".old").write_text("afterwards")
    (one / ".old").replace(one / "old")
    assert other / "new" in other.iterdir()
    assert not (other / "new").exists()
    seen = "before" if request.node.callspec.params["mounts"] else "afterwards"
    assert (other / "old").stat().st_size == len(seen)
    assert (other / "old").read_text() == seen
    wait_for(lambda: (other / "new").exists() and (other / "old").read_text() == "afterwards", 6 * LATE_S)


def test_claims_exclude_each_other_through_both_mounts(mounts: Mounts) -> None:
    places = [mounts.on(name) / ".claims" for name in "ab"]
    assert not (places[1] / f"{KEY}.0").exists(), "remembered by the second one"
    with acquire(places[0], KEY, Watch()):
        assert acquire(places[1], KEY, Watch()) is None
    won, start = [], threading.Barrier(8)

    def rival(place: Path) -> None:
        start.wait()
        won.append(acquire(place, KEY, Watch()))

    rivals = [threading.Thread(target=rival, args=(place,)) for place in places * 4]
    [one.start() for one in rivals]
    [one.join() for one in rivals]
    assert sum(claim is not None for claim in won) == 1


def test_a_claim_that_a_machine_remembers_as_gone_is_respected(mounts: Mounts) -> None:
    places = [mounts.on(name) / ".claims" for name in "ab"]
    with acquire(places[0], KEY, Watch()):
        assert [*places[1].iterdir()]
    assert not (places[1] / f"{KEY}.0").exists()
    with acquire(places[0], KEY, Watch()):
        assert acquire(places[1], KEY, Watch()) is None


@BOTH
def test_two_machines_at_once_make_each_node_once(mounts: Mounts, grid: Path) -> None:
    runs = [Command(mounts.on(name), "run", *GRID, host=f"host-{name}") for name in "ab"]
    for run in runs:
        run.end()
    begun = Counter(key for run in runs for key in run.nodes("begin"))
    assert set(begun.values()) == {1}, [len(run.nodes("begin")) for run in runs]
    same(grid, mounts.real)


def test_of_two_runs_one_is_killed_and_the_other_ends_all(mounts: Mounts, folder: Path, slow: Path) -> None:
    started = [Command(mounts.on(name), "run", *mean(folder), PAUSE_S="0.5") for name in "ab"]
    runs = {run.process.pid: run for run in started}
    runs.pop(wait_for(lambda: stepped(mounts))[0]["pid"]).kill()
    (other,) = runs.values()
    other.end()
    assert attempts(mounts) == [1, 2], "it went on from the checkpoint that was written through the other mount"
    same(slow, mounts.real)


@pytest.mark.slow
def test_a_killed_run_of_another_machine_is_waited_for_and_then_taken_over(
    mounts: Mounts, folder: Path, slow: Path
) -> None:
    """Neither machine sees processes of the other: a counter says that a run lives, and then that it does not."""
    words = ("run", *mean(folder))
    runs = {f"host-{name}": Command(mounts.on(name), *words, PAUSE_S="2", host=f"host-{name}", before=SOON)
            for name in "ab"}  # fmt: skip
    runs.pop(wait_for(lambda: stepped(mounts))[0]["host"]).kill()
    (other,) = runs.values()
    other.end()
    assert attempts(mounts) == [1, 2]
    same(slow, mounts.real)


def test_a_run_is_stopped_seen_and_continued_through_the_other_mount(
    mounts: Mounts, folder: Path, slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDBENCH_HOME", str(mounts.on("b") / "home"))
    watched = Watched(mounts.on("b") / "out")
    with pytest.raises(UsageError, match=r"no such results folder|holds no plan of a run"):
        watched.look()
    first = Command(mounts.on("a"), "run", *mean(folder), PAUSE_S="0.5")

    def seen() -> list[Working]:
        there = (mounts.on("b") / "out/plan.jsonl").exists()
        return [one for one in watched.look().working if one.line.title.startswith("mean")] if there else []

    (working,) = wait_for(seen)
    assert not working.hangs
    wait_for(lambda: stepped(mounts))
    first.process.send_signal(signal.SIGINT)
    first.end(130)
    second = Command(mounts.on("b"), "run", *mean(folder), host="host-b")
    second.end()
    assert attempts(mounts) == [1, 2]
    same(slow, mounts.real)
    wait_for(lambda: (found := watched.look()).done == found.total)


@pytest.mark.slow
def test_a_slurm_whose_machines_see_one_folder_late(mounts: Mounts, folder: Path, tmp_path: Path) -> None:
    """The driver and both nodes have a mount each, at the same place."""
    pytest.importorskip("submitit", reason="no submitit here: pip install 'ddbench[slurm]'")
    if (why := slurms.missing()) is not None:
        pytest.skip(why)
    words = ("--methods", "random,dm", "--seeds", "1", *QUICK)
    seen, slurm = tmp_path / "seen", slurms.make()
    seen.mkdir()
    slurm.within = {node: mounts.at(name, seen) for node, name in zip(slurms.NODES, "bc", strict=True)}
    try:
        slurm.start()
        run = Command(seen, "run", *words, "--executor", "slurm", "--resources", "pack=0,mem=1500M",
                      within=mounts.at("a", seen), **slurm.env)  # fmt: skip
        run.end()
        assert {*slurm.jobs().values()} == {"COMPLETED"}
        assert len(slurm.jobs()) == len(run.nodes("end")), "no node was handed over twice"
    finally:
        slurm.stop()
        shutil.rmtree(slurm.folder)
    same(local(folder / "few", *words), mounts.real)
