"""``hf:PATH``: Hugging Face image data sets as parquet files. Needs pyarrow (``pip install 'ddbench[hf]'``). No torch.

A folder holds ``train-*.parquet``, ``test-*.parquet`` and perhaps ``validation-*.parquet``, directly or one
configuration down, as the Hub has them; a single file is train. Rows are decoded in batches: neither the files nor the
images are ever whole in memory.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ddbench.core.errors import DataError
from ddbench.core.infos import Contents
from ddbench.data.readers.framing import PLAIN, Framing
from ddbench.data.readers.images import Encoded, Survey, stacked
from ddbench.data.readers.numbers import numbered
from ddbench.data.readers.raw import ImageStream, Labels, Pixels, RawDataset
from ddbench.data.readers.shards import part_files
from ddbench.data.readers.walk import shown

_LABELS = ("label", "fine_label", "labels", "fine_labels", "class", "target")
_ROWS = 512


@dataclass(frozen=True, slots=True)
class Columns:
    """Where images and labels are.

    Attributes:
        image: Name of the struct column {bytes, path}.
        label: Name of the integer column.
        class_names: From the Hugging Face metadata, or None.
    """

    image: str
    label: str
    class_names: tuple[str, ...] | None


def read(path: Path, framing: Framing = PLAIN, *, counted: bool = True) -> RawDataset:
    """Read a folder of parquet files, or one file.

    Args:
        path: The folder or file.
        framing: How images of any shape become squares of one size.
        counted: Whether labels without names of classes must be 0 … K-1, or 1 … K, which is shifted with a note.

    Raises:
        DataError: If pyarrow is missing, files, shards or columns are not found, or an image is unreadable, or
            not square or of another size than the first and ``framing`` does not help.
    """
    arrow = _pyarrow_parquet()
    files, notes = part_files(path)
    columns = _columns(arrow, files["train"][0])
    _refuse_other_names(arrow, [file for found in files.values() for file in found], columns)
    survey = Survey(framing)
    labels = {part: _survey(arrow, found, columns, survey) for part, found in files.items()}
    fields: dict[str, Any] = {}
    for part, found in files.items():
        fields[f"{part}_images"] = _stream(arrow, found, columns, survey, len(labels[part]))
    class_names = columns.class_names or tuple(map(str, range(int(labels["train"].max(initial=-1)) + 1)))
    if columns.class_names is None and counted:
        settled = numbered(labels, {part: f"{columns.label} of {part}" for part in labels})
        labels, class_names, notes = settled.labels, settled.class_names, (*settled.notes, *notes)
    fields |= {f"{part}_labels": values for part, values in labels.items()}
    return RawDataset(class_names=class_names, notes=(*survey.notes(), *notes), **fields)


def known(place: Path, contents: Contents) -> RawDataset:
    """Data that a registered record describes, as parquet files; they are checked afterwards.

    Classes are called as the record says. Where its data have no validation part and the files have no test part, their
    validation part is test (TinyImageNet).

    Raises:
        DataError: As :func:`read`; or if the files say that classes have other names, or another order.
    """
    raw = read(place, counted=False)
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


def _columns(arrow: Any, file: Path) -> Columns:
    schema = _open(arrow, file).schema_arrow
    images = [field.name for field in schema if _is_image(field.type)]
    if len(images) != 1:
        raise DataError(f"{shown(file)}: expected one image column {{bytes, path}}, found {images or 'none'}")
    label = next((name for name in _LABELS if name in schema.names), None)
    if label is None:
        raise DataError(f"{shown(file)}: no label column ({', '.join(_LABELS)}) among {', '.join(schema.names)}")
    return Columns(images[0], label, _class_names(schema.metadata, label))


def _refuse_other_names(arrow: Any, files: Sequence[Path], columns: Columns) -> None:
    """Refuse files that call the same label otherwise than the first file of train does: ``cat, dog``, ``dog, cat``."""
    for file in files:
        names = _class_names(_open(arrow, file).schema_arrow.metadata, columns.label)
        if names is None or columns.class_names is None or names == columns.class_names:
            continue
        pairs = itertools.zip_longest(names, columns.class_names)
        c, (a, b) = next((c, pair) for c, pair in enumerate(pairs) if pair[0] != pair[1])
        what = [repr(name) if name is not None else "no class" for name in (a, b)]
        raise DataError(
            f"{shown(file)}: label {c} is {what[0]}, in {shown(files[0])} it is {what[1]}: number the classes alike"
        )


def _is_image(kind: Any) -> bool:
    """Whether a column's type is ``struct<bytes: binary, …>``, of whatever binary type."""
    fields = {kind.field(i).name: str(kind.field(i).type) for i in range(kind.num_fields)}
    return str(kind).startswith("struct") and "binary" in fields.get("bytes", "")


def _class_names(metadata: dict[bytes, bytes] | None, label: str) -> tuple[str, ...] | None:
    """Names in ``huggingface`` → info → features → <label> → names, when the writer left them."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
        if isinstance(names, dict):  # early writers stored {"0": name, …}
            names = [names[str(number)] for number in range(len(names))]
        return tuple(map(str, names)) or None
    except (KeyError, TypeError, ValueError):
        return None


def _survey(arrow: Any, files: Sequence[Path], columns: Columns, survey: Survey) -> Labels:
    """Read the labels [N] of some files, and the headers of their images."""
    labels: list[int] = []

    def rows() -> Iterator[tuple[Encoded, str]]:
        for file in files:
            row = 0
            for images, batch in _batches(arrow, file, columns):
                for image, label in zip(images, batch, strict=True):
                    whole = isinstance(label, int) or (isinstance(label, float) and label.is_integer())
                    if not whole or label >= 2**63:
                        raise DataError(f"{shown(file)}, row {row}: the label is {label!r}, not an integer in 0..K-1")
                    labels.append(int(label))
                    yield _encoded(image, file, row)
                    row += 1

    survey.add_all(rows())
    return np.array(labels, dtype=np.int64)


def _stream(arrow: Any, files: Sequence[Path], columns: Columns, survey: Survey, count: int) -> ImageStream:
    def rows() -> Iterator[tuple[Encoded, str]]:
        for file in files:
            images = (image for batch, _ in _batches(arrow, file, columns) for image in batch)
            for row, image in enumerate(images):
                yield _encoded(image, file, row)

    def chunks() -> Iterator[Pixels]:
        return stacked(rows(), survey)

    return ImageStream(survey.shape(count), chunks)


def _batches(arrow: Any, file: Path, columns: Columns) -> Iterator[tuple[list[Any], list[Any]]]:
    """Batches of (images, labels) as Python objects; independent of how rows are grouped in the file."""
    opened = _open(arrow, file)
    missing = {columns.image, columns.label} - set(opened.schema_arrow.names)
    if missing:
        raise DataError(f"{shown(file)}: no column {sorted(missing)[0]!r}, which other files of the data set have")
    try:
        for batch in opened.iter_batches(_ROWS, columns=[columns.image, columns.label]):
            yield batch.column(columns.image).to_pylist(), batch.column(columns.label).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's errors derive from these
        raise DataError(f"{shown(file)}: damaged parquet file ({error})") from error


def _encoded(image: Any, file: Path, row: int) -> tuple[Encoded, str]:
    content = image.get("bytes") if isinstance(image, dict) else None
    if not content:
        raise DataError(f"{shown(file)}, row {row}: the image is not embedded in the file")
    return content, f"{shown(file)}, row {row}"


def _open(arrow: Any, file: Path) -> Any:
    try:
        return arrow.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{shown(file)}: not a parquet file ({error})") from error
