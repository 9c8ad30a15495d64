"""A Slurm of two nodes on this machine, started for a test and ended with it: nothing of it stays."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NODES = ("one", "two")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scontrol")
CONF = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
SlurmdTimeout=6
KillWait=5
MinJobAge=120
JobRequeue=1
MaxArraySize={array}
PartitionName=main Nodes=one,two Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=6000\n"


def missing() -> str | None:
    """Why no Slurm can be started here; None: one can."""
    lost = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if lost:
        return f"no {', '.join(lost)} here (apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "Slurm's daemons are started as root"


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Slurm:
    """The daemons, in a folder of their own.

    Attributes:
        folder: Where all their files are.
        array: Jobs of an array at most, and one more.
        within: Node → command before that of its daemon: what it sees, its jobs see.
    """

    folder: Path
    array: int = 1001
    within: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """What commands need to find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": _path()}

    def run(self, *command: str) -> str:
        """A command of Slurm's; its output."""
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | self.env, timeout=60)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def start(self) -> None:
        """Start munge, the controller and both nodes; waits until they are idle."""
        host = socket.gethostname().partition(".")[0]
        text = CONF.format(host=host, folder=self.folder, port=_free_port(), array=self.array)
        text += "".join(NODE.format(name=name, host=host, port=_free_port()) for name in NODES)
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        for path in (self.folder, key):
            shutil.chown(path, "munge")
        options = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid",
                   "log-file": "munged.log", "seed-file": "munge.seed"}  # fmt: skip
        munged = " ".join(["munged", "--force", *(f"--{name}={self.folder / file}" for name, file in options.items())])
        subprocess.run(["su", "-s", "/bin/sh", "munge", "-c", f"PATH={_path()} {munged}"], check=True, timeout=30,
                       capture_output=True)  # fmt: skip
        self.start_controller()
        for name in NODES:
            self.start_node(name)
        self.wait_for(lambda: self.run("sinfo", "--noheader", "--format=%T").split() == ["idle"], 60)

    def start_controller(self) -> None:
        """Start it, perhaps again: what it had queued it still has."""
        self.run("slurmctld")

    def start_node(self, name: str) -> None:
        """Start a node, perhaps again."""
        self.run(*self.within.get(name, ()), "slurmd", "-N", name)

    def kill(self, daemon: str) -> None:
        """End a daemon at once, and with a node what runs there: ``slurmctld``, ``slurmd-one``."""
        if daemon.startswith("slurmd-"):
            for line in subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout.splitlines():
                pid, _, args = line.strip().partition(" ")
                if args.startswith("slurmstepd:") and self._node_of(int(pid)) == daemon.removeprefix("slurmd-"):
                    _end_tree(int(pid))
        pid_file = self.folder / f"{daemon}.pid"
        if pid_file.exists() and (text := pid_file.read_text().strip()):
            _end(int(text))

    def _node_of(self, pid: int) -> str:
        """The node whose step a process is."""
        found = ""
        for child in _tree(pid):
            try:
                env = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            for one in env:
                if one.startswith(b"SLURMD_NODENAME="):
                    found = one.partition(b"=")[2].decode()
        return found

    def stop(self) -> None:
        """End everything."""
        for daemon in (*(f"slurmd-{name}" for name in NODES), "slurmctld", "munged"):
            self.kill(daemon)

    def jobs(self) -> dict[str, str]:
        """Id → state of all jobs that it knows."""
        lines = self.run("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T").split()
        return dict(line.split("|") for line in lines)

    def hurry(self) -> None:
        """Let jobs begin that were queued again: Slurm makes these wait for two minutes."""
        for line in self.run("squeue", "--noheader", "--array", "--states=PENDING", "--format=%i|%r").split():
            if line.endswith("|BeginTime"):
                self.run("scontrol", "update", f"JobId={line.partition('|')[0]}", "StartTime=now")

    @staticmethod
    def wait_for(true, seconds: float = 60.0) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.3)


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    return [*map(int, found)]


def _tree(pid: int) -> list[int]:
    return [pid, *(below for child in _children(pid) for below in _tree(child))]


def _end_tree(pid: int) -> None:
    for one in reversed(_tree(pid)):
        _end(one)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def make(array: int = 1001) -> Slurm:
    """One that is not started yet, in a folder with a short name: sockets have short names."""
    return Slurm(Path(tempfile.mkdtemp(prefix="sl")), array)
