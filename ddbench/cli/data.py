"""``ddbench data``: which data sets there are, and getting one ready."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from ddbench.cli.listing import listing
from ddbench.cli.options import PLUGIN, Place
from ddbench.core.errors import CorruptFileError, DataError, NewerRecordError, UsageError
from ddbench.core.plugin.loader import active
from ddbench.data.prepared.on_disk import Prepared, data_root, open_folder
from ddbench.data.prepared.pointers import again, latest_of, remade
from ddbench.data.prepared.prepare import prepare, prepared_revision
from ddbench.data.prepared.sources import Source, own_names, parse_source
from ddbench.data.prepared.written import AlteredError
from ddbench.data.readers.framing import Framing


@click.group()
def data() -> None:
    """List data sets, and decode or download one."""


@data.command("list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@PLUGIN
def list_(as_json: bool) -> None:
    """List the registered data sets, and your own that were prepared: each can be used by its name."""
    rows = list(_rows())
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = [
        {"name": row["name"], "size": _size(row), "classes": row["classes"] or "–", "prepared": _state(row),
         "summary": row["summary"]}
        for row in rows
    ]  # fmt: skip
    click.echo(listing(table, "plain"))


@data.command("prepare")
@click.argument("name")
@click.option(
    "--from",
    "files",
    type=Place(path_type=Path),
    metavar="DIR",
    help="Read the files of a registered data set from here; without it they are downloaded.",
)
@click.option(
    "--allow-copies", is_flag=True, help="Take data though more than 5 % of the test images are training images."
)
@click.option("--resize", type=int, metavar="N", help="Make all images of your own N×N pixels, N up to 256.")
@click.option(
    "--crop",
    type=click.Choice(["center", "pad"]),
    help="Images that are not square: keep the square in their middle, or add black margins.",
)
@click.option("--gray", is_flag=True, help="Make all images grey.")
@click.option("--rgb", is_flag=True, help="Make all images RGB, also where all are grey.")
@click.option("--label", "column", metavar="COLUMN", help="The column of labels, where parquet files have several.")
@PLUGIN
def prepare_(name: str, files: Path | None, allow_copies: bool, column: str | None, **framing: Any) -> None:
    """Decode data set NAME once, so that runs can open it.

    NAME is a registered name, whose official files are in DIR (or the parquet files that the Hub has of them), or
    NAME=SCHEME:PATH with a name of your own. Later that name
    alone means the copy that was made last, also where the images are gone.

    Images that are not squares of one size need --resize or --crop; in a suite, write
    {name: my, path: "folder:PATH", resize: 64, crop: center}.

    \b
    folder:PATH  a folder of images for each class, perhaps below train/, val/ and test/
    hf:PATH      parquet files of the Hugging Face Hub
    hf:USER/NAME a data set of the Hub itself, which is downloaded
    npz:PATH     arrays x_train, y_train, x_test, y_test
    idx:PATH     four IDX files as MNIST has them
    cifar:PATH   batches as CIFAR-10 or CIFAR-100 has them
    svhn:PATH    train_32x32.mat and test_32x32.mat
    tiny:PATH    the layout of TinyImageNet
    """  # noqa: D301 - click takes a backspace for "as it stands"
    source = parse_source(name, active().datasets, _framing(framing), column)
    if files is not None and (source.record is None or source.record.embedded):
        raise UsageError(f"--from is for registered data sets that have files; {source.name!r} is read from elsewhere")
    prepared = prepare(source, files=files, allow_download=True, allow_copies=allow_copies, tell=_tell)
    for label, value in _facts(prepared, source.record.licence if source.record else None):
        click.echo(f"{label:<9} {value}")


def _framing(given: dict[str, Any]) -> Framing:
    """What the options --resize, --crop, --gray and --rgb ask for.

    Raises:
        UsageError: If that is impossible.
    """
    try:
        return Framing(**given)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"--{first['loc'][0]}" if first["loc"] else "--gray --rgb"
        raise UsageError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def _tell(line: str) -> None:
    click.echo(f"ddbench: {line}", err=True)


def _facts(prepared: Prepared, licence: str | None) -> Iterator[tuple[str, str]]:
    """What a user wants to know of a prepared data set, in lines."""
    meta = prepared.meta
    _, channels, height, width = meta.shape
    yield "data set", meta.name
    yield "revision", meta.revision
    yield "folder", str(prepared.folder)
    yield "images", f"{channels}×{height}×{width}, {meta.classes} classes"
    yield "splits", ", ".join(f"{part} {count}" for part, count in meta.splits.items())
    if licence is not None:
        yield "licence", licence
    for note in meta.notes:
        yield "note", note


def _rows() -> Iterator[dict[str, Any]]:
    """One row a registered data set, then one for each of the user's own that was prepared and is not registered."""
    for record in active().datasets:
        source = Source(record.name, record=record)
        prepared, problem = _opened(source)
        newer = " (a newer ddbench prepared it: update ddbench)"
        advice = "" if problem is None else newer if problem == "newer" else f" (run `{again(source)}`)"
        yield {
            "name": record.name,
            "shape": None if prepared is None else list(prepared.meta.shape[1:]),
            "splits": None if prepared is None else prepared.meta.splits,
            "classes": None if prepared is None else prepared.meta.classes,
            "revision": None if prepared is None else prepared.revision,
            "folder": None if prepared is None else str(prepared.folder),
            "embedded": record.embedded,
            "download_mb": record.download_mb,
            "licence": record.licence,
            "summary": record.summary + advice,
            "source": None,
            "problem": problem,
        }
    for name in own_names():
        if name not in active().datasets:
            yield _own(name)


def _own(name: str) -> dict[str, Any]:
    """The row of a user's own data set: its latest copy, or what is to be done where that is not sound."""
    latest = latest_of(name)
    row: dict[str, Any] = {
        "name": name, "shape": None, "splits": None, "classes": None, "revision": None, "folder": None,
        "embedded": False, "download_mb": 0, "licence": None,
    }  # fmt: skip
    if latest is None:
        return row | {"summary": f"your own: run `{remade(name)}`", "source": None, "problem": "damaged"}
    source, pointer = latest
    row["source"] = pointer.files if source.is_name else source.place
    read = f" with {' '.join(source.options)}" if source.options else ""
    gone = "" if pointer.files is None or Path(pointer.files).exists() else " (not there any more)"
    origin = f"from {row['source']}{read}{gone}"
    try:
        prepared = open_folder(data_root(name) / pointer.revision)
    except (CorruptFileError, AlteredError) as error:
        problem = "changed" if isinstance(error, AlteredError) else "damaged"
        return row | {"summary": f"your own, {origin}: run `{remade(name)}`", "problem": problem}
    except NewerRecordError:
        return row | {"summary": f"your own, {origin}; a newer ddbench prepared it: update ddbench", "problem": "newer"}
    return row | {
        "shape": list(prepared.meta.shape[1:]),
        "splits": prepared.meta.splits,
        "classes": prepared.meta.classes,
        "revision": prepared.revision,
        "folder": str(prepared.folder),
        "summary": f"your own, {sum(prepared.meta.splits.values()):,} images, {origin}",
        "problem": None,
    }


def _opened(source: Source) -> tuple[Prepared | None, str | None]:
    """The prepared copy if there is a sound one of the right data, else what is wrong with it; never decodes."""
    revision = prepared_revision(source)
    if revision is None:
        return None, None
    try:
        return open_folder(data_root(source.name) / revision).declared_by(source.record), None
    except NewerRecordError:
        return None, "newer"
    except CorruptFileError:
        return None, "damaged"
    except AlteredError:
        return None, "changed"
    except DataError:
        return None, "other data"


def _size(row: dict[str, Any]) -> str:
    return "×".join(map(str, row["shape"])) if row["shape"] else "–"


def _state(row: dict[str, Any]) -> str:
    if row["revision"] or row["problem"]:
        return str(row["revision"] or row["problem"])
    if row["embedded"]:
        return "on first use"
    return f"no ({row['download_mb']} MB)" if row["download_mb"] else "no"
