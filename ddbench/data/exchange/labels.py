"""Labels beside pictures: ``labels.csv`` of an image folder, columns of a Hugging Face parquet file. No torch.

Columns of both: ``label`` (the class), and where the set has them ``weight`` and a soft label with K values.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError, UsageError
from ddbench.core.specs import DatasetInfo
from ddbench.data.exchange.files import LABELS, Source
from ddbench.data.readers.raw import Pixels

NEEDS_ARROW = "needs pyarrow: run `pip install 'ddbench[hf]'`"


@dataclass(frozen=True, slots=True)
class Table:
    """What belongs to the pictures of a set, in their order.

    Attributes:
        names: Files relative to the folder; empty for parquet.
        labels: [n] int64, or [n, K] float32.
        weights: [n] float32, or None.
        classes: [n] int64 beside soft labels, else None.
    """

    names: tuple[str, ...]
    labels: npt.NDArray[Any]
    weights: npt.NDArray[np.float32] | None = None
    classes: npt.NDArray[np.int64] | None = None


def read_labels(source: Source, info: DatasetInfo) -> Table:
    """Labels of an image folder: from ``labels.csv`` where there is one, else from the names of the folders.

    Raises:
        DataError: If a folder is no class of the data set, or ``labels.csv`` and the images do not fit each other.
    """
    files = dict(source.files)
    names = [name for name, path in source.files if path.suffix not in (".csv", ".json")]
    if LABELS in files:
        return _listed(files[LABELS], names)
    folders = [name.partition("/")[0] for name in names]
    numbers = _classes_of(list(dict.fromkeys(folders)), info, source.place)
    return Table(tuple(names), np.array([numbers[name] for name in folders], dtype=np.int64))


def _classes_of(folders: Sequence[str], info: DatasetInfo, place: Path) -> dict[str, int]:
    """The class of each folder: all by their names in the data set, or all by their numbers, never some of each.

    Where the classes themselves are called by numbers, ``00002`` is the class that is called 2.

    Raises:
        DataError: If a folder is no class, if two are the same, or if names and numbers stand side by side.
    """
    names = {name: number for number, name in enumerate(info.class_names)}
    if all(name.isdecimal() for name in names):
        names |= {name: names[known] for name in folders if (known := _called(name, names)) is not None}
    known = ", ".join(info.class_names[:5]) + (" …" if info.classes > 5 else "")
    if all(name in names for name in folders):
        found = {name: names[name] for name in folders}
    elif all(name.isdecimal() and int(name) < info.classes for name in folders) and not all(
        name.isdecimal() for name in info.class_names
    ):
        found = {name: int(name) for name in folders}
    else:
        odd = next(name for name in folders if name not in names)
        mixed = [name for name in folders if name in names]
        also = f" ({mixed[0]}/ is one: folders are read all by name or all by number)" if mixed else ""
        numbers = (
            "" if all(name.isdecimal() for name in info.class_names) else f", or all of them 0 … {info.classes - 1}"
        )
        raise DataError(
            f"{place / odd}: no class of {info.name}{also}; folders are named like its classes ({known}){numbers}"
        )
    twice = [name for name in folders if list(found.values()).count(found[name]) > 1]
    if twice:
        raise DataError(f"{place}: the folders {' and '.join(twice[:2])} are the same class of {info.name}: join them")
    return found


def _called(name: str, names: Mapping[str, int]) -> str | None:
    """The class whose name is the same number as ``name``."""
    if not name.isdecimal():
        return None
    return next((known for known in names if int(known) == int(name)), None)


def _listed(path: Path, names: Sequence[str]) -> Table:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        listed = [row["file"] for row in rows]
        columns = sorted((name for name in rows[0] if name.startswith("soft_")), key=lambda name: int(name[5:]))
        soft = np.array([[float(row[name]) for name in columns] for row in rows], dtype=np.float32)
        classes = np.array([int(row["label"]) for row in rows], dtype=np.int64)
        weights = np.array([float(row["weight"]) for row in rows], dtype=np.float32) if "weight" in rows[0] else None
    except (OSError, UnicodeDecodeError, KeyError, IndexError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: not a table with columns file and label ({type(error).__name__}: {error})") from error
    if sorted(listed) != sorted(names):
        odd = sorted(set(listed) ^ set(names))
        raise DataError(f"{path}: lists other images than the folder holds ({odd[0] if odd else 'one of them twice'})")
    return Table(tuple(listed), soft if columns else classes, weights, classes if columns else None)


def csv_columns(table: Table) -> list[str]:
    """The columns of ``labels.csv``."""
    soft = [f"soft_{k}" for k in range(table.labels.shape[1])] if table.classes is not None else []
    return ["file", "label", "class_name", *(["weight"] if table.weights is not None else []), *soft]


def labels_csv(names: Sequence[str], table: Table, class_names: Sequence[str]) -> str:
    """The text of ``labels.csv``; soft labels with all digits of their float32 values."""
    soft = table.classes is not None
    slots = table.labels if table.classes is None else table.classes
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(csv_columns(table))
    for i, name in enumerate(names):
        row = [name, int(slots[i]), class_names[int(slots[i])]]
        row += [repr(float(table.weights[i]))] if table.weights is not None else []
        writer.writerow(row + ([repr(float(value)) for value in table.labels[i]] if soft else []))
    return out.getvalue()


def read_parquet(path: Path, info: DatasetInfo) -> tuple[Pixels, Table]:
    """Images uint8 [n, C, H, W] and labels of one parquet file in Hugging Face's layout.

    Raises:
        DataError: If pyarrow is missing, the file is damaged, or its images have more channels than the data set's.
    """
    from ddbench.data.readers import parquet

    raw = parquet.read(path, counted=False)
    stream = raw.parts()["train"][0]
    pixels = np.concatenate([np.array(chunk) for chunk in stream.chunks()])
    if pixels.shape[1] > info.channels:
        raise DataError(f"{path}: images have {pixels.shape[1]} channels, {info.name} has {info.channels}")
    pixels = np.repeat(pixels, info.channels // pixels.shape[1], axis=1)  # all grey in an RGB data set
    labels = np.asarray(raw.parts()["train"][1], dtype=np.int64)
    arrow = parquet_module("reading parquet files")
    held = arrow.read_table(path)
    columns = {name: held.column(name).to_pylist() for name in ("soft_label", "weight") if name in held.column_names}
    weights = np.array(columns["weight"], dtype=np.float32) if "weight" in columns else None
    if "soft_label" not in columns:
        return pixels, Table((), labels, weights)
    try:
        soft = np.array(columns["soft_label"], dtype=np.float32)
    except ValueError as error:
        raise DataError(f"{path}: soft labels of different lengths") from error
    return pixels, Table((), soft, weights, labels)


def parquet_columns(table: Table) -> list[str]:
    """The columns of :func:`parquet_table`."""
    return ["image", "label", *(name for name, _ in _extra(table))]


def parquet_table(images: Sequence[bytes], table: Table, class_names: Sequence[str]) -> Any:
    """A pyarrow table that the ``datasets`` library, and ``NAME=hf:PATH``, read as images with labels."""
    arrow = _arrow("exporting to hf")
    slots = table.labels if table.classes is None else table.classes
    kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    digits = max(5, math.ceil(math.log10(max(2, len(images)))))
    rows = [{"bytes": content, "path": f"{i:0{digits}d}.png"} for i, content in enumerate(images)]
    columns: dict[str, Any] = {
        "image": arrow.array(rows, kind), "label": arrow.array(slots.tolist(), arrow.int64())
    }  # fmt: skip
    features: dict[str, Any] = {
        "image": {"_type": "Image"}, "label": {"names": list(class_names), "_type": "ClassLabel"}
    }  # fmt: skip
    for name, values in _extra(table):
        inner = {"dtype": "float32", "_type": "Value"}
        several = name == "soft_label"
        columns[name] = arrow.array(values, arrow.list_(arrow.float32()) if several else arrow.float32())
        features[name] = {"feature": inner, "_type": "Sequence"} if several else inner
    metadata: Mapping[str, str] = {"huggingface": json.dumps({"info": {"features": features}})}
    return arrow.table(columns).replace_schema_metadata(metadata)


def _extra(table: Table) -> Iterator[tuple[str, list[Any]]]:
    if table.classes is not None:
        yield "soft_label", table.labels.tolist()
    if table.weights is not None:
        yield "weight", table.weights.tolist()


def _arrow(what: str) -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise UsageError(f"{what} {NEEDS_ARROW}") from error
    return pyarrow


def parquet_module(what: str) -> Any:
    """The reader and writer of parquet files in pyarrow.

    Raises:
        UsageError: If pyarrow is missing.
    """
    _arrow(what)
    import pyarrow.parquet

    return pyarrow.parquet
