"""Nodes as array jobs of Slurm, submitted by submitit. No torch.

Slurm queues, places and requeues; a job is an :class:`ddbench.work.executors.agent.Job` that reports each node as it is
done. A run that goes away leaves its jobs: the same command finds them by their handles and waits for them.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

from ddbench.core.documents import Document
from ddbench.core.errors import InterruptedRunError, UsageError
from ddbench.core.keys import short
from ddbench.core.memory import in_words
from ddbench.core.store import jobs
from ddbench.core.store.claims import SEEN_WITHIN_S, release
from ddbench.core.store.jobs import Handle as Handed
from ddbench.core.words import plural
from ddbench.plan.forecast import duration
from ddbench.work.attempt import Outcome
from ddbench.work.executors.agent import Job, is_published
from ddbench.work.executors.base import Handle, Resources, Run
from ddbench.work.executors.elsewhere import Elsewhere, Ended, Need, Task
from ddbench.work.executors.packing import packed, with_rest
from ddbench.work.executors.slurm_jobs import (
    GONE,
    NAME,
    NOT_LAUNCHED,
    NOT_NOW,
    NOT_TO_BLAME,
    OOM,
    Submitted,
    Told,
    engine_for,
    folder_of,
    limits,
    place_of,
    quietly,
    run_slurm_job,
    said_by,
    scancel,
    states,
)
from ddbench.work.executors.slurm_notices import Notices

LOOK_S = 5.0
"""Seconds between questions to Slurm."""
HEAR_S = 0.002
"""Seconds between two looks at all reports, times their number: a network folder is asked 500 times a second."""
HOLD = 0.1
"""Nodes too few for a job wait for more of them, while others run, for this share of what a job is worth."""
LEAVE_S = 15.0
"""How long a run that is done waits for jobs to leave Slurm, looking every second, so that none of their files stay."""
WAIT_S = 1.0
MOST_KEPT = 100
"""States of jobs that one look writes into their handles at most: a network folder takes its time for each."""
MOST_SPARED = 10
"""A node goes on so many times after jobs that ended for no fault of it; then it counts as lost."""
SETTLE_S = 5.0
"""A job that ended badly gets so long until what it wrote is seen."""
BEHIND_S = 3600.0
"""Slurm that says nothing for so long has lost the jobs [s]."""
CANCELLED = "CANCELLED"


class Slurm(Elsewhere):
    """Packs nodes into array jobs, and hears of them by their reports and by squeue."""

    claims = True
    slots = sys.maxsize
    crosses = staticmethod(run_slurm_job)

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._limits = limits()
        jobs.mark(run.store.out, make=True)
        self._folder = folder_of(run.store.out)
        self._waiting: dict[str, Task] = {}
        self._since = math.inf
        self._full_until = 0.0
        self._jobs: dict[str, Submitted] = {}
        self._refused: Ended = []
        self._notices = Notices(run.store.out)
        self._accepted = time.monotonic()
        self._looked = self._heard = -math.inf
        self._answered = time.monotonic()
        self._most = min(run.jobs, self._limits.jobs)
        self._adopt()

    def _adopt(self) -> None:
        """Wait for the jobs of other runs that Slurm still has; forget those of runs that are gone."""
        known = [handle for handle in jobs.handles(self._store.out) if handle.executor == NAME]
        states_ = self._states() if known else {}  # later than the handles: what is not there has ended
        for handle in known:
            over = states_ is not None and not states_.get(handle.engine_id, GONE).is_alive
            if over or jobs.is_cancelled(self._store.out, handle.name):
                self._forget(handle)
                continue
            job = Submitted(handle, jobs.report(self._store.out, handle.name))
            if jobs.submitter_ended(handle):  # from now on this run waits for it: `ddbench cancel` asks who does
                job.handle = handle.model_copy(update=jobs.submitter())
                jobs.write(self._store.out, job.handle)
            job.hear()  # what had an outcome before is not waited for
            self._jobs[handle.name] = job
        self._notices.tell_adopted([job.handle for job in self._jobs.values()])

    def has_room(self, resources: Resources) -> bool:
        """Always: what Slurm does not take yet waits here."""
        return True

    def submit(self, document: Document, resources: Resources) -> Handle:
        """Keep the node until there are enough for a job; one that Slurm has already is waited for."""
        task = self._task(document, resources)
        for job in self._jobs.values():
            if document.key in job.left and job.over is None:
                job.tasks[document.key] = task
                return document.key
        self._wait(task)
        return document.key

    def _wait(self, task: Task) -> None:
        self._waiting[task.key] = task
        self._since = min(self._since, time.monotonic())

    def poll(self, wait_s: float) -> Ended:
        """Submit what is worth a job, and hear what jobs say.

        Raises:
            InterruptedRunError: If somebody cancelled the jobs.
            UsageError: If Slurm refuses a job.
        """
        self._hand_over()
        found, self._refused = self._refused, []
        if time.monotonic() - self._heard >= HEAR_S * len(self._jobs):
            found += [one for job in list(self._jobs.values()) for one in self._news(job)]
            self._heard = time.monotonic()
        if time.monotonic() - self._looked >= LOOK_S:
            found += self._look()
        if not found:
            time.sleep(wait_s)
        return found

    def _news(self, job: Submitted) -> Ended:
        """What a job has said since it was last asked."""
        found: Ended = []
        for key, outcome in job.hear():
            task = job.tasks.pop(key, None)
            if task is not None:
                told = self.ended(task, None if outcome is None else Outcome.model_validate(outcome))
                found += told or []
                if told is None:
                    self._wait(task)
        if job.begun:
            self._notices.begun()
        return found

    def _look(self) -> Ended:
        """Ask Slurm which jobs are over, and settle what these leave without an outcome."""
        self._looked = now = time.monotonic()
        states = self._states() if self._jobs else {}
        if states is None:
            self._notices.tell_silence(now - self._answered)
            if now - self._answered < BEHIND_S:
                return []
            states = {}
        self._answered = now
        self._notices.tell_silence(0.0)
        found: Ended = []
        kept = 0
        for job in list(self._jobs.values()):
            if jobs.is_cancelled(self._store.out, job.handle.name):
                raise InterruptedRunError(f"job {job.handle.engine_id} was cancelled")
            told = states.get(job.handle.engine_id, GONE)
            job.state = told.state
            if told.is_alive:
                job.over = None
                kept += kept < MOST_KEPT and self._keep_state(job, str(told))
                self._notices.tell_stuck(job.handle, told)
                continue
            job.over = job.over or now
            coming = job.state in ("COMPLETED", CANCELLED) and jobs.is_known(self._store.out, job.handle.name)
            patience = SEEN_WITHIN_S if coming else SETTLE_S  # what another run has heard and removed does not come
            if not job.tasks or now - job.over >= patience:
                found += self._news(job) + self._over(job)
        self._notices.end_strange(states, {job.handle.engine_id for job in self._jobs.values()}, now)
        return found

    def _keep_state(self, job: Submitted, state: str) -> bool:
        """Let others read why a job waits; not of one that another run has removed. Whether something was written."""
        if job.said == state or not jobs.is_known(self._store.out, job.handle.name):
            return False
        job.said = state
        jobs.note(self._store.out, job.handle.name, state)
        return True

    def _over(self, job: Submitted) -> Ended:
        """What is told of nodes whose job is over; those that it had not begun are not blamed for it."""
        if not jobs.is_known(self._store.out, job.handle.name):  # another run of the same command has heard all of it
            del self._jobs[job.handle.name]
            return [(key, None) for key in job.tasks]
        if job.state == NOT_LAUNCHED:  # Slurm would hold it for ever
            with contextlib.suppress(UsageError):
                scancel([job.handle.engine_id])
        found: Ended = []
        words = self._words(job.handle)
        oom = job.state == "OUT_OF_MEMORY" or OOM.search(words) is not None
        working = job.begun & job.tasks.keys() or (job.tasks.keys() if oom else set())
        if job.tasks and not job.begun and not oom:
            self._notices.count_stillborn(job, words, self._folder / f"{job.handle.engine_id}_0_log.err")
        how, again = f"job {job.handle.engine_id} ({'OUT_OF_MEMORY' if oom else job.state})", 0
        for key, task in job.tasks.items():
            told: Ended | None = None
            release(self._store.claims_of(task.document), short(key), place_of(job.handle.engine_id))
            if is_published(task.document, self._store):
                told = [(key, None)]
            elif key in working and not oom and job.state in NOT_TO_BLAME and task.spared < MOST_SPARED:
                task.spared += 1
            elif key in working:
                told = self.vanished(task, how, words, "oom" if oom else "failed")
            found += told or []
            if told is None:
                again += 1
                self._wait(task)
        self._notices.tell_gone(how, again, oom=oom)
        del self._jobs[job.handle.name]
        self._forget(job.handle)
        return found

    def _forget(self, handle: Handed) -> None:
        """Remove what a job that is over left, submitit's files too; where another run may still read it, it stays."""
        me, ended = jobs.submitter(), jobs.submitter_ended(handle)
        mine = me.items() <= handle.model_dump().items()
        if not mine and not (jobs.is_old(handle) if ended is None else ended):
            return
        jobs.remove(self._store.out, handle.name)
        for path in self._folder.glob(f"{handle.engine_id}_*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def _words(self, handle: Handed) -> str:
        """What a job said last on stderr."""
        with contextlib.suppress(OSError):
            return (self._folder / f"{handle.engine_id}_0_log.err").read_text(errors="replace")[-4000:]
        return ""

    def _hand_over(self) -> None:
        """Submit what is worth a job; the rest as well where nothing else runs, or it has waited for long."""
        now = time.monotonic()
        room = self._most - len(self._jobs)
        if not self._waiting or room <= 0 or now < self._full_until:
            return
        worth = self._wanted.pack_s
        full, left = packed(self._waiting.values(), self.need, worth)
        if left and (not (self._jobs or full) or now - self._since >= HOLD * worth):
            full, left = with_rest(full, left, self.need), []
        for need, packs in full.items():
            for start in range(0, len(packs), self._limits.array):
                array = packs[start : start + self._limits.array]
                now_, later = array[: max(0, room)], array[max(0, room) :]
                left += [task for pack in later for task in pack]
                room -= len(now_)
                if now_ and not self._array(need, now_):
                    left += [task for pack in now_ for task in pack]
                    room = 0
        self._waiting = {task.key: task for task in left}
        if not left or full:
            self._since = now if left else math.inf

    def _array(self, need: Need, packs: Sequence[Sequence[Task]]) -> bool:
        """Submit packs as one array; False where Slurm takes no more jobs now."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        engine = engine_for(self._folder, need, packs, self._run)  # checks what the user says
        said = {word: engine.parameters.get(word) for word in ("time", "partition", "account")}
        minutes = isinstance(said["time"], int)  # else what the user said in sbatch's own words
        asked = {word: duration(60.0 * v) if word == "time" and minutes else v for word, v in said.items() if v}
        crossing = [self.job(pack) for pack in packs]
        try:
            with quietly(), redirect_stderr(StringIO()), self._run.interrupts.deferred():  # else a job without handle
                sent = engine.map_array(self.crosses, [job.model_dump_json() for job in crossing])
                self._keep(need, packs, crossing, [one.job_id for one in sent], asked)
        except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
            return self._settles_refusal(packs, error)
        self._accepted = time.monotonic()
        self._notices.tell_sent([one.job_id for one in sent], sum(map(len, packs)))
        return True

    def _settles_refusal(self, packs: Sequence[Sequence[Task]], error: Exception) -> bool:
        """Whether packs that Slurm has refused are settled; False where they are submitted again later.

        Raises:
            UsageError: If that is for the user to mend.
        """
        text, now = said_by(error), time.monotonic()
        if NOT_NOW.search(text) and now - self._accepted < BEHIND_S:
            self._full_until = now + 60.0
            self._notices.warn(f"Slurm takes no job now, it is asked again: {text[-200:]}")
            return False
        doubled = [task for pack in packs for task in pack if task.times > 1]
        if len(doubled) < sum(map(len, packs)):
            raise UsageError(f"Slurm refuses a job: {text[-400:]} (see --resources, and --dry-run)") from error
        for task in doubled:  # nobody has twice the memory
            self._refused += self.vanished(task, "what ran out of memory", text, "oom") or []
        return True

    def _keep(
        self, need: Need, packs: Sequence[Sequence[Task]], crossing: Sequence[Job], ids: Sequence[str],
        asked: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Write the handles of jobs that Slurm has."""
        for job, engine_id, pack in zip(crossing, ids, packs, strict=True):
            handle = self.keep(job.name, NAME, engine_id, need, pack, asked)
            tasks = {task.key: task for task in pack}
            self._jobs[job.name] = Submitted(handle, jobs.report(self._store.out, job.name), tasks)

    def _states(self) -> Mapping[str, Told] | None:
        """Id → state of this folder's jobs; None where Slurm does not answer."""
        return states(self._store.out)

    def cancel(self, handle: Handle) -> None:
        """Let go of the node: its job goes on."""
        for job in self._jobs.values():
            job.tasks.pop(str(handle), None)
        self._waiting.pop(str(handle), None)

    @staticmethod
    def scripts(run: Run, ready: Iterable[tuple[Document, Resources]]) -> Iterator[str]:
        """The sbatch scripts that the first nodes of a run would be submitted with.

        Args:
            run: What an executor would be made for.
            ready: Nodes that nothing is to be done before.
        """
        asks = Elsewhere(run)
        full, left = packed([Task(*one) for one in ready], asks.need, run.wanted.pack_s)
        for need, packs in with_rest(full, left, asks.need).items():
            engine = engine_for(folder_of(run.store.out), need, packs, run)
            if len(packs) > 1:
                engine.parameters["map_count"] = len(packs)
            text = engine._make_submission_file_text(engine._submitit_command_str, "dry")
            nodes = [task for pack in packs for task in pack]
            on_gpu = max(task.resources.device_mb for task in nodes) if need.gpus else 0.0
            more = f", {in_words(on_gpu)} of GPU memory by forecast" if on_gpu else ""
            yield f"# {plural(len(nodes), 'node')} in {plural(len(packs), 'job')}{more}\n{text}"

    @staticmethod
    def end(handles: Sequence[Handed]) -> Iterator[str]:
        """Let Slurm end jobs, after they have left a checkpoint; yields what was done.

        Args:
            handles: Of the jobs.

        Raises:
            UsageError: If Slurm does not do so.
        """
        ids = [one.engine_id for one in handles]
        try:
            scancel(ids)
        except UsageError as error:
            raise UsageError(f"{error}; the jobs go on: the same `ddbench cancel` once that is mended") from None
        yield f"{plural(len(ids), 'job')} of Slurm cancelled: {', '.join(ids)}"

    def close(self) -> None:
        """Leave the jobs that go on, and say so; wait a moment for those that have nothing left to do."""
        until = time.monotonic() + LEAVE_S
        going = self._going()
        while going and all(map(_is_done, going)) and time.monotonic() < until:
            time.sleep(WAIT_S)
            going = self._going()
        for job in [job for job in self._jobs.values() if job not in going or _is_done(job)]:
            self._forget(job.handle)
        if not any(handle.executor == NAME for handle in jobs.handles(self._store.out)):
            shutil.rmtree(self._folder, ignore_errors=True)
        left = [job for job in going if not _is_done(job) and not jobs.is_cancelled(self._store.out, job.handle.name)]
        if left:
            self._notices.tell_left(len(left))

    def _going(self) -> list[Submitted]:
        """The jobs that Slurm still has; all that are not known to be over where it does not answer."""
        states_ = self._states() if self._jobs else {}
        return [
            job
            for job in self._jobs.values()
            if job.over is None and (states_ is None or states_.get(job.handle.engine_id, GONE).is_alive)
        ]


def _is_done(job: Submitted) -> bool:
    """Whether all nodes of a job have outcomes."""
    job.hear()
    return not job.left
