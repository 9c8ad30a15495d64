"""`ddbench results full-stopped`: what all images would have given in the seconds that a set took."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from ddbench.cli.results.amend import SELECT, amend_records, select_protocols
from ddbench.cli.run import options
from ddbench.library.folders import opened


@click.command("full-stopped")
@options(SELECT)
def full_stopped(out: Path, protocols: tuple[list[str], ...]) -> int:
    """Write the accuracy of `full`, when it gets the time that a set took, into the evaluations of a results folder.

    Trains `full` for as long as the method needed in total (condensing, artifacts, one student), at the pace and with
    the threads that `full` was recorded with. Records get `full_stopped` and `full_stopped_updates`; keys and all else
    stay, and the view `cost` shows the accuracy. Records that already have these metrics are skipped, so that the same
    command continues after an interruption. Exit code 1 when a student failed.
    """
    from ddbench.results.audit.full_stopped import STOPPED, jobs_of, note_stopped

    registries, names = select_protocols(protocols)
    store = opened(out)
    jobs = jobs_of(store.records(), out, names)
    total = len({job.student for job in jobs} - {None})
    return amend_records(out, jobs, partial(note_stopped, store), STOPPED, total, registries)
