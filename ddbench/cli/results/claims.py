"""`ddbench results claims`: which of the claims that were written down beforehand hold."""

from __future__ import annotations

from pathlib import Path

import click

from ddbench.cli.options import PLUGIN, Place
from ddbench.cli.records import gathered
from ddbench.cli.run import STYLES
from ddbench.cli.screen import screen
from ddbench.core.errors import UsageError


@click.command()
@click.argument("file", type=Place(path_type=Path))
@click.option("--out", type=Place(path_type=Path), help="Results folder. [runs, without --records]")
@click.option(
    "--records", "files", type=Place(path_type=Path), multiple=True, help="Records file (.jsonl), repeatable."
)
@click.option("--format", "style", type=click.Choice(STYLES), default="table")
@PLUGIN
def claims(file: Path, out: Path | None, files: tuple[Path, ...], style: str) -> None:
    """Say which claims of FILE hold, by all results of a folder, of records files, or of both.

    FILE is YAML, written before anything is measured: under `claims` a list, each with a name, `where` for the table
    (dataset, arch, eval_arch, protocol, preprocess, split, profile, as far as needed) and `holds_if`, a list of
    contrasts, each with rows `plus` and `minus` and `budgets`. All claims of FILE are judged together
    (docs/explanation/statistics.md).
    """
    from ddbench.publish.claims import FORMATS, claims_view, read_claims
    from ddbench.publish.leaderboard import ordered
    from ddbench.results.tables.tables import tables_of

    read_claims(file)  # before any records
    records = gathered(out, files)
    if not any(record.kind == "evaluation" for record in records):
        where = ", ".join(map(str, [*files, *([] if out is None and files else [out or "runs"])]))
        raise UsageError(f"{where}: no evaluations: run `ddbench run` first, or name other records")
    click.echo(FORMATS[style](claims_view(file, tables_of(ordered(records))), screen()), nl=False)
