"""`ddbench results show | page | export` and `ddbench show KEY`; the other commands of the group are joined here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddbench.cli.console import tables
from ddbench.cli.options import PLUGIN, Place, join
from ddbench.cli.records import none_in
from ddbench.cli.results.claims import claims
from ddbench.cli.results.compare import compare
from ddbench.cli.results.cost import cost
from ddbench.cli.results.full_stopped import full_stopped
from ddbench.cli.results.quantise import quantise
from ddbench.cli.results.quartiles import quartiles
from ddbench.cli.results.verify_rm import OUT, rm, verify
from ddbench.cli.run import HOW, NAMES, STYLES, WHAT, WIDE, options, planned_from
from ddbench.cli.screen import screen
from ddbench.core.bibtex import bibliography
from ddbench.core.errors import UsageError
from ddbench.core.infos import IMPORTED
from ddbench.core.keys import short
from ddbench.core.plugin.loader import active
from ddbench.core.records import Record
from ddbench.core.store.files import atomic_write
from ddbench.core.store.folder import Store
from ddbench.core.words import plural
from ddbench.library.folders import opened
from ddbench.library.found import find_record, set_of
from ddbench.library.runs import settle_references
from ddbench.plan.collect import collect, stored

if TYPE_CHECKING:
    from ddbench.core.api import CondensedSet


@click.group()
def results() -> None:
    """Show, export, compare, verify and remove results, and judge claims by them."""


@results.command("show")
@OUT
@click.option("--format", "style", type=click.Choice(STYLES), default="table")
@click.option("--details", is_flag=True, help="Show what methods say about their runs, too (not in csv).")
@click.option(
    "--views",
    type=NAMES,
    multiple=True,
    help="Tables to show: main, scores, cost, regime, ranks, stability, failures, lossless, verdicts, crossing. [main]",
)
@click.option("--bibtex", is_flag=True, help="Only what to cite: BibTeX of the rows' papers, and of ddbench.")
@WIDE
@PLUGIN
def show_results(
    out: Path, style: str, details: bool, views: tuple[list[str], ...], *, bibtex: bool, wide: bool
) -> None:
    """Tables of everything in a results folder, whatever run it came from."""
    from ddbench.publish.text.render import render
    from ddbench.results.tables.tables import tables_of

    records = stored(opened(out))
    if not any(record.kind == "evaluation" for record in records):
        raise none_in(out)
    if bibtex:
        made = [one for record in records if (one := record.document.set).cell.method != IMPORTED]
        starts = [start.cell.method for one in made if (start := one.initial) is not None]
        click.echo(bibliography(sorted({one.cell.method for one in made} | {*starts}), active().methods), nl=False)
        return
    text = render(tables_of(records), style, details=details, views=join(views), screen=screen(wide=wide))
    click.echo(tables(text, style), nl=False)


@results.command()
@OUT
@click.option(
    "--to",
    "target",
    type=Place(path_type=Path),
    default=Path("page.html"),
    show_default=True,
    help="The .html file to write.",
)
@click.option("--title", help="Heading of the page. [the folder's name]")
@click.option("--pictures/--no-pictures", default=True, help="Show the sets of repetition 0.  [default: pictures]")
@click.option("--views", type=NAMES, multiple=True, help="What to show besides, below each table: crossing.")
@PLUGIN
def page(out: Path, target: Path, title: str | None, pictures: bool, views: tuple[list[str], ...]) -> None:
    """Write one HTML file with everything in a results folder: tables, curves, pictures; it needs no network."""
    from ddbench.core.store.files import atomic_write
    from ddbench.publish.leaderboard import ordered
    from ddbench.publish.page import check_asked
    from ddbench.publish.page import page as made
    from ddbench.publish.page.tiles import pictures_of

    if target.suffix != ".html":
        raise UsageError(f"--to {target}: a page's name ends in .html")
    check_asked(join(views))
    store = opened(out)
    records = stored(store)
    if not any(record.kind == "evaluation" for record in records):
        raise none_in(out)
    shown = list(pictures_of(store, records)) if pictures else []
    title = title or f"ddbench: {out.resolve().name}"
    text = made(ordered(records), title=title, sources=[f"{out}/"], pictures=shown, views=join(views))
    atomic_write(target, text.encode())
    size = f"{len(text.encode()) / 1000:.0f} kB"
    click.echo(f"{target}: {plural(len(records), 'record')}, {plural(len(shown), 'picture')}, {size}")


@results.command()
@options(WHAT, HOW)
@click.option("--to", "target", type=Place(path_type=Path), required=True, help="The .jsonl file to write.")
@click.option("--all", "whole", is_flag=True, help="Everything in --out, instead of the table of one run.")
@click.option("--pictures", is_flag=True, help="Write pictures of the sets of repetition 0 beside it, for pages.")
@click.option("--mixed-threads", is_flag=True, help="Also where rows of one table had other numbers of CPU threads.")
def export(target: Path, whole: bool, pictures: bool, mixed_threads: bool, **given: Any) -> None:
    """Write the records behind one run's table as compact JSON lines, for `leaderboards/records/`.

    The options of the run say which table it is: rows that were skipped are in it, too. With --all no run is named, and
    all records of the folder are written, with the references that belong to them.
    """
    from ddbench.core.store.jsonl import write_records

    store, records = _read_all(given) if whole else _of_run(given)
    _check_threads(records, allowed=mixed_threads)
    write_records(target, records)
    click.echo(f"{target}: {plural(len(records), 'record')}")
    if pictures:
        from ddbench.publish.page.tiles import beside, pictures_of, write_pictures

        shown = list(pictures_of(store, records))
        write_pictures(beside(target), shown)
        click.echo(f"{beside(target)}: {plural(len(shown), 'picture')}")


def _check_threads(records: list[Record], *, allowed: bool) -> None:
    """Say what of a table was computed with other numbers of threads: one command does not make it again.

    Raises:
        UsageError: If there is such, and it is not ``allowed``.
    """
    from ddbench.results.tables.tables import tables_of

    for told in dict.fromkeys(table.threads for table in tables_of(records) if table.threads):
        if not allowed:
            raise UsageError(
                f"{told}: make those of one number anew (`ddbench results rm KEY`, then `ddbench run … --threads N`), "
                "or add --mixed-threads: tables of the file say it, too"
            )
        click.echo(f"ddbench: {told}", err=True)


def _of_run(given: dict[str, Any]) -> tuple[Store, list[Record]]:
    """The records behind the table of the run that options name."""
    store, planned = planned_from(given)
    settle_references(planned, store, given["reference_limit"])
    missing = planned.pending()
    if missing:
        raise UsageError(f"{plural(len(missing), 'node')} not run yet: run the same options with `ddbench run` first")
    return store, collect(planned)


def _read_all(given: dict[str, Any]) -> tuple[Store, list[Record]]:
    """All records of the folder, with their references.

    Raises:
        UsageError: If a run is named besides, or there is nothing.
    """
    context = click.get_current_context()
    used = [name for name in given if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE]
    if named := [name for name in used if name not in ("out", "target", "whole", "pictures", "mixed_threads")]:
        option = next(o.opts[0] for o in context.command.params if o.name == named[0])
        raise UsageError(f"--all writes everything in {given['out']}: use either --all or {option}")
    store = opened(Path(given["out"]))
    records = stored(store)
    if not any(record.kind == "evaluation" for record in records):
        raise none_in(Path(given["out"]))
    return store, records


results.add_command(verify)
results.add_command(rm)
results.add_command(quartiles)
results.add_command(quantise)
results.add_command(full_stopped)
results.add_command(claims)
results.add_command(compare)
results.add_command(cost)


@click.command()
@click.argument("key")
@OUT
@click.option("--to", "target", type=Place(path_type=Path), help="Picture to write. [KEY.png]")
@click.option("--step", metavar="K|all", help="The set after K steps; all: every snapshot, side by side. [the last]")
@click.option("--per-class", type=click.IntRange(min=1), help="Images of each class. [20; 4 with --step all]")
@click.option("--stored", is_flag=True, help="What is stored (canvases, small images), not what networks see.")
@PLUGIN
def show(key: str, out: Path, target: Path | None, step: str | None, per_class: int | None, stored: bool) -> None:
    """Show a condensed set: a picture with one row per class, and its record."""
    from ddbench.publish.pictures import check_png, png, row_names, tiles

    store = opened(out)
    found = find_record(store, key)
    record = set_of(store, found)
    target = target or Path(f"{short(record.key)}.png")
    check_png(target)
    sets = _at(store, found.folder, step)
    each = per_class or (4 if step == "all" else 20)
    grids = [tiles(condensed, record, per_class=each, stored=stored) for condensed in sets.values()]
    last = list(sets.values())[-1]
    names = row_names(last, record)
    atomic_write(target, png(*grids, titles=list(sets) if step is not None else (), names=names))
    what = plural(len(last), "image") + (f" after {', '.join(sets)}" if step is not None else "")
    click.echo(f"{record.document.label}: {what}; picture in {target}")


def _at(store: Store, folder: Path, step: str | None) -> dict[str, CondensedSet]:
    """The sets that ``--step`` asks for by their titles; without it, the one that was evaluated.

    Raises:
        UsageError: If there is no such snapshot.
    """
    from ddbench.core.store.tensors import load_set

    if step is None:
        return {"": store.load_set(folder, keep=True, framework="numpy")[0]}
    found = {int(path.stem): path for path in sorted((folder / "snapshots").glob("*.safetensors"))}
    if not found:
        raise UsageError(f"--step {step}: {folder} holds no snapshots (only methods that optimise leave them)")
    wanted = list(found) if step == "all" else [int(step)] if step.isdecimal() else []
    if not wanted or wanted[0] not in found:
        raise UsageError(f"--step {step}: there are snapshots after {', '.join(map(str, found))} steps, or say all")
    return {f"{k} steps": load_set(found[k], "numpy") for k in wanted}
