"""What is asked of Slurm: its limits, the states of jobs, a script for each array of them. No torch."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ddbench.core.errors import UsageError
from ddbench.core.store import jobs
from ddbench.work.executors.base import Run
from ddbench.work.executors.elsewhere import Need, Task, time_s

NAME = "slurm"
NOT_NOW = re.compile(r"(MaxSubmit|MaxJobs)\w*Limit|temporarily unable|Unable to contact|timed out|Connection refused",
                     re.IGNORECASE)  # fmt: skip
"""What sbatch says when there is room for no more jobs now, or nobody answers."""
OOM = re.compile(r"exceeded (job )?memory limit|oom[-_ ]?kill", re.IGNORECASE)
"""What stands in a job's stderr where memory ended it and its state does not say so."""
NOT_TO_BLAME = {"TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "COMPLETED"}
"""States of jobs whose running node goes on from its checkpoint, and is not counted as lost, for some times."""
NOT_LAUNCHED = "LAUNCH_FAILED"
"""State of a job that Slurm could not start, and holds."""
ALIVE = {"PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED",
         "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "RESV_DEL_HOLD", "SPECIAL_EXIT"}  # fmt: skip
STUCK = re.compile(
    r"Partition(Config|Down|Inactive|NodeLimit|TimeLimit)|BadConstraints|Invalid(Account|QOS)|\w+NotAllowed|"
    r"Job(Held|Hold|LaunchFailure)|(Req)?Node(NotAvail|Down)|Nodes required for job are DOWN|FrontEndDown|"
    r"ReservationDeleted|RequiresReservation|DependencyNeverSatisfied|InactiveLimit|MaxMemPer(Limit|CPU)|"
    r"(Assoc|QOS)(Max\w*Per(Job|Node)|Grp(?!\w*Run)\w*Minutes)|AssociationTimeLimit|"
    r"QOS(Min|TimeLimit|UsageThreshold)"
)
"""How reasons begin for which a job waits until somebody changes it, a node, a partition or a limit."""
SIGNAL_S = 90
"""Seconds before its time limit at which a job is told to leave a checkpoint."""


def run_slurm_job(text: str) -> str:
    """What a job runs: :func:`ddbench.work.executors.agent.run_job`, and the queue again when its time is up.

    Slurm tells of the time limit by SIGUSR2, to all processes; only a thread of this one waits for it.
    """
    from ddbench.work.executors.agent import run_job

    again = threading.Event()

    def wait() -> None:
        signal.sigwait({signal.SIGUSR2})
        again.set()
        os.kill(os.getpid(), signal.SIGTERM)

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})  # what is started from here on inherits it
    threading.Thread(target=wait, daemon=True).start()
    job, array = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_ARRAY_JOB_ID")
    said = run_job(text, place_of(job if array is None else f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"))
    stopped = again.is_set() and '"stopped": true' in said
    if stopped and subprocess.run(["scontrol", "requeue", job], check=False, timeout=60).returncode == 0:
        time.sleep(60)  # until Slurm ends it; else the run that waits hands its nodes over again
    return said


@dataclass(eq=False)
class Submitted:
    """A job on its way.

    Attributes:
        handle: What is kept of it.
        report: What it says.
        tasks: Its nodes without an outcome that this run waits for.
        left: All its nodes without an outcome.
        begun: Nodes that it began.
        over: When it was first seen to be over [monotonic s].
        state: What Slurm says.
        said: What was noted of that for others.
    """

    handle: jobs.Handle
    report: jobs.Report
    tasks: dict[str, Task] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    over: float | None = None
    state: str = "PENDING"
    said: str = ""

    def __post_init__(self) -> None:
        self.left = {*self.handle.nodes}

    def hear(self) -> list[tuple[str, Any]]:
        """Keys and outcomes, as JSON, of the nodes that have ended since it was last asked."""
        found = []
        for said in self.report.news():
            key = str(said.get("key"))
            if "outcome" in said:
                self.left.discard(key)
                found.append((key, said["outcome"]))
            else:
                self.begun.add(key)
        return found


@dataclass(frozen=True, slots=True)
class Limits:
    """What Slurm allows.

    Attributes:
        array: Jobs of an array.
        jobs: Jobs at once; half of what it can know of, because there are other users.
    """

    array: int
    jobs: int


def place_of(engine_id: str) -> str:
    """What people call a job as a place."""
    return f"slurm job {engine_id}"


def folder_of(out: Path) -> Path:
    """Where submitit keeps the scripts and logs of a results folder's jobs."""
    return jobs.folder(out.resolve()) / NAME


def job_name(out: Path) -> str:
    """What jobs of a results folder are called."""
    return f"ddbench-{jobs.mark(out)}"


class Told(NamedTuple):
    """What Slurm says of a job.

    Attributes:
        state: As squeue calls it, or :data:`NOT_LAUNCHED`.
        reason: Why it waits.
    """

    state: str
    reason: str = ""

    def __str__(self) -> str:
        """``PENDING (Resources)``, ``RUNNING``."""
        return self.state + (f" ({self.reason})" if self.state == "PENDING" and self.reason not in ("", "None") else "")

    @property
    def is_alive(self) -> bool:
        """Whether Slurm still has it."""
        return self.state in ALIVE

    @property
    def is_stuck(self) -> bool:
        """Whether it waits for what time alone does not bring."""
        return self.state == "PENDING" and STUCK.match(self.reason) is not None


GONE = Told("GONE")
"""Said of a job that Slurm does not know."""


def states(out: Path) -> Mapping[str, Told] | None:
    """Id → state of the jobs of a results folder that Slurm knows; None where Slurm does not answer."""
    command = ["squeue", "--noheader", "--array", "--states=all", f"--name={job_name(out)}", "--format=%i|%T|%r"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = [line.strip().split("|") for line in done.stdout.splitlines()]
    held = "launch failed"  # Slurm holds such a job until somebody releases it
    return {
        one[0]: Told(NOT_LAUNCHED if held in one[2].replace("_", " ") else one[1], one[2])
        for one in found
        if len(one) == 3
    }


def said_by(error: Exception) -> str:
    """What a program of Slurm said that submitit ran, without what submitit says about that."""
    cause = error.__cause__ or error
    said = getattr(cause, "stderr", None) or str(cause)
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return in_line(re.sub(r"\bCommand '?\[.*?\]'? (returned|timed).*", "", text)) or in_line(text)


def in_line(said: str) -> str:
    """What a program of Slurm said, without its name before each line."""
    lines = [re.sub(r"^s\w+: (error: )?", "", line.strip()) for line in said.splitlines()]
    return "; ".join(line for line in lines if line)


def scancel(ids: Sequence[str]) -> None:
    """Let Slurm end jobs, after they have left a checkpoint.

    Raises:
        UsageError: If Slurm does not do so.
    """
    try:
        subprocess.run(["scancel", "--quiet", *ids], capture_output=True, text=True, timeout=60, check=True)
    except OSError as error:
        raise UsageError(f"scancel: {error.strerror}: there is no Slurm here") from None
    except subprocess.TimeoutExpired:
        raise UsageError("scancel: Slurm does not answer") from None
    except subprocess.CalledProcessError as error:
        if "Invalid job id" not in error.stderr:  # Slurm has forgotten jobs that ended long ago
            raise UsageError(f"scancel: {in_line(error.stderr)}") from None


def limits() -> Limits:
    """What Slurm allows.

    Raises:
        UsageError: If there is no Slurm here, or it does not answer.
    """
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UsageError("--executor slurm: there is no `sbatch` on the PATH: run this on a login node of the cluster")
    try:
        text = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise UsageError(f"--executor slurm: Slurm does not answer: {' '.join(said.split())[:200]}") from None
    found = dict(re.findall(r"^(MaxArraySize|MaxJobCount)\s*=\s*(\d+)", text.stdout, flags=re.MULTILINE))
    return Limits(max(1, int(found.get("MaxArraySize", 1001)) - 1), max(1, int(found.get("MaxJobCount", 10000)) // 2))


def engine_for(folder: Path, need: Need, packs: Sequence[Sequence[Task]], run: Run) -> Any:
    """The executor of submitit that submits packs which ask for the same.

    Raises:
        UsageError: If an option is not known to submitit.
    """
    import submitit

    with quietly():
        # -P: nothing is imported from the folder that the user happens to be in
        try:
            engine = submitit.SlurmExecutor(folder, python=f"{shlex.quote(sys.executable)} -P")
        except RuntimeError as error:
            raise UsageError(f"--executor slurm: {error}") from None
    longest = max(time_s(pack, run.wanted.time_s) for pack in packs)
    minutes = max(1, math.ceil(longest / 60))
    asked = {
        "job_name": job_name(run.store.out), "time": minutes, "cpus_per_task": need.cpus,
        "mem": f"{need.mem_mb:.0f}MB", "nodes": 1, "ntasks_per_node": 1,
        "signal_delay_s": min(SIGNAL_S, 15 * minutes), "array_parallelism": run.jobs,
        "partition": run.wanted.partition, "account": run.wanted.account,
    }  # fmt: skip
    if need.gpus:
        asked["gpus_per_node"] = need.gpus
    own = submitit.SlurmExecutor._valid_parameters()
    more = {word: value for word, value in run.wanted.slurm.items() if word not in own}
    asked |= {word: int(v) if v.isdigit() else v for word, v in run.wanted.slurm.items() if word in own}
    asked["additional_parameters"] = {"requeue": True, **more}
    try:
        engine.update_parameters(**{word: value for word, value in asked.items() if value is not None})
    except (TypeError, ValueError) as error:
        raise UsageError(f"--resources: {error}") from None
    return engine


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """A block in which submitit's warnings are not a user's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
