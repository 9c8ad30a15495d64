"""`ddbench results show | page | export | verify | rm` and `ddbench show KEY`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click

from ddbench.cli.run import HOW, WHAT, options, planned_from, settle_references
from ddbench.errors import CorruptFileError, UsageError
from ddbench.keys import condense_key, eval_key, short
from ddbench.plugins import installed
from ddbench.records import Record
from ddbench.results import collect
from ddbench.specs import CellSpec, EvalSpec
from ddbench.store import CONDENSE, SET, Store

OUT = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Results folder."
)


@click.group()
def results() -> None:
    """Show, export, verify and remove results."""


@results.command("show")
@OUT
@click.option("--format", "style", type=click.Choice(["table", "json", "csv", "markdown"]), default="table")
@click.option("--details", is_flag=True, help="Show what methods say about their runs, too (not in csv).")
def show_results(out: Path, style: str, details: bool) -> None:
    """Tables of everything in a results folder, whatever run it came from."""
    from ddbench.report.render import render
    from ddbench.report.tables import tables_of

    records = [record for _, record in Store(out).records()]
    if not any(record.kind == "evaluation" for record in records):
        raise UsageError(f"{out} holds no evaluations: run `ddbench run` first, or give another --out")
    click.echo(render(tables_of(records), style, details=details), nl=False)


@results.command()
@OUT
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    default=Path("page.html"),
    show_default=True,
    help="The .html file to write.",
)
@click.option("--title", help="Heading of the page. [the folder's name]")
@click.option("--pictures/--no-pictures", default=True, help="Show the sets of repetition 0.  [default: pictures]")
def page(out: Path, target: Path, title: str | None, pictures: bool) -> None:
    """Write one HTML file with everything in a results folder: tables, curves, pictures; it needs no network."""
    from ddbench.files import atomic_write
    from ddbench.report.leaderboard import ordered
    from ddbench.report.page import page as made
    from ddbench.report.page.document import Source
    from ddbench.report.page.tiles import pictures_of

    if target.suffix != ".html":
        raise UsageError(f"--to {target}: a page's name ends in .html")
    store = Store(out)
    records = [record for _, record in store.records()]
    if not any(record.kind == "evaluation" for record in records):
        raise UsageError(f"{out} holds no evaluations: run `ddbench run` first, or give another --out")
    shown = list(pictures_of(store, records)) if pictures else []
    sources = [Source(f"{out}/", len(records))]
    text = made(ordered(records), title=title or f"ddbench: {out.resolve().name}", sources=sources, pictures=shown)
    atomic_write(target, text.encode())
    click.echo(f"{target}: {len(records)} records, {len(shown)} pictures, {len(text.encode()) / 1000:.0f} kB")


@results.command()
@options(WHAT, HOW)
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="The .jsonl file to write.")
@click.option("--pictures", is_flag=True, help="Write pictures of the sets of repetition 0 beside it, for pages.")
def export(target: Path, pictures: bool, **given: Any) -> None:
    """Write the records behind one run's table as compact JSON lines, for `leaderboards/records/`."""
    from ddbench.report.leaderboard import write_records

    store, planned = planned_from(given)
    settle_references(planned, store, given)
    missing = planned.pending()
    if missing:
        raise UsageError(f"{len(missing)} nodes have not run yet: run the same options with `ddbench run` first")
    records = collect(planned)
    write_records(target, records)
    click.echo(f"{target}: {len(records)} records")
    if pictures:
        from ddbench.report.page.tiles import beside, pictures_of, write_pictures

        shown = list(pictures_of(store, records))
        write_pictures(beside(target), shown)
        click.echo(f"{beside(target)}: {len(shown)} pictures")


@results.command()
@click.argument("key")
@OUT
def verify(key: str, out: Path) -> None:
    """Check that a result's files are those its records name, and that its keys are those of its documents."""
    store = Store(out)
    folder, record = _find(store, key)
    condensed, _ = store.load_set(folder)
    problems = [] if _key_of_cell(record) == record.key else [f"{CONDENSE}: its document has another key"]
    evaluations = sorted((folder / "eval").glob("*.json"))
    for path in evaluations:
        found = Record.from_json(path.read_bytes(), str(path))
        if found.set_sha256 != record.set_sha256 or found.spec["eval"]["set"] != record.key:
            problems.append(f"{path.name}: evaluates another set")
        elif eval_key(EvalSpec.model_validate(found.spec["eval"])) != found.key:
            problems.append(f"{path.name}: its document has another key")
    if problems:
        raise CorruptFileError(f"{folder}: {'; '.join(problems)}")
    digest = f"sha256 {record.set_sha256}"
    click.echo(f"{short(record.key)}: {len(condensed)} images, {digest}; {len(evaluations)} evaluations belong to it")


def _key_of_cell(record: Record) -> str:
    """The key that a condensation's document has, computed anew."""
    cell = CellSpec.model_validate(record.spec["cell"])
    axes = installed().methods.get(cell.method).axes
    return condense_key(cell, axes, [key for _, key in record.spec["artifacts"].values()])


@results.command()
@click.argument("key")
@OUT
def rm(key: str, out: Path) -> None:
    """Remove a cell with its evaluations; the next run makes it again."""
    folder, record = _find(Store(out), key)
    shutil.rmtree(folder)
    click.echo(f"removed {record.spec['label']} {short(record.key)}")


@click.command()
@click.argument("key")
@OUT
@click.option("--to", "target", type=click.Path(path_type=Path), help="Picture to write. [KEY.png]")
def show(key: str, out: Path, target: Path | None) -> None:
    """Show a condensed set: a picture with one row per class, and its record."""
    from ddbench.report.pictures import picture

    store = Store(out)
    folder, record = _find(store, key)
    condensed, _ = store.load_set(folder)
    target = target or Path(f"{short(record.key)}.png")
    picture(condensed, record, target)
    click.echo(f"{record.spec['label']}: {len(condensed)} images; picture in {target}")


def _find(store: Store, key: str) -> tuple[Path, Record]:
    """The one finished cell whose key begins with ``key``.

    Raises:
        UsageError: If there is none, or several.
    """
    found = [
        (path.parent, record)
        for path, record in store.records()
        if path.name == CONDENSE and record.key.startswith(key) and (path.parent / SET).is_file()
    ]
    if len(found) != 1:
        what = "no condensed set" if not found else f"{len(found)} condensed sets"
        raise UsageError(
            f"{what} in {store.out} whose key begins with {key!r} (see `ddbench plan` with the run's options)"
        )
    return found[0]
