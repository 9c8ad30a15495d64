"""What commands share that train students and write a metric more into the evaluations of a results folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import click

from ddbench.cli.options import PLUGIN, CommaList, join
from ddbench.cli.records import none_in
from ddbench.cli.results.students import students
from ddbench.cli.results.verify_rm import OUT
from ddbench.core.plugin.loader import Registries, active
from ddbench.core.records import Record
from ddbench.results.audit.retrain import MakeWorker, title_of
from ddbench.work.monitor import Monitor

SELECT = [
    OUT,
    click.option("--protocols", type=CommaList(str), multiple=True, help="Only evaluations under these. [all]"),
    PLUGIN,
]
"""Options that say which evaluations get the metric."""


def select_protocols(protocols: tuple[list[str], ...]) -> tuple[Registries, list[str]]:
    """The plugins, and the names of the protocols that ``--protocols`` means.

    Raises:
        UsageError: If a protocol is unknown.
    """
    known = active()
    return known, [known.protocols.named(name.partition("@")[0]) for name in join(protocols)]


class Job(Protocol):
    """An evaluation that can have the metric."""

    @property
    def record(self) -> Record:
        """Its record."""
        ...

    @property
    def done(self) -> bool:
        """Whether it has the metric."""
        ...

    @property
    def why(self) -> str | None:
        """Why it cannot be had, else None."""
        ...


J = TypeVar("J", bound=Job)
Note = Callable[[Sequence[J], MakeWorker, Monitor], Iterator[tuple[J, str]]]
"""Writes the metric where it is missing; yields the jobs that failed, and why."""


def amend_records(out: Path, jobs: Sequence[J], note: Note[J], metric: str, total: int, known: Registries) -> int:
    """Write the metric, tell what has it, and return the exit code.

    Args:
        out: The results folder.
        jobs: Its evaluations.
        note: Does it.
        metric: Its name.
        total: Students to train.
        known: Loaded plugins.

    Raises:
        UsageError: If there is no evaluation.
    """
    if not jobs:
        raise none_in(out, "such evaluations")
    for reason in dict.fromkeys(job.why for job in jobs if job.why):
        click.echo(f"ddbench: {reason}: no {metric}", err=True)
    failed = []
    new = sum(not job.done and not job.why for job in jobs)
    if new:
        with students(known, total) as (worker, watcher):
            failed = list(note(jobs, worker, watcher))
    for job, why in failed:
        click.echo(f"ddbench: {title_of(job.record)}: {why}", err=True)
    have = len(jobs) - sum(bool(job.why) for job in jobs) - len(failed)
    click.echo(f"{out}: {have} of {len(jobs)} evaluations have {metric}; {new - len(failed)} new")
    return 1 if failed else 0
