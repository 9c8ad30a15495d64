"""What a run on Slurm tells people: jobs that are there, wait for ever or are lost, and a silent Slurm. No torch."""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ddbench.core.errors import DDBenchError, Notice, UsageError
from ddbench.core.store import jobs
from ddbench.core.words import plural
from ddbench.work.executors.slurm_jobs import NOT_TO_BLAME, Submitted, Told, scancel

STRANGE_S = 60.0
"""A job without a handle is being submitted by another run; after so long that run was killed meanwhile."""
SILENT_S = 60.0
"""Slurm that says nothing for so long is spoken of [s]."""
MOST_STILLBORN = 3
"""So many jobs in a row that began no node end the run: none can work here."""
LAST_LOG = "last.log"
"""What the last of these said, below the folder of jobs: its own files go with it."""


class JobsWarning(UserWarning):
    """What went wrong with jobs that Slurm has."""


@dataclass
class Notices:
    """What was told of the jobs of a results folder, so that it is told once.

    Attributes:
        out: The results folder.
        told: Reasons that were told.
        strange: Ids of jobs without a handle, and when these were first seen [monotonic s].
        silent: Whether it was said that Slurm does not answer.
        stillborn: How many jobs in a row began no node.
        works: Whether one began a node.
    """

    out: Path
    told: set[str] = field(default_factory=set)
    strange: dict[str, float] = field(default_factory=dict)
    silent: bool = False
    stillborn: int = 0
    works: bool = False

    def warn(self, text: str) -> None:
        """Tell what went wrong."""
        warnings.warn(text, JobsWarning, stacklevel=2)

    def say(self, text: str) -> None:
        """Tell what there is."""
        warnings.warn(text, Notice, stacklevel=2)

    def tell_adopted(self, handles: Sequence[jobs.Handle]) -> None:
        """Say that jobs of an earlier run go on as they were asked for."""
        if handles:
            asked = "; ".join(dict.fromkeys(one.asked for one in handles))
            verb, they = ("is", "it keeps") if len(handles) == 1 else ("are", "they keep")
            text = f"{plural(len(handles), 'job')} of an earlier run {verb} with Slurm, where {they} what was asked"
            self.say(f"{text} for ({asked}); `ddbench cancel --out {self.out}` first where that is to change")

    def tell_sent(self, ids: Sequence[str], nodes: int) -> None:
        """Say which jobs Slurm has taken."""
        which = f"job {ids[0]}" if len(ids) == 1 else f"{len(ids)} jobs, {ids[0]} to {ids[-1]}"
        self.say(f"Slurm has {which}, with {plural(nodes, 'node')}")

    def tell_gone(self, how: str, again: int, *, oom: bool) -> None:
        """Say that a job is gone of which so many nodes are tried again; nothing of one without any."""
        if again:
            more = " with twice the memory" if oom else ""
            self.warn(f"Slurm's {how} is gone: {plural(again, 'node')} of it {_are(again)} tried again{more}")

    def tell_left(self, going: int) -> None:
        """Say that jobs go on without this run."""
        who, where = f"{plural(going, 'job')} {'goes' if going == 1 else 'go'}", f"--out {self.out}"
        self.say(f"{who} on: see `ddbench status {where}`; `ddbench cancel {where}` ends what goes on")

    def tell_stuck(self, handle: jobs.Handle, told: Told) -> None:
        """Say once for each reason that a job waits for what time alone does not bring."""
        if told.is_stuck and told.reason not in self.told:
            self.told.add(told.reason)
            name = handle.engine_id
            why = f"Slurm lets job {name} wait for a reason that somebody must mend ({told.reason}; it asks for "
            why += f"{handle.asked}): see `scontrol show job {name}`; `ddbench cancel --out {self.out}` ends what waits"
            self.warn(why)

    def tell_silence(self, seconds: float) -> None:
        """Say once that Slurm has not answered for so many seconds, if that is long; 0: it answers."""
        if seconds >= SILENT_S and not self.silent:
            self.warn("Slurm does not answer: the jobs that it has go on, and it is asked again")
        self.silent = seconds >= SILENT_S

    def begun(self) -> None:
        """A job began a node: jobs can work here."""
        if not self.works:
            (jobs.folder(self.out) / LAST_LOG).unlink(missing_ok=True)
        self.stillborn, self.works = 0, True

    def count_stillborn(self, job: Submitted, words: str, path: Path) -> None:
        """A job that began no node blames none; several in a row mean that no job can work here.

        Args:
            job: The job.
            words: What it said last on stderr.
            path: The file with all that it said, which goes with it.

        Raises:
            DDBenchError: If there were several.
        """
        self.stillborn += job.state not in NOT_TO_BLAME
        if self.stillborn >= MOST_STILLBORN:
            log = jobs.folder(self.out) / LAST_LOG
            with contextlib.suppress(OSError):
                shutil.copyfile(path, log)
            last = ([line.strip() for line in words.splitlines() if line.strip()] or ["it said nothing"])[-1]
            raise DDBenchError(f"{MOST_STILLBORN} jobs in a row began no node, the last is {job.handle.engine_id} "
                               f"({job.state}): {last[-300:]}{f' ({log})' if log.exists() else ''}")  # fmt: skip

    def end_strange(self, states: Mapping[str, Told], known: Collection[str], now: float) -> None:
        """End jobs of the folder that have no handle: whoever submitted them was killed before it wrote that.

        Args:
            states: Of all jobs.
            known: Ids of those that have a handle.
            now: Monotonic seconds.
        """
        strange = {name for name, told in states.items() if told.is_alive} - {*known}
        if strange:
            strange -= {handle.engine_id for handle in jobs.handles(self.out)}
        self.strange = {name: self.strange.get(name, now) for name in strange}
        if over := sorted(name for name, since in self.strange.items() if now - since >= STRANGE_S):
            with contextlib.suppress(UsageError):
                scancel(over)
                self.warn(f"jobs of a run that was killed while it submitted them are ended: {', '.join(over)}")


def _are(n: int) -> str:
    return "is" if n == 1 else "are"
