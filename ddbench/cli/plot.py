"""`ddbench plot ipc | cost | crossing | window | images`: pictures of results, as PNG, SVG or PDF."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from ddbench.cli.options import PLUGIN, CommaList, Place, join
from ddbench.cli.records import chosen, gathered
from ddbench.core.documents import CellDocument
from ddbench.core.errors import UsageError
from ddbench.core.records import Record
from ddbench.core.roles import RANDOM
from ddbench.core.store.files import atomic_write
from ddbench.core.store.folder import CONDENSE
from ddbench.core.words import plural
from ddbench.library.folders import opened
from ddbench.plan.collect import stored
from ddbench.publish.plots import check_ending, drawing

if TYPE_CHECKING:
    from ddbench.publish.looks import Drawn, Look
    from ddbench.results.tables.tables import Table


_out = click.option("--out", type=Place(path_type=Path), help="Results folder. [runs, without --records]")
_to = click.option(
    "--to", "target", type=Place(path_type=Path), required=True, help="Picture to write, .png, .svg or .pdf."
)
_datasets = click.option("--datasets", type=CommaList(), multiple=True, help="Only these data sets.")
_protocols = click.option("--protocols", type=CommaList(), multiple=True, help="Only these, hard or hard@2.")
_methods = click.option(
    "--methods", type=CommaList(), multiple=True, help="Only these methods or rows; references always."
)
_records = click.option(
    "--records", "files", type=Place(path_type=Path), multiple=True, help="Records file (.jsonl), repeatable."
)

_controls = click.option(
    "--controls",
    is_flag=True,
    help="Controls, too: starts (0 steps), random@bytes, random_soft, …; without it those that --methods names.",
)


def _inputs(command: Callable[..., None]) -> Callable[..., None]:
    for option in (PLUGIN, _methods, _protocols, _datasets, _to, _records, _out):
        command = option(command)
    return command


@click.group()
def plot() -> None:
    """Draw results: accuracy by images per class or cost, minus random, windows, images (needs matplotlib)."""


@plot.command()
@_inputs
@_controls
def ipc(target: Path, controls: bool, **given: Any) -> None:
    """Accuracy against images per class, a panel per data set, protocol and student."""
    from ddbench.publish.plots.series import ipc_series

    plots = _plots(target)
    panels = ipc_series(*_tables(controls, **given))
    if not panels:
        raise UsageError("nothing to plot: no results at a number of images per class")
    _write(plots, target, plots.ipc_plot(panels), plural(len(panels), "panel"))


@plot.command()
@_inputs
@_controls
def cost(target: Path, controls: bool, **given: Any) -> None:
    """Accuracy against the seconds and the bytes of a set, with the Pareto front."""
    from ddbench.publish.plots.series import cost_points

    plots = _plots(target)
    panels = cost_points(*_tables(controls, **given))
    if not panels:
        raise UsageError("nothing to plot: no records of condensations with their cost")
    _write(plots, target, plots.cost_plot(panels), plural(len(panels), "panel"))


@plot.command()
@_inputs
def crossing(target: Path, **given: Any) -> None:
    """Accuracy minus random by the share of the training images, and where random is no worse."""
    from ddbench.publish.plots.series import crossing_series
    from ddbench.publish.views.crossing import crossing_text, interval_text
    from ddbench.results.tables.tables import tables_of

    plots = _plots(target)
    if given["methods"]:
        given["methods"] += ([RANDOM],)
    records, seen = _chosen(**given)
    panels = crossing_series(tables_of(records), seen)
    if not panels:
        raise UsageError("nothing to plot: no table has a method and random at two budgets")
    _write(plots, target, plots.crossing_plot(panels), plural(len(panels), "panel"))
    for panel in panels:
        for found in panel.crossings:
            known = [crossing_text(found), *([interval_text(found)] if found.low is not None else [])]
            said = found.why if found.at is None else f"{' '.join(known)}, n = {found.n}"
            click.echo(f"{panel.title}: {found.row}: {said}")


@plot.command()
@_inputs
def window(target: Path, **given: Any) -> None:
    """Accuracy and movement of images by the window of the experts' training that was matched."""
    from ddbench.publish.plots.series import window_series
    from ddbench.results.tables.figures import fixed

    plots = _plots(target)
    panels = window_series(*_chosen(**given))
    if not panels:
        raise UsageError("nothing to plot: no table has two rows with different windows (min_start, max_start)")
    _write(plots, target, plots.window_plot(panels), plural(len(panels), "table"))
    for panel in panels:
        for images, found in panel.differences.items():
            if found is not None:
                points = [fixed(x, 2, sign=True) for x in (found.difference, found.low, found.high)]
                numbers = f"{points[0]} [{points[1]}, {points[2]}] points, n = {found.n}"
                click.echo(f"ipc {images}: {' − '.join(panel.between)}: {numbers}")


@plot.command()
@click.option("--out", type=Place(path_type=Path), default=Path("runs"), show_default=True, help="Results folder.")
@_to
@_datasets
@_methods
@click.option("--ipc", "images_per_class", type=click.IntRange(min=1), help="Budget to show. [the smallest]")
@click.option("--repetition", type=click.IntRange(min=0), default=0, show_default=True, help="Whose images to show.")
@click.option("--classes", type=CommaList(int), multiple=True, help="One image of each. [three, spread over all]")
@PLUGIN
def images(
    out: Path,
    target: Path,
    datasets: tuple[list[str], ...],
    methods: tuple[list[str], ...],
    images_per_class: int | None,
    repetition: int,
    classes: tuple[list[int], ...],
) -> None:
    """Images by row and by iteration, how far they moved from their start, and at which frequencies."""
    plots = _plots(target)
    from ddbench.publish.plots.evolution import tracks_of
    from ddbench.publish.plots.images import images_plot, numbers

    store = opened(out)
    records = [record for _, record in store.records(CONDENSE)]
    tracks = tracks_of(
        store,
        ipc=images_per_class,
        datasets=chosen("data set", join(datasets), (name for r in records for name in _data_of(r))),
        methods=chosen("method", join(methods), (name for r in records for name in _methods_of(r))),
    )
    beside = _rows(stored(store))
    figure = images_plot(tracks, repetition=repetition, classes=join(classes), beside=beside)
    _write(plots, target, figure, plural(len(tracks), "set"))
    for line in numbers(tracks):
        click.echo(line)


def _plots(target: Path) -> ModuleType:
    """The module that draws, once the file's ending is one that it can write.

    Raises:
        UsageError: If it is not, or matplotlib is not installed.
    """
    check_ending(target, f"--to {target}")
    return drawing()


def _chosen(
    out: Path | None,
    files: tuple[Path, ...],
    datasets: tuple[list[str], ...],
    protocols: tuple[list[str], ...],
    methods: tuple[list[str], ...],
) -> tuple[list[Record], dict[str, Look]]:
    """The records of a folder, with the references of its tables, of files, or both, as far as filters let them pass.

    In the order of a page; beside them how their rows look, whatever the filters: as on a page of all these records.

    Raises:
        UsageError: If nothing is left.
    """
    from ddbench.publish.leaderboard import ordered

    records = gathered(out, files)
    wanted = [
        chosen("data set", join(datasets), (name for r in records for name in _data_of(r))),
        chosen("protocol", join(protocols), (name for r in records for name in _protocols_of(r))),
        chosen("method", join(methods), (name for r in records for name in _methods_of(r))),
    ]
    found = [record for record in records if _passes(record, *wanted)]
    if not any(record.kind == "evaluation" for record in found):
        where = ", ".join(map(str, [*files, *([] if out is None and files else [out or "runs"])]))
        known = sorted({record.document.cell.data.name for record in records})
        what = f"; it has data sets {', '.join(known)}: look at the filters" if known else ""
        raise UsageError(f"nothing to plot: {where} holds no evaluations of that kind{what}")
    return ordered(found), _looks(records, found)


def _tables(controls: bool, **given: Any) -> tuple[list[Table], dict[str, Look]]:
    """The tables of the records that :func:`_chosen` leaves, without controls that nobody asked for."""
    from ddbench.publish.plots.series import without_controls
    from ddbench.results.tables.tables import tables_of

    records, seen = _chosen(**given)
    tables = tables_of(records)
    if not controls:
        names = (name for record in records for name in _methods_of(record))
        tables, left_out = without_controls(tables, chosen("method", join(given["methods"]), names))
        if left_out:
            click.echo(f"{plural(len(left_out), 'row')} of controls left out: --controls draws them", err=True)
    return tables, seen


def _looks(everything: list[Record], shown: list[Record]) -> dict[str, Look]:
    from ddbench.publish.looks import looks

    return looks([*_rows(everything), *_rows(shown)])


def _rows(records: list[Record]) -> list[Drawn]:
    """The rows of records, in the order of the page."""
    from ddbench.publish.leaderboard import ordered
    from ddbench.publish.looks import drawn
    from ddbench.results.tables.tables import tables_of

    return drawn(tables_of(ordered(records)))


def _passes(record: Record, datasets: set[str], protocols: set[str], methods: set[str]) -> bool:
    if datasets and not _data_of(record) & datasets:
        return False
    if methods and not _methods_of(record) & methods and not record.document.set.shared:
        return False
    return not protocols or isinstance(record.document, CellDocument) or bool(protocols & _protocols_of(record))


def _data_of(record: Record) -> set[str]:
    return {record.document.cell.data.name}


def _methods_of(record: Record) -> set[str]:
    return {record.document.cell.method, record.document.label}


def _protocols_of(record: Record) -> set[str]:
    document = record.document
    return set() if isinstance(document, CellDocument) else {document.eval.protocol, document.protocol}


def _write(plots: ModuleType, target: Path, figure: Any, what: str) -> None:
    atomic_write(target, plots.encode(figure, target))
    click.echo(f"{target}: {what}")
