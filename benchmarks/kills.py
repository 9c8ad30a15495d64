"""One suite by every executor, and what kills cost, on this machine: `python -m benchmarks.kills --home HOME`.

Each way runs the same command with a results folder and a home of its own; the files of results are compared with
those of ``--executor local``, byte by byte but for what `tests/cluster/compare.py` lists. Slurm and Ray are started as
the tests of tests/cluster do it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import slurm
from tests.cluster.compare import results

SUITE = ["--methods", "random,kmeans,herding,dm,mtt", "--ipc", "1,2", "--seeds", "3", "--profile", "smoke",
         "--threads", "1", "--reference-limit", "0", "--progress", "plain"]  # fmt: skip
LATE_S = 6.0
"""A kill comes so long after the first node has begun."""
DOWN_S = 5.0
"""What is killed is started again, or a queue is let go on, after so long."""


@dataclass
class Ways:
    """Runs of the suite below a folder."""

    folder: Path
    env: dict[str, str]

    def start(self, name: str, *words: str, **env: str) -> subprocess.Popen[bytes]:
        """The command of a way, on its way."""
        home = self.folder / f"home-{name}"
        shutil.copytree(self.folder / "home", home, dirs_exist_ok=True)
        log = (self.folder / f"{name}.log").open("ab")
        command = [sys.executable, "-P", "-m", "ddbench", "run", *SUITE, *words, "--out", str(self.folder / name)]
        return subprocess.Popen(command, env=self.env | {"DDBENCH_HOME": str(home)} | env, stdout=log, stderr=log)

    def begun(self, name: str) -> None:
        """Wait until a node has a result."""
        until = time.monotonic() + 120.0
        while not [*(self.folder / name).rglob("condense.json")] and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(LATE_S)

    def told(self, name: str, seconds: float, code: int) -> None:
        """Print the line of a way."""
        here, there = results(self.folder / name), results(self.folder / "local")
        equal = sum(there.get(file) == content for file, content in here.items())
        last = "" if code == 0 else f" (exit {code})"
        print(f"| {name.replace('_', ' ')}{last} | {seconds:.1f} | {equal} of {len(there)} |", flush=True)

    def way(self, name: str, *words: str, meanwhile: Callable[[], None] | None = None, **env: str) -> None:
        """Run the command to its end; ``meanwhile``: what happens to it."""
        begun = time.monotonic()
        run = self.start(name, *words, **env)
        if meanwhile is not None:
            self.begun(name)
            meanwhile()
        code = run.wait()
        self.told(name, time.monotonic() - begun, code)

    def again(self, name: str, first: Sequence[str], then: Sequence[str], meanwhile: Callable[[Any], None]) -> None:
        """Run a command that ends early, and then the same, perhaps elsewhere."""
        begun = time.monotonic()
        run = self.start(name, *first)
        self.begun(name)
        meanwhile(run)
        run.wait()
        code = self.start(name, *then).wait()
        self.told(name, time.monotonic() - begun, code)


@contextmanager
def _slurm() -> Iterator[slurm.Slurm]:
    running = slurm.make()
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(running.folder)


@contextmanager
def _cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, connect=False, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def _by_slurm(ways: Ways) -> None:
    words = ["--executor", "slurm", "--resources", "pack=6m,mem=1500M"]
    with _slurm() as engine:
        ways.env |= engine.env

        def killed(daemon: str, start: Callable[[], None]) -> Callable[[], None]:
            def kill() -> None:
                engine.kill(daemon)
                time.sleep(DOWN_S)
                start()
                until = time.monotonic() + 20.0
                while time.monotonic() < until:
                    engine.hurry()
                    time.sleep(1.0)

            return kill

        def held() -> None:
            engine.run("scontrol", "update", "PartitionName=main", "State=DOWN")
            time.sleep(DOWN_S)
            engine.run("scontrol", "update", "PartitionName=main", "State=UP")

        ways.way("slurm", *words)
        ways.way("slurm,_a_slurmd_killed", *words, meanwhile=killed("slurmd-two", lambda: engine.start_node("two")))
        ways.way("slurm,_slurmctld_killed", *words, meanwhile=killed("slurmctld", engine.start_controller))
        ways.way("slurm,_its_partition_held", *words, meanwhile=held)
        ways.again("slurm,_the_command_killed", words, words, subprocess.Popen.kill)


def _by_ray(ways: Ways) -> None:
    ways.env |= {"RAY_AUTH_MODE": "disabled", "RAY_gcs_rpc_server_reconnect_timeout_s": "4"}
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_gcs_rpc_server_reconnect_timeout_s": "4"}
    alone = ["--executor", "ray"]
    ways.way("ray", *alone)
    with _cluster() as cluster:
        words = [*alone, "--resources", f"address={cluster.address}"]
        ways.way("ray,_two_nodes", *words)
        ways.way("ray,_files_by_the_driver", *words, "--store", "driver", TMPDIR=str(ways.folder))
        node = next(iter(cluster.worker_nodes))
        ways.way(
            "ray,_a_node_killed", *words, meanwhile=lambda: cluster.remove_node(node, allow_graceful=False)
        )  # fmt: skip

        def behead(_: Any) -> None:
            for name in ("gcs_server", "raylet"):
                for process in cluster.head_node.all_processes[name]:
                    process.process.kill()

        ways.again("ray,_the_head_killed,_then_another_cluster", words, alone, behead)


def main() -> None:
    """Run all ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="a home with compiled operations and digits")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kl"))
    path = os.pathsep.join([str(Path.cwd()), str(Path.cwd() / "plugins")])
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    for name in ("compiled", "data"):
        shutil.copytree(given.home / name, folder / "home" / name)
    ways = Ways(folder, env)
    print("| way | seconds | files equal to local's |\n|---|---|---|", flush=True)
    try:
        ways.way("local", "--executor", "local", "--isolate", "never")
        ways.way("processes", "--executor", "processes", "--jobs", "2")
        _by_slurm(ways)
        _by_ray(ways)
    finally:
        print(f"logs: {folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
