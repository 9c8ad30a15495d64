"""`ddbench results cost`: what a study took, in hours, for the methods section of a paper."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from ddbench.cli.options import PLUGIN, Place
from ddbench.cli.records import gathered, none_in
from ddbench.core.records import Record
from ddbench.core.words import plural
from ddbench.library.folders import each_once, opened

ALIGNED = ("left", *["right"] * 5)


def _hours(seconds: float) -> str:
    """``0``, ``<0.001``, ``0.0123``, ``12.3``, ``1,234``."""
    hours = seconds / 3600
    if 0 < hours < 0.001:
        return "<0.001"
    return f"{hours:,.0f}" if hours >= 100 else f"{float(f'{hours:.3g}'):g}"


def _all(out: Path | None, files: tuple[Path, ...]) -> list[Record]:
    """What a folder holds, sets that choose a learning rate included, with the references of its tables; and files."""
    found = gathered(out, files)
    if out is not None or not files:
        folder = out or Path("runs")
        found += [record for path, record in opened(folder).records() if path.is_relative_to(folder)]
    return each_once(found)


@click.command()
@click.option("--out", type=Place(path_type=Path), help="Results folder. [runs, where no --records are named]")
@click.option("--records", "files", type=Place(path_type=Path), multiple=True, help="Files of records (.jsonl).")
@click.option("--json", "as_json", is_flag=True, help="Seconds, as JSON.")
@PLUGIN
def cost(out: Path | None, files: tuple[Path, ...], as_json: bool) -> None:
    """What all results took: core hours and GPU hours by method, with students, inputs and failures.

    Hours are those of the nodes' own records, whichever machine they ran on, over all attempts; an input that several
    rows share counts once. Core hours are CPU time that was used, whatever a cluster reserved. What has no result yet,
    and what was thrown away with a killed process since its last checkpoint, is in no record.
    """
    from tabulate import tabulate

    from ddbench.core.store.artifacts import manifest
    from ddbench.results.audit.spent import spent, total

    records = _all(out, files)
    if not records:
        raise none_in(out or Path("runs"), "records")
    groups, lost = spent(records, manifest)
    whole = total(groups.values())
    if as_json:
        click.echo(json.dumps({name: dataclasses.asdict(one) for name, one in (groups | {"all": whole}).items()}))
        return
    rows = [
        {
            "what": name, "nodes": one.nodes, "failed": one.failed or "", "wall h": _hours(one.wall_s),
            "core h": _hours(one.cpu_s), "GPU h": _hours(one.gpu_s),
        }
        for name, one in [*sorted(groups.items(), key=lambda item: -item[1].wall_s), ("all", whole)]
    ]  # fmt: skip
    click.echo(tabulate(rows, headers="keys", tablefmt="simple", colalign=ALIGNED, disable_numparse=True))
    click.echo(
        f"\n{plural(whole.nodes, 'result')} in all: {_hours(whole.cpu_s)} core hours and {_hours(whole.gpu_s)} GPU"
        f" hours ({_hours(whole.wall_s)} hours one after the other), failures and shared inputs included: CPU time that"
        " was used, and time on GPUs, not what a cluster reserved for it."
    )
    if whole.unmeasured:
        click.echo(f"in wall hours alone: {plural(whole.unmeasured, 'result')}, of which no CPU time was measured")
    if lost:
        click.echo(f"not counted: {plural(lost, 'input')} of these rows, not on this machine")
