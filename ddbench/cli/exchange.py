"""`ddbench evaluate | import | export`: sets that come from elsewhere, and sets that leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ddbench.cli.options import PLUGIN, CommaList, Place, join
from ddbench.cli.run import HOW, WHERE, carry_out, check_where, checked_views, options
from ddbench.core.plugin.loader import active
from ddbench.core.words import plural
from ddbench.data.exchange.files import Flags, Source
from ddbench.data.exchange.importer import Importer, Understood
from ddbench.data.space.ids import named as preprocessing
from ddbench.library.folders import opened
from ddbench.library.foreign import named_sources, suite_of_sets
from ddbench.library.found import find_record, set_of
from ddbench.library.runs import planned

Command = Callable[..., Any]
NAMES = CommaList(str)

FILES = [
    click.argument("files", metavar="FILE…", type=Place(path_type=Path), nargs=-1, required=True),
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
    check_where(given)
    registries = active()
    importer = Importer(registries, given["dataset"], given["split"])
    sources = named_sources(given["files"], given["labels_of_rows"])
    rows = importer.take_all(sources, _flags(given))
    words = {name: join(given[name]) for name in ("archs", "eval_archs", "protocols")}
    words |= {name: given[name] for name in ("seeds", "eval_seeds", "profile")}
    parsed = suite_of_sets(rows, importer, words)
    store, plan = planned(
        parsed, registries, given["out"], retry_failed=given["retry_failed"], aside=not given["dry_run"]
    )
    _tell(rows, err=True)
    return carry_out(plan, store, given, views)


@click.command("import")
@options(FILES, [PLUGIN])
def import_(**given: Any) -> None:
    """Import sets made elsewhere, and report how each file was interpreted.

    See `ddbench evaluate --help` for what FILE may be.
    """
    importer = Importer(active(), given["dataset"], given["split"])
    _tell(importer.take_all(named_sources(given["files"], ()), _flags(given)), err=False)


def _flags(given: dict[str, Any]) -> Flags:
    space = None if given["preprocess"] is None else preprocessing(given["preprocess"])
    return Flags(space, given["range_"], given["labels"], given["experiment"])


def _tell(rows: Sequence[tuple[Source, Understood]], *, err: bool) -> None:
    """What was understood, row by row."""
    for source, understood in rows:
        hashes = ", ".join(understood.sources)
        click.echo(f"{source.label}: layout {understood.layout}, set {hashes}, for {understood.preprocess}", err=err)
        size = plural(understood.n, "image") + (f", ipc {understood.ipc}" if understood.ipc is not None else "")
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
    help="pt, npz: as stored, with pixels; folder: a PNG for each image; hf: parquet and a dataset card, as Hugging "
    "Face has it.",
)
@click.option(
    "--into",
    type=Place(path_type=Path),
    help="File or folder to write; .pt or .npz is added where it is missing. [KEY.pt, KEY.npz, KEY, KEY-hf]",
)
@click.option("--out", type=Place(path_type=Path), default=Path("runs"), show_default=True, help="Results folder.")
@PLUGIN
def export(key: str, target: str, into: Path | None, out: Path) -> None:
    """Write a condensed set in a format that needs no ddbench, with a manifest that says what it is."""
    from ddbench.data.exchange.writers import file_for, write

    store = opened(out)
    found = find_record(store, key)
    record = set_of(store, found)
    condensed, _ = store.load_set(found.folder, keep=True)
    place = file_for(into, record.key, target)
    evaluations = [one for _, one in store.records() if one.kind == "evaluation" and one.document.set.key == record.key]
    for line in write(condensed, record, target, place, evaluations):
        click.echo(f"ddbench: {line}", err=True)
    click.echo(f"{record.document.label}: {plural(len(condensed), 'image')} in {place}")
