"""Labels beside pictures: ``labels.csv`` of an image folder, columns of a Hugging Face parquet file. No torch.

Columns of both: ``label`` (the class), and where the set has them ``weight`` and a soft label with K values.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
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
        notes: How the labels were read.
    """

    names: tuple[str, ...]
    labels: npt.NDArray[Any]
    weights: npt.NDArray[np.float32] | None = None
    classes: npt.NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()


def read_labels(source: Source, info: DatasetInfo) -> Table:
    """Labels of an image folder: from ``labels.csv`` where there is one, else from the names of the folders.

    Raises:
        DataError: If a folder is no class of the data set, or ``labels.csv`` and the images do not fit each other.
    """
    files = dict(source.files)
    names = [name for name, path in source.files if path.suffix not in (".csv", ".json")]
    if LABELS in files:
        return _listed(files[LABELS], names, info)
    folders = [name.partition("/")[0] for name in names]
    numbers, notes = _classes_of(list(dict.fromkeys(folders)), info, source.place)
    return Table(tuple(names), np.array([numbers[name] for name in folders], dtype=np.int64), notes=notes)


def _classes_of(folders: Sequence[str], info: DatasetInfo, place: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """The class of each folder: all by their names in the data set, or all by their numbers, never some of each.

    ``00002`` and ``new002`` are numbers. Where the classes themselves are called by numbers, they are the class that is
    called 2. A note says where numbers were read.

    Raises:
        DataError: If a folder is no class, if two are the same, or if names and numbers stand side by side.
    """
    names = {name: number for number, name in enumerate(info.class_names)}
    numbers, called = _numbers(folders), _numbers(info.class_names)
    if called is not None and max(called.values()) > info.classes:
        called = None  # no numbers of classes but ids, as those of WordNet
    if not all(name in names for name in folders) and numbers is not None and called is not None:
        by_number = {number: names[name] for name, number in called.items()}
        names |= {name: by_number[number] for name, number in numbers.items() if number in by_number}
    known = ", ".join(info.class_names[:5]) + (" …" if info.classes > 5 else "")
    notes: tuple[str, ...] = ()
    if all(name in names for name in folders):
        found = {name: names[name] for name in folders}
    elif numbers is not None and called is None and max(numbers.values()) < info.classes:
        found = numbers
        last = max(numbers, key=lambda name: numbers[name])
        notes = (f"class folders were read by their numbers, from 0: {last}/ is {info.class_names[numbers[last]]}",)
    else:
        odd = next(name for name in folders if name not in names)
        mixed = [name for name in folders if name in names]
        also = f" ({mixed[0]}/ is one: folders are read all by name or all by number)" if mixed else ""
        choice = "" if called is not None else f", or all of them 0 … {info.classes - 1}"
        raise DataError(
            f"{place / odd}: no class of {info.name}{also}; folders are named like its classes ({known}){choice}"
        )
    twice = [name for name in folders if list(found.values()).count(found[name]) > 1]
    if twice:
        raise DataError(f"{place}: the folders {' and '.join(twice[:2])} are the same class of {info.name}: join them")
    return found, notes


def _numbers(names: Sequence[str]) -> dict[str, int] | None:
    """The numbers of names that are one word, or none, with a number each: ``00002``, ``new002``; None for others."""
    parts = [re.fullmatch(r"([^\W\d]*[ _-]?)(\d+)", name) for name in names]
    found = {match[0]: int(match[2]) for match in parts if match is not None}
    words = {match[1] for match in parts if match is not None}
    return found if len(found) == len(set(names)) and len(words) == 1 else None


def _listed(path: Path, names: Sequence[str], info: DatasetInfo) -> Table:
    """``labels.csv`` as ddbench writes it, or as a spreadsheet or another system saved it again."""
    try:
        rows = _rows(path)
        listed = _as_in_folder([row["file"] for row in rows], names)
        columns = sorted((name for name in rows[0] if name.startswith("soft_")), key=lambda name: int(name[5:]))
        soft = np.array([[float(row[name]) for name in columns] for row in rows], dtype=np.float32)
        classes = _class_numbers([row["label"] for row in rows], info)
        weights = np.array([float(row["weight"]) for row in rows], dtype=np.float32) if "weight" in rows[0] else None
    except (OSError, UnicodeDecodeError, KeyError, IndexError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: not a table with columns file and label ({_reason(error)})") from error
    if sorted(listed) != sorted(names):
        odd = sorted(set(listed) ^ set(names))
        raise DataError(f"{path}: lists other images than the folder holds ({odd[0] if odd else 'one of them twice'})")
    return Table(tuple(listed), soft if columns else classes, weights, classes if columns else None)


def _reason(error: Exception) -> str:
    if "set_int_max_str_digits" in str(error):  # Python's advice to programmers
        return "a number in it has thousands of digits; labels are the numbers of classes, 0 … K-1"
    return f"{type(error).__name__}: {error}"


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table with commas, semicolons or tabs, as UTF-8 with or without a byte order mark, or as UTF-16."""
    content = path.read_bytes()
    text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    header = text.partition("\n")[0]
    between = max((",", ";", "\t"), key=header.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=between)
    columns = [name.strip().lower() for name in next(lines, [])]
    return [dict(zip(columns, line, strict=True)) for line in lines if any(value.strip() for value in line)]


def _as_in_folder(listed: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names with the separators of the folder; those of Windows are taken where the folder has no such name."""
    there = set(names)
    return [name if name in there else name.replace("\\", "/").removeprefix("./") for name in listed]


def _class_numbers(labels: Sequence[str], info: DatasetInfo) -> npt.NDArray[np.int64]:
    """Labels as numbers: as they are, or all of them by the names of their classes."""
    names = {name: number for number, name in enumerate(info.class_names)}
    if not all(label.strip().isdecimal() for label in labels) and all(label in names for label in labels):
        return np.array([names[label] for label in labels], dtype=np.int64)
    return np.array([int(label) for label in labels], dtype=np.int64)


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
        DataError: If pyarrow is missing, or the file is damaged.
    """
    from ddbench.data.readers import parquet

    raw = parquet.read(path, counted=False, names=info.class_names)
    stream = raw.parts()["train"][0]
    pixels = np.concatenate([np.array(chunk) for chunk in stream.chunks()])
    notes = raw.notes
    if pixels.shape[1] < info.channels:
        pixels = np.repeat(pixels, info.channels // pixels.shape[1], axis=1)
        notes = (f"{len(pixels)} of {len(pixels)} images are greyscale, converted to RGB", *notes)
    labels = _as_called(np.asarray(raw.parts()["train"][1], dtype=np.int64), raw.class_names, info)
    arrow = parquet_module("reading parquet files")
    held = arrow.read_table(path)
    columns = {name: held.column(name).to_pylist() for name in ("soft_label", "weight") if name in held.column_names}
    weights = np.array(columns["weight"], dtype=np.float32) if "weight" in columns else None
    if "soft_label" not in columns:
        return pixels, Table((), labels, weights, notes=notes)
    try:
        soft = np.array(columns["soft_label"], dtype=np.float32)
    except ValueError as error:
        raise DataError(f"{path}: soft labels of different lengths") from error
    return pixels, Table((), soft, weights, labels, notes)


def _as_called(labels: npt.NDArray[np.int64], names: Sequence[str], info: DatasetInfo) -> npt.NDArray[np.int64]:
    """Labels by the names that a file gives its classes, where they are those of the data set in another order."""
    unnamed = names == tuple(map(str, range(len(names))))
    if unnamed or names == info.class_names or sorted(names) != sorted(info.class_names):
        return labels
    numbers = np.array([info.class_names.index(name) for name in names], dtype=np.int64)
    return numbers[labels] if labels.min() >= 0 and labels.max() < len(names) else labels


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
