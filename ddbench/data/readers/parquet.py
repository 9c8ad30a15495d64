"""``hf:PATH``: Hugging Face image data sets as parquet files. Needs pyarrow (``pip install 'ddbench[hf]'``). No torch.

A folder holds ``train-*.parquet``, ``test-*.parquet`` and perhaps ``validation-*.parquet``, directly or one
configuration down, as the Hub has them; a single file is train. Rows are decoded in batches: neither the files nor the
images are ever whole in memory.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ddbench.core.errors import DataError
from ddbench.core.infos import Contents
from ddbench.data.readers.columns import Columns, Values, class_names, columns_of, texts_numbered, value_of
from ddbench.data.readers.framing import PLAIN, Framing
from ddbench.data.readers.images import Encoded, Survey, stacked
from ddbench.data.readers.numbers import numbered
from ddbench.data.readers.raw import ImageStream, Labels, PartName, Pixels, RawDataset
from ddbench.data.readers.shards import part_files
from ddbench.data.readers.troubles import LFS, Troubles, is_lfs
from ddbench.data.readers.walk import shown

ROWS = 512
"""Of a batch."""


@dataclass(frozen=True, slots=True)
class Table:
    """One file, or one split of a data set of the Hub.

    Attributes:
        name: For messages.
        schema: Of pyarrow.
        batches: Record batches of some columns, independent of how rows are grouped.
    """

    name: str
    schema: Any
    batches: Callable[[list[str]], Iterator[Any]]


def read(
    path: Path, framing: Framing = PLAIN, *, counted: bool = True, label: str | None = None,
    names: Sequence[str] | None = None,
) -> RawDataset:  # fmt: skip
    """Read a folder of parquet files, or one file.

    Args:
        path: The folder or file.
        framing: How images of any shape become squares of one size.
        counted: Whether labels without names of classes must be 0 … K-1, or 1 … K, which is shifted with a note.
        label: The column of labels, where the user chose one.
        names: The classes that text labels mean; None: those of train, in the order of their names.

    Raises:
        DataError: If pyarrow is missing, files, shards or columns are not found, or an image is unreadable, or
            not square or of another size than the first and ``framing`` does not help.
    """
    tables, notes = _tables(path)
    raw = read_tables(tables, framing, label=label, counted=counted, names=names)
    return replace(raw, notes=(*raw.notes, *notes))


def read_tables(
    tables: Mapping[PartName, Sequence[Table]], framing: Framing = PLAIN, *, label: str | None = None,
    counted: bool = True, names: Sequence[str] | None = None, official: bool = False,
) -> RawDataset:  # fmt: skip
    """Read the tables of each part; arguments and errors as :func:`read`."""
    first = tables["train"][0]
    columns = columns_of(first.schema, first.name, label, official=official)
    _refuse_other_names([table for found in tables.values() for table in found], columns)
    survey = Survey(framing)
    values = _surveyed(tables, columns, survey)
    fields: dict[str, Any] = {}
    for part, found in tables.items():
        fields[f"{part}_images"] = _stream(found, columns, survey, len(values[part]))
    labels, called, notes = _numbers(values, columns, counted, names)
    fields |= {f"{part}_labels": found for part, found in labels.items()}
    return RawDataset(class_names=called, notes=(*columns.notes, *notes, *survey.notes()), **fields)


def _tables(path: Path) -> tuple[dict[PartName, list[Table]], tuple[str, ...]]:
    """The tables of each part, and notes.

    Raises:
        DataError: As :func:`read`; all files that are no parquet files are named.
    """
    arrow = _pyarrow_parquet()
    files, notes = part_files(path)
    tables: dict[PartName, list[Table]] = {part: [] for part in files}
    with Troubles() as troubles:
        for part, found in files.items():
            for file in found:
                with troubles.noted():
                    tables[part].append(_table(arrow, file))
    return tables, notes


def _numbers(
    values: Mapping[PartName, Values], columns: Columns, counted: bool, names: Sequence[str] | None
) -> tuple[dict[PartName, Labels], tuple[str, ...], tuple[str, ...]]:
    """Labels of each part int64 [N], the names of the classes, and notes."""
    if columns.text:
        texts = {part: [str(value) for value in found] for part, found in values.items()}
        return texts_numbered(texts, names)
    labels: dict[PartName, Labels] = {part: np.array(found, dtype=np.int64) for part, found in values.items()}
    if columns.class_names is None and counted:
        settled = numbered(labels, {part: f"{columns.label} of {part}" for part in labels})
        return settled.labels, settled.class_names, settled.notes
    called = columns.class_names or tuple(map(str, range(int(labels["train"].max(initial=-1)) + 1)))
    return labels, called, ()


def known(place: Path, contents: Contents) -> RawDataset:
    """Data that a registered record describes, as parquet files; they are checked afterwards.

    Classes are called as the record says. Where its data have no validation part and the files have no test part, their
    validation part is test (TinyImageNet).

    Raises:
        DataError: As :func:`read`; or if the files say that classes have other names, or another order.
    """
    tables, notes = _tables(place)
    raw = read_tables(tables, counted=False, names=contents.class_names or None, official=True)
    raw = replace(raw, notes=(*raw.notes, *notes))
    secret = raw.test_labels is None or (raw.test_labels < 0).all()
    if "val" not in contents.counts and raw.val_images is not None and secret:
        raw = replace(raw, test_images=raw.val_images, test_labels=raw.val_labels, val_images=None, val_labels=None)
    names = contents.class_names
    if names and len(raw.class_names) == len(names):
        said = raw.class_names
        if not all(name.isdecimal() for name in said) and list(map(_letters, said)) != list(map(_letters, names)):
            c = next(c for c, (a, b) in enumerate(zip(said, names, strict=True)) if _letters(a) != _letters(b))
            raise DataError(f"class {c} is called {said[c]!r} in these files, not {names[c]!r}: they are other data")
        raw = replace(raw, class_names=names)
    return raw


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _pyarrow_parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("reading parquet files needs pyarrow: run `pip install 'ddbench[hf]'`") from error
    return pyarrow.parquet


def _refuse_other_names(tables: Sequence[Table], columns: Columns) -> None:
    """Refuse files that call the same label otherwise than the first file of train does: ``cat, dog``, ``dog, cat``."""
    for table in tables:
        names = class_names(table.schema.metadata, columns.label)
        if names is None or columns.class_names is None or names == columns.class_names:
            continue
        pairs = itertools.zip_longest(names, columns.class_names)
        c, (a, b) = next((c, pair) for c, pair in enumerate(pairs) if pair[0] != pair[1])
        what = [repr(name) if name is not None else "no class" for name in (a, b)]
        raise DataError(
            f"{table.name}: label {c} is {what[0]}, in {tables[0].name} it is {what[1]}: number the classes alike"
        )


def _surveyed(tables: Mapping[PartName, Sequence[Table]], columns: Columns, survey: Survey) -> dict[PartName, Values]:
    """Read the labels [N] of each part, and the headers of all images."""
    labels: dict[PartName, Values] = {}

    def rows() -> Iterator[tuple[Encoded, str]]:
        for part, found in tables.items():
            labels[part] = values = []
            for table in found:
                pairs = (pair for batch in _batches(table, columns) for pair in zip(*batch, strict=True))
                for row, (image, label) in enumerate(pairs):
                    where = f"{table.name}, row {row}"
                    values.append(value_of(label, columns, where))
                    yield _encoded(image, where)

    survey.add_all(rows)
    return labels


def _stream(tables: Sequence[Table], columns: Columns, survey: Survey, count: int) -> ImageStream:
    def rows() -> Iterator[tuple[Encoded, str]]:
        for table in tables:
            images = (image for batch, _ in _batches(table, columns) for image in batch)
            for row, image in enumerate(images):
                yield _encoded(image, f"{table.name}, row {row}")

    def chunks() -> Iterator[Pixels]:
        return stacked(rows(), survey)

    return ImageStream(survey.shape(count), chunks)


def _batches(table: Table, columns: Columns) -> Iterator[tuple[list[Any], list[Any]]]:
    """Batches of (images, labels) as Python objects."""
    missing = {columns.image, columns.label} - set(table.schema.names)
    if missing:
        raise DataError(f"{table.name}: no column {sorted(missing)[0]!r}, which other files of the data set have")
    for batch in table.batches([columns.image, columns.label]):
        yield batch.column(columns.image).to_pylist(), batch.column(columns.label).to_pylist()


def _encoded(image: Any, where: str) -> tuple[Encoded, str]:
    content = image.get("bytes") if isinstance(image, dict) else None
    return content or b"", where


def _table(arrow: Any, file: Path) -> Table:
    """A parquet file; it is opened anew for every pass over it."""

    def batches(columns: list[str]) -> Iterator[Any]:
        opened = _open(arrow, file)
        try:
            yield from opened.iter_batches(ROWS, columns=columns)
        except (OSError, ValueError) as error:  # pyarrow's errors derive from these
            raise DataError(f"{shown(file)}: damaged parquet file ({error})") from error

    return Table(shown(file), _open(arrow, file).schema_arrow, batches)


def _open(arrow: Any, file: Path) -> Any:
    try:
        return arrow.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{shown(file)}: {LFS if is_lfs(file) else f'not a parquet file ({error})'}") from error
