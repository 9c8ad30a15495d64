"""Real clusters of Ray: what a run leaves is what a run here leaves, whatever is killed meanwhile.

`python -m pytest -n0 -m cluster tests/cluster/test_ray.py`
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ddbench.core.store import jobs
from ddbench.core.store.jobs import Handle
from ddbench.library.standing import Watched
from tests.cluster.compare import assert_same
from tests.e2e.runs import plugin

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ddbench[ray]'")
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]

ROOT = Path(__file__).parents[2]
HEAD_GONE_S = "4"
"""How long a driver of Ray looks for a head that is gone; a minute, if nobody says otherwise."""
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled", "RAY_gcs_rpc_server_reconnect_timeout_s": HEAD_GONE_S, "OMP_NUM_THREADS": "1",
    "DDBENCH_CHECKPOINT_S": "0", "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "plugins"))),
}  # fmt: skip
HIDDEN = 'place=$0; copy=$1; shift; mount -t tmpfs none "$place" && "$@" && cp -a "$place" "$copy"'
"""Runs a command that alone sees a folder, and copies it in the end."""
STEPPED = "mean/*/*/checkpoint.safetensors"
"""What a slow cell leaves once it made a step."""
GRID = ("--methods", "random,dm,mtt", "--ipc", "1", "--profile", "smoke", "--reference-limit", "0")


@pytest.fixture(scope="module")
def around(tmp_path_factory):
    """Environment of everything here: in a folder whose modules must not be imported."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "cwd").mkdir()
    (folder / "cwd/json.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("TMPDIR", str(folder))
        patch.delenv("RAY_ADDRESS", raising=False)
        plugin(folder)
        yield folder


@pytest.fixture(scope="module")
def cluster(around):
    """A head and another node, of one core each; the tests leave it worse than they found it."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, connect=False, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def begin(around: Path, name: str, *arguments: object, within: Sequence[object] = ()) -> subprocess.Popen[str]:
    """A run with a results folder and a home of its own."""
    here = around / name
    return subprocess.Popen(
        [*map(str, within), sys.executable, "-P", "-m", "ddbench", "run", *map(str, arguments), "--out", str(here / "out"), "--progress",
         "plain", "--isolate", "never", "--engine", "eager"],
        cwd=around / "cwd", env=os.environ | {"DDBENCH_HOME": str(here / "home")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def end(run: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """What a run said on stdout and on stderr."""
    out, said = run.communicate(timeout=200)
    assert run.returncode == code, said
    assert "Traceback" not in said
    return out, said


def folders(around: Path, name: str) -> tuple[Path, Path]:
    return around / name / "out", around / name / "home"


def on(cluster) -> tuple[str, ...]:
    return ("--executor", "ray", "--resources", f"address={cluster.address}")


def same(one: tuple[Path, Path], other: tuple[Path, Path]) -> bool:
    """Whether two runs left the same sets, records, artifacts and data."""
    for mine, yours in zip(one, other, strict=True):
        assert_same(mine, yours)
    return True


def nothing_is_left(out: Path) -> None:
    assert not [*(out / ".claims").glob("*")] and not [*(out / ".jobs").glob("*")]


def slow(around: Path) -> tuple[object, ...]:
    """Cells that take four seconds each, by the plugin of a user."""
    mean = ("--set", "mean.iterations=8", "--set", "mean.pause_s=0.5")
    return ("--plugin", around / "meanplugin.py", "--methods", "mean", "--ipc", "1", "--profile", "smoke",
            "--reference-limit", "0", *mean)  # fmt: skip


def working(out: Path, n: int = 1) -> list[int]:
    """Process numbers of the workers of nodes that made a step, once there are ``n`` of them."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        if len([*out.rglob(STEPPED)]) >= n:
            return [json.loads(path.read_bytes())["pid"] for path in (out / ".claims").glob("*")]
        time.sleep(0.1)
    raise AssertionError("no node makes steps")


def records(out: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_bytes()) for path in out.rglob("condense.json")]


@pytest.fixture(scope="module")
def here(around):
    """The grid, computed without a cluster."""
    end(begin(around, "here", *GRID))
    return folders(around, "here")


@pytest.fixture(scope="module")
def slow_here(around):
    """The slow cells, computed without a cluster."""
    end(begin(around, "slow-here", *slow(around)))
    return folders(around, "slow-here")


def test_records_are_those_of_a_local_run(around, cluster, here):
    gone = Handle(
        name="0" * 12, executor="ray", engine_id="ff", nodes={}, submitted=0.0, **jobs.submitter() | {"pid": 1 << 30}
    )
    jobs.write(folders(around, "shared")[0], gone)
    out, _ = end(begin(around, "shared", *GRID, *on(cluster)))
    assert out.startswith("digits ·") and "mtt" in out
    assert same(here, folders(around, "shared"))
    nothing_is_left(folders(around, "shared")[0])
    assert not [*around.glob("ddbench-ray-*")], "a scratch folder is for workers that share none"


def test_workers_that_see_neither_folder_send_back_what_they_made(around, cluster, here):
    apart, copy = around / "apart", around / "copy"
    apart.mkdir()
    hidden = ["unshare", "-m", "sh", "-c", HIDDEN, apart, copy]
    if subprocess.run([*hidden, "true"]).returncode != 0:
        pytest.skip("a folder cannot be hidden from workers here: unshare -m needs root")
    shutil.rmtree(copy)
    end(begin(around, "apart", *GRID, *on(cluster), "--store", "driver", within=hidden))
    assert same(here, folders(around, "copy"))
    nothing_is_left(folders(around, "copy")[0])
    assert not [*apart.iterdir()]


@pytest.mark.slow
def test_ctrl_c_leaves_checkpoints_and_no_claims_and_the_same_command_continues(around, cluster, slow_here):
    out, _ = folders(around, "stopped")
    run = begin(around, "stopped", *slow(around), *on(cluster), "--store", "driver")
    until = time.monotonic() + 90
    while not [*(around / f"ddbench-ray-{os.getuid()}" / "tasks").rglob(STEPPED)]:
        assert time.monotonic() < until
        time.sleep(0.1)
    watched = Watched(out)
    while not (found := watched.look()).working:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert all(re.match("ray task .*, for process ", one.holder.where) for one in found.working), "not at the driver"
    run.send_signal(signal.SIGINT)
    _, said = end(run, 130)
    assert "the same command continues" in said
    nothing_is_left(out)
    assert [*out.rglob(STEPPED)], "what was done came back"
    end(begin(around, "stopped", *slow(around), *on(cluster)))
    assert max(record["cost"]["attempts"] for record in records(out)) == 2
    assert same(slow_here, folders(around, "stopped"))


def test_a_lost_worker_and_a_lost_node_change_no_record(around, cluster, slow_here):
    out, _ = folders(around, "lost")
    run = begin(around, "lost", *slow(around), *on(cluster))
    os.kill(working(out)[0], signal.SIGKILL)
    time.sleep(2)
    working(out)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    end(run)
    assert max(record["cost"]["attempts"] for record in records(out)) > 1
    assert same(slow_here, folders(around, "lost"))
    nothing_is_left(out)


@pytest.mark.slow
def test_a_node_that_ray_ends_for_its_memory_is_a_row_that_says_so(around, monkeypatch):
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "200")
    run = begin(around, "oom", *slow(around), "--seeds", "1", "--executor", "ray")
    out, said = end(run, 1)
    assert "(OutOfMemoryError) ended without a result, with twice the memory, too" in said
    assert "oom" in out and {record["status"] for record in records(folders(around, "oom")[0])} >= {"oom"}


@pytest.mark.slow
def test_the_end_of_ray_on_the_machine_of_the_driver_fails_no_node(around):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, connect=False, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        run = begin(around, "alone", *slow(around), *on(cluster))
        working(folders(around, "alone")[0])
        cluster.head_node.all_processes["raylet"][0].process.kill()
        _, said = end(run, 1)
        assert "is gone" in said.splitlines()[-1]
        assert {record["status"] for record in records(folders(around, "alone")[0])} == {"ok"}
    finally:
        cluster.shutdown()


def test_a_lost_head_ends_the_run_in_one_line_and_another_cluster_continues(around, cluster, slow_here):
    out, _ = folders(around, "headless")
    run = begin(around, "headless", *slow(around), *on(cluster))
    working(out)
    for name in ("gcs_server", "raylet"):
        for process in cluster.head_node.all_processes[name]:
            process.process.kill()
    _, said = end(run, 1)
    lines = said.splitlines()
    assert sum("is gone" in line for line in lines) == 1 and "the same command continues" in lines[-1]
    end(begin(around, "headless", *slow(around), "--executor", "ray"))
    assert same(slow_here, folders(around, "headless"))
    nothing_is_left(out)


@pytest.mark.parametrize("remembered", [True, False])
def test_where_no_cluster_is_running_auto_is_refused_at_once(around, tmp_path, monkeypatch, remembered):
    """Ray remembers the last cluster of a machine by a file, and would ask a dead one for minutes."""
    (tmp_path / "ray").mkdir()
    if remembered:
        (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    words = (
        "--methods",
        "random",
        "--ipc",
        "1",
        "--profile",
        "smoke",
        "--executor",
        "ray",
        "--resources",
        "address=auto",
    )
    _, said = end(begin(around, f"nowhere-{remembered}", *words), 2)
    assert re.search(r"nobody answers at \S+:9 " if remembered else "Could not find any running Ray", said), said
