"""`ddbench evaluate | import | export`: sets that come from elsewhere, and sets that leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ddbench.cli.folders import opened
from ddbench.cli.options import PLUGIN, CommaList, join
from ddbench.cli.results.verify_rm import find_record, set_of
from ddbench.cli.run import HOW, WHERE, carry_out, checked_views, options
from ddbench.core.errors import UsageError
from ddbench.core.infos import IMPORTED
from ddbench.core.plugin.loader import active
from ddbench.core.profiles import DEFAULT, profile
from ddbench.core.specs import DatasetInfo
from ddbench.data.exchange.files import Flags, Source, sources_of
from ddbench.data.exchange.importer import Importer, Understood, column_of
from ddbench.data.space.ids import named as preprocessing
from ddbench.plan import grid, planner, suite
from ddbench.plan.status import assess

Command = Callable[..., Any]
NAMES = CommaList(str)

FILES = [
    click.argument("files", metavar="FILE…", type=click.Path(path_type=Path), nargs=-1, required=True),
    click.option("--dataset", required=True, help="What the sets were condensed from; a prepared data set."),
    click.option("--preprocess", metavar="ID",
                 help="The space that float images are stored in, and that sets are evaluated in: meanstd, "
                 "meanstd-mtt, zca-kornia, zca-frepo, zca-kip. [as the layout says, else meanstd for pixels]"),
    click.option("--range", "range_", type=click.Choice(["01", "255", "normalised"]),
                 help="What float images are: pixels in [0, 1] or [0, 255], or already in the space of --preprocess."),
    click.option("--labels", type=click.Choice(["hard", "probs", "logits", "centred"]),
                 help="What labels of shape [n, K] are. [as the layout says]"),
    click.option("--experiment", type=click.IntRange(0), metavar="I",
                 help="Which of several sets in one file, from 0. [all, as repetitions]"),
    click.option("--split", type=click.Choice(["default", "paper"]), default="default", show_default=True,
                 help="paper: train ∪ val is train, as the papers have it (no choice on val)."),
]  # fmt: skip
STUDENTS = [
    click.option("--label", "labels_of_rows", multiple=True, help="Name of a row, in the order of the files."),
    click.option("--archs", type=NAMES, multiple=True, help="Students. [the data set's default]"),
    click.option(
        "--eval-archs", type=NAMES, multiple=True, help="Students, where --archs names what the sets are for."
    ),
    click.option("--protocols", type=NAMES, multiple=True, help="Evaluation protocols. [hard]"),
    click.option("--seeds", type=click.IntRange(1), help="Repetitions: of random, and of a file with several sets."),
    click.option("--eval-seeds", type=click.IntRange(1), help="Students per repetition."),
    click.option("--profile", help="smoke (seconds, for tests), short (minutes) or paper. [short]"),
    PLUGIN,
]


@click.command()
@options(FILES, STUDENTS, HOW, WHERE)
def evaluate(**given: Any) -> int:
    """Score sets made elsewhere, beside random and full.

    \b
    FILE is one of
      res_*.pt           of DC, DSA, DM; every experiment in it is a repetition
      images_best.pt     of MTT, DATM, or its folder; labels_best.pt and, where
                         there is one, lr_best.pt are read too; needs --preprocess;
                         images_best_0.pt … are joined by their numbers
      images.pt          with labels.pt and lr.pt: a submission to DD-Ranking
      data.pt            [images, labels] of IDC, DREAM, DANCE, NCFM: --range 01
      *.npz, *.pt        images and labels (KIP, RFAD, FRePo); floats need --range
      a folder           one folder of images for each class, by name or number
                         (RDED's 00000, SRe2L's new000), or with one such file
      an export          of ddbench: pt, npz, folder, hf, condensed.safetensors

    Such rows are shown, marked "imported, selection unknown", and never ranked. The same command continues after a
    kill, and prints the same tables from the records.
    """  # noqa: D301 - click reads the control character
    views = checked_views(given["views"], given["style"])  # before anything is stored or computed
    registries = active()
    importer = Importer(registries, given["dataset"], given["split"])
    rows = importer.take_all(_sources(given), _flags(given))
    content = _suite(rows, importer, given)
    parsed = suite.parse(content, "command line")
    planned = planner.make(grid.build(parsed, registries, profile(parsed.profile)))
    store = opened(given["out"], aside=not given["dry_run"])
    assess(planned, store, retry_failed=given["retry_failed"])
    _tell(rows, err=True)
    return carry_out(planned, store, given, views)


@click.command("import")
@options(FILES, [PLUGIN])
def import_(**given: Any) -> None:
    """Import sets made elsewhere, and report how each file was interpreted.

    See `ddbench evaluate --help` for what FILE may be.
    """
    importer = Importer(active(), given["dataset"], given["split"])
    _tell(importer.take_all(_sources(given), _flags(given)), err=False)


def _flags(given: dict[str, Any]) -> Flags:
    space = None if given["preprocess"] is None else preprocessing(given["preprocess"])
    return Flags(space, given["range_"], given["labels"], given["experiment"])


def _sources(given: dict[str, Any]) -> list[Source]:
    """The rows that the files stand for, each under a name of its own.

    Raises:
        UsageError: If names are missing or clash.
    """
    found = sources_of(given["files"])
    wanted = given.get("labels_of_rows") or [source.label for source in found]
    if len(wanted) != len(found):
        raise UsageError(f"{len(wanted)} --label for {len(found)} rows ({', '.join(source.label for source in found)})")
    twice = next((label for i, label in enumerate(wanted) if label in wanted[:i]), None)
    if twice is not None:
        raise UsageError(f"two rows would be called {twice!r}: name each with --label, in the order of the files")
    return [Source(label, each.form, each.place, each.files) for label, each in zip(wanted, found, strict=True)]


def _suite(rows: Sequence[tuple[Source, Understood]], importer: Importer, given: dict[str, Any]) -> dict[str, Any]:
    """The suite that evaluates the rows, each at its own size.

    Raises:
        UsageError: If they cannot stand in one run.
    """
    spaces = dict.fromkeys(understood.preprocess for _, understood in rows)
    if len(spaces) > 1:
        raise UsageError(f"the sets live in different spaces ({', '.join(spaces)}): evaluate them in separate calls")
    (space,) = spaces
    axis, size_of = _sizes(rows, importer.data(space).info)
    sizes = sorted(set(size_of.values()))
    several = max(len(understood.sources) for _, understood in rows)
    seeds = {"condense": given["seeds"] or (several if several > 1 else None), "evaluate": given["eval_seeds"]}
    return {
        "methods": [
            {"name": IMPORTED, "label": source.label, "params": _params(understood)} for source, understood in rows
        ],
        "datasets": [given["dataset"]],
        "budget": {axis: sizes},
        "preprocess": [space],
        "split": given["split"],
        "profile": given["profile"] or DEFAULT,
        "exclude": [
            {"method": label, axis: other} for label, own in size_of.items() for other in sizes if other != own
        ],
        **{name: join(given[name]) for name in ("archs", "eval_archs", "protocols") if given[name]},
        "seeds": {name: n for name, n in seeds.items() if n},
    }


def _params(understood: Understood) -> dict[str, Any]:
    """Those of the row of a source."""
    initial = {"initial": True} if understood.initial else {}
    return {"sources": understood.sources, "n": understood.n, "centred": understood.centred, **initial}


def _sizes(rows: Sequence[tuple[Source, Understood]], info: DatasetInfo) -> tuple[str, dict[str, float]]:
    """The axis of all rows, ``ipc`` or ``fraction``, and each row's size on it by the row's label.

    Raises:
        UsageError: If some rows have an ipc and others have none.
    """
    columns = {source.label: column_of(understood, info) for source, understood in rows}
    odd = [label for label, budget in columns.items() if budget.ipc is None]
    if odd and len(odd) < len(columns):
        raise UsageError(
            f"{odd[0]!r} has no single number of images per class, others have: evaluate it in another call"
        )
    axis = "fraction" if odd else "ipc"
    return axis, {label: getattr(budget, axis) for label, budget in columns.items()}


def _tell(rows: Sequence[tuple[Source, Understood]], *, err: bool) -> None:
    """What was understood, row by row."""
    for source, understood in rows:
        hashes = ", ".join(understood.sources)
        click.echo(f"{source.label}: layout {understood.layout}, set {hashes}, for {understood.preprocess}", err=err)
        size = f"{understood.n} images" + (f", ipc {understood.ipc}" if understood.ipc is not None else "")
        for line in (size, *understood.found):
            click.echo(f"  {line}", err=err)
        for line in understood.warnings:
            click.echo(f"ddbench: {source.label}: {line}", err=True)


@click.command()
@click.argument("key")
@click.option(
    "--to",
    "target",
    type=click.Choice(["pt", "npz", "folder", "hf"]),
    required=True,
    help="pt, npz: as stored, with pixels; folder: a PNG for each image; hf: parquet, as Hugging Face has it.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="File or folder to write; .pt or .npz is added where it is missing. [KEY.pt, KEY.npz, KEY, KEY-hf]",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Results folder.")
@PLUGIN
def export(key: str, target: str, into: Path | None, out: Path) -> None:
    """Write a condensed set in a format that needs no ddbench, with a manifest that says what it is."""
    from ddbench.data.exchange.writers import file_for, write

    store = opened(out)
    found = find_record(store, key)
    record = set_of(store, found)
    condensed, _ = store.load_set(found.folder, keep=True)
    place = file_for(into, record.key, target)
    for line in write(condensed, record, target, place):
        click.echo(f"ddbench: {line}", err=True)
    click.echo(f"{record.document.label}: {len(condensed)} images in {place}")
