"""`ddbench status` and `ddbench cancel`: a run on a folder, whoever started it and wherever it runs."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import click

from ddbench.cli.options import Duration, Place
from ddbench.core.errors import UsageError
from ddbench.core.store import jobs
from ddbench.core.store.folder import lacks
from ddbench.library.standing import Standing, Watched, Working
from ddbench.plan.forecast import duration
from ddbench.plan.graph import SET_FAILED
from ddbench.work.executors.base import end_jobs

OUT = click.option("--out", type=Place(path_type=Path), default="runs", show_default=True, help="Results folder.")
MOST = 20
"""Rows of a list that are shown; `--json` has all."""


@click.command()
@OUT
@click.option("--watch", is_flag=True, help="Look again and again, until all is done.")
@click.option("--every", type=Duration(positive=True), default="10s", show_default=True, help="How often.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a look.")
def status(out: Path, watch: bool, every: float, as_json: bool) -> int:
    """Show what runs where, since when, and how long it goes on; what failed, and what waits.

    All is read from the results folder: its plan, records, claims and the handles of jobs. No server is asked, and
    nothing is changed. Exit code 1: something failed.
    """
    folder = Watched(out)
    try:
        while True:
            found = folder.look()
            click.echo(json.dumps(_facts(found)) if as_json else _text(found, folder.now()))
            if not watch or found.done + len(found.failed) == found.total:
                return 1 if found.failed else 0
            time.sleep(every)
            if not as_json:
                click.echo("")
    except KeyboardInterrupt:
        click.echo("ddbench: no longer watched; what runs goes on", err=True)
        return 130


def _facts(found: Standing) -> dict[str, Any]:
    return {
        **{name: getattr(found, name) for name in ("total", "done", "running", "waiting", "left_s", "unknown")},
        "failed": [{"node": line.title, "key": line.key, "reason": reason} for line, reason in found.failed],
        "working": [
            {"node": one.line.title, "key": one.line.key, "left_s": one.left_s, **dataclasses.asdict(one.holder)}
            for one in found.working
        ],
        "handed": [{**one.model_dump(mode="json"), "waiting": n} for one, n in found.handed],
    }


def _text(found: Standing, now: float) -> str:
    from tabulate import tabulate

    queued = sum(n for _, n in found.handed)
    parts = [
        f"{found.done} of {found.total} nodes done",
        *([f"{len(found.failed)} failed"] if found.failed else []),
        *([f"{found.running} running"] if found.running else []),
        *([f"{queued} in jobs that wait or run"] if queued else []),
        *([f"{found.waiting} waiting"] if found.waiting else []),
        *([f"about {duration(found.left_s)} left"] if found.left_s else []),
        *([f"of {found.unknown} nodes nothing is known"] if found.unknown else []),
    ]
    text = " · ".join(parts)
    if found.working:
        text += "\n\n" + tabulate([_row(one, now) for one in found.working[:MOST]], headers="keys", tablefmt="simple")
        text += _more(len(found.working))
    if found.handed:
        rows = [_job(one, n, now) for one, n in found.handed[:MOST]]
        text += "\n\n" + tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True)
        text += _more(len(found.handed))
    failed = [(line, reason) for line, reason in found.failed if reason != SET_FAILED]
    for line, reason in failed[:MOST]:
        text += f"\nfailed: {line.title}: {reason}"
    return text + _more(len(failed))


def _more(n: int) -> str:
    return f"\n… and {n - MOST} more" if n > MOST else ""


def _row(one: Working, now: float) -> dict[str, str]:
    since, at = one.holder.since, one.holder.at
    where = one.holder.where
    if one.holder.gone:
        where += " (has ended: another process takes the node over, or the same `ddbench run`)"
    elif one.hangs:
        where += f" (silent for {duration(one.holder.silent_s)})"
    return {
        "running": one.line.title,
        "where": where,
        "since": "?" if since is None else duration(max(0.0, now - since)),
        "steps": "" if at is None else f"{at[0]} of {at[1]} {at[2]}",
        "left": "" if one.holder.gone else "?" if one.left_s is None else duration(one.left_s),
    }


def _job(one: jobs.Handle, n: int, now: float) -> dict[str, str]:
    known = [seconds for seconds in one.nodes.values() if seconds is not None]
    return {
        "job": f"{one.executor} {one.engine_id}",
        "nodes left": f"{n} of {len(one.nodes)}",
        "worth": duration(sum(known)) if known else "?",
        "submitted": f"{duration(max(0.0, now - one.submitted))} ago by process {one.pid} on {one.host}",
        "asked for": one.asked,
        **({"state": one.state} if one.state else {}),
    }


@click.command()
@OUT
def cancel(out: Path) -> int:
    """End the jobs of a results folder: each leaves a checkpoint, and the same `ddbench run` continues.

    Jobs of Slurm are cancelled there. Tasks of Ray end with the run that submitted them, which is asked to stop.
    """
    found = jobs.handles(out)
    if not found:
        raise UsageError(lacks(out, f"known jobs (see `ddbench status --out {out}`)"))
    for name in dict.fromkeys(one.executor for one in found):
        mine = [one for one in found if one.executor == name]
        for line in end_jobs(name, mine):
            click.echo(line)
        for one in mine:  # not before: the run that waits for it takes the mark for its end
            jobs.cancel(out, one.name)
            if not jobs.is_known(out, one.name):  # that run has heard of the end already
                jobs.remove(out, one.name)
    for one in found:
        if jobs.submitter_ended(one):  # no run waits for it
            jobs.remove(out, one.name)
    return 0
