"""``hf:PATH``: Hugging Face image data sets as parquet files. Needs pyarrow (``pip install 'ddbench[hf]'``). No torch.

A folder holds ``train-*.parquet``, ``test-*.parquet`` and perhaps ``validation-*.parquet``, directly or in ``data/``;
a single file is train. Rows are decoded in batches: neither the files nor the images are ever whole in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ddbench.core.errors import DataError
from ddbench.data.readers.images import Encoded, Survey, stacked
from ddbench.data.readers.raw import ImageStream, Labels, PartName, Pixels, RawDataset

_PREFIXES: dict[PartName, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("validation", "valid", "val"),
    "test": ("test",),
}
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


def read(path: Path) -> RawDataset:
    """Read a folder of parquet files, or one file.

    Raises:
        DataError: If pyarrow is missing, files or columns are not found, or an image is unreadable, not square or of
            another size than the first.
    """
    arrow = _pyarrow_parquet()
    files = _part_files(path)
    columns = _columns(arrow, files["train"][0])
    survey = Survey()
    labels = {part: _survey(arrow, part_files, columns, survey) for part, part_files in files.items()}
    fields: dict[str, Any] = {}
    for part, part_files in files.items():
        fields[f"{part}_images"] = _stream(arrow, part_files, columns, survey, len(labels[part]))
        fields[f"{part}_labels"] = labels[part]
    class_names = columns.class_names or tuple(map(str, range(int(labels["train"].max(initial=-1)) + 1)))
    return RawDataset(class_names=class_names, notes=survey.notes(), **fields)


def _pyarrow_parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("reading parquet files needs pyarrow: run `pip install 'ddbench[hf]'`") from error
    return pyarrow.parquet


def _part_files(path: Path) -> dict[PartName, list[Path]]:
    """Parquet files of each part, in the order of their names."""
    if path.is_file():
        return {"train": [path]}
    for folder in (path, path / "data"):
        files = {
            part: found
            for part, prefixes in _PREFIXES.items()
            if (found := sorted(file for file in folder.glob("*.parquet") if _prefix(file) in prefixes))
        }
        if "train" in files:
            return files
    raise DataError(f"{path} holds no train-*.parquet")


def _prefix(file: Path) -> str:
    """``train`` of ``train-00000-of-00001.parquet``."""
    return file.stem.partition("-")[0]


def _columns(arrow: Any, file: Path) -> Columns:
    schema = _open(arrow, file).schema_arrow
    images = [field.name for field in schema if _is_image(field.type)]
    if len(images) != 1:
        raise DataError(f"{file}: expected one image column {{bytes, path}}, found {images or 'none'}")
    label = next((name for name in _LABELS if name in schema.names), None)
    if label is None:
        raise DataError(f"{file}: no label column ({', '.join(_LABELS)}) among {', '.join(schema.names)}")
    return Columns(images[0], label, _class_names(schema.metadata, label))


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
    for file in files:
        row = 0
        for images, batch in _batches(arrow, file, columns):
            for image, label in zip(images, batch, strict=True):
                if not isinstance(label, int):
                    raise DataError(f"{file}, row {row}: the label is {label!r}, not an integer in 0..K-1")
                survey.add(*_encoded(image, file, row))
                labels.append(label)
                row += 1
    return np.array(labels, dtype=np.int64)


def _stream(arrow: Any, files: Sequence[Path], columns: Columns, survey: Survey, count: int) -> ImageStream:
    def rows() -> Iterator[tuple[Encoded, str]]:
        for file in files:
            images = (image for batch, _ in _batches(arrow, file, columns) for image in batch)
            for row, image in enumerate(images):
                yield _encoded(image, file, row)

    def chunks() -> Iterator[Pixels]:
        return stacked(rows(), survey.channels)

    return ImageStream(survey.shape(count), chunks)


def _batches(arrow: Any, file: Path, columns: Columns) -> Iterator[tuple[list[Any], list[Any]]]:
    """Batches of (images, labels) as Python objects; independent of how rows are grouped in the file."""
    opened = _open(arrow, file)
    missing = {columns.image, columns.label} - set(opened.schema_arrow.names)
    if missing:
        raise DataError(f"{file}: no column {sorted(missing)[0]!r}, which other files of the data set have")
    try:
        for batch in opened.iter_batches(_ROWS, columns=[columns.image, columns.label]):
            yield batch.column(columns.image).to_pylist(), batch.column(columns.label).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's errors derive from these
        raise DataError(f"{file}: damaged parquet file ({error})") from error


def _encoded(image: Any, file: Path, row: int) -> tuple[Encoded, str]:
    content = image.get("bytes") if isinstance(image, dict) else None
    if not content:
        raise DataError(f"{file}, row {row}: the image is not embedded in the file")
    return content, f"{file}, row {row}"


def _open(arrow: Any, file: Path) -> Any:
    try:
        return arrow.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not a parquet file ({error})") from error
