"""Condensed sets → files that need no ddbench: torch, NumPy, image folder, Hugging Face parquet.

Each carries the manifest. ``pt`` and ``npz`` hold the images as stored, to the bit, whitening matrices included;
``folder`` and ``hf`` hold 8-bit pixels.
"""

from __future__ import annotations

import io
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ddbench.core.api import CondensedSet
from ddbench.core.errors import UsageError
from ddbench.core.keys import short
from ddbench.core.plugin.loader import active
from ddbench.core.records import Record
from ddbench.core.specs import DatasetInfo
from ddbench.core.store.files import atomic_file, atomic_write, store_error
from ddbench.data.dataset import facts_of
from ddbench.data.exchange.card import CARD, card
from ddbench.data.exchange.files import FORMS, LABELS, MANIFEST, part_of
from ddbench.data.exchange.labels import Table, csv_columns, labels_csv, parquet_columns, parquet_module, parquet_table
from ddbench.data.exchange.manifest import PICTURES, as_text, manifest
from ddbench.data.space.ids import keeps_pixels
from ddbench.data.space.pixels import data_of, in_space, matrices_of, outside, pixels_of, whitening_of

SUFFIXES = {"pt": ".pt", "npz": ".npz", "folder": "", "hf": "-hf"}


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """What is written.

    Attributes:
        images: float32 [n, C, H, W] in their space.
        pixels: uint8 [n, C, H, W], None where they cannot be had.
        table: Labels, weights, class slots.
        matrices: ``mean`` and ``whiten``, or ``mean``, ``factor`` and ``rest``, or nothing.
        initial: [P], the state that students start from, or None.
        info: The data set.
    """

    images: Tensor
    pixels: npt.NDArray[np.uint8] | None
    table: Table
    matrices: dict[str, Tensor]
    info: DatasetInfo
    initial: Tensor | None = None


def file_for(into: Path | None, key: str, target: str) -> Path:
    """Where a set is written; a file gets the suffix that `ddbench import` knows it by, unless it has one.

    Args:
        into: What the user says; None: a name made from the key.
        key: The set's key.
        target: A key of :data:`SUFFIXES`.

    Raises:
        UsageError: If `ddbench import` would take the file for a part of a set of MTT or DATM.
    """
    if into is None:
        return Path(short(key) + SUFFIXES[target])
    if target in ("folder", "hf") or into.is_dir():
        return into
    place = into if FORMS.get(into.suffix.lower()) == target else into.with_name(into.name + SUFFIXES[target])
    if (part := part_of(place)) is not None:
        raise UsageError(f"{place}: `ddbench import` takes {part}_….pt for one of several files; choose another name")
    return place


def write(
    condensed: CondensedSet, record: Record, target: str, place: Path, evaluations: Sequence[Record] = ()
) -> list[str]:
    """Write a set.

    Args:
        condensed: The set.
        record: Its record.
        target: A key of :data:`SUFFIXES`.
        place: File to write, or folder to make.
        evaluations: Of the set; the card of ``hf`` says how students fared.

    Returns:
        What the user must know, a line each.

    Raises:
        UsageError: If there are no pixels to write, the place exists, or pyarrow is missing.
        StoreError: If nothing can be written.
    """
    if place.exists():
        what = "folder" if target in ("folder", "hf") else "file"
        raise UsageError(f"--into {place}: exists already; name another {what}, or remove it")
    parcel, facts, notes = _parcel(condensed, record, target)
    if target == "pt":
        content = io.BytesIO()  # into a file, torch writes the file's name as well: no two would have equal bytes
        torch.save(_tensors(parcel, facts), content)
        atomic_write(place, content.getvalue())
    elif target == "npz":
        atomic_file(place, lambda temporary: _write_npz(parcel, facts, temporary))
    elif target == "folder":
        _whole_folder(place, lambda folder: _write_folder(parcel, facts, folder))
    else:
        told = card(record, evaluations, parcel.info, len(condensed), facts, notes, active().methods)
        _whole_folder(place, lambda folder: _write_hf(parcel, facts, told, folder))
    return notes


def _parcel(condensed: CondensedSet, record: Record, target: str) -> tuple[Parcel, str, list[str]]:
    """What is written, the text of its manifest, and what the user must know."""
    data, whitening = data_of(record), whitening_of(record)
    info = facts_of(data, active().datasets)
    notes = []
    if condensed.aux.get("codes") is not None:
        notes.append("its images are decoded from codes: what is written is larger than what the set costs to keep")
    pixels = None
    if condensed.images is None or keeps_pixels(data.preprocess):
        floats = pixels_of(condensed, data, whitening)
        if (cut := outside(floats)) and target in ("folder", "hf"):
            notes.append(
                f"{cut:.1f} % of the pixels lie outside [0, 1] and were cut there: students of these files learn "
                "something else than students of the set; --to npz and --to pt keep it to the bit"
            )
        pixels = (floats.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    elif target in ("folder", "hf"):
        raise UsageError(f"{data.preprocess} cannot be undone, so there are no pixels to write: use --to npz or pt")
    initial = condensed.aux.get("initial")
    if target in ("folder", "hf") and initial is not None:
        raise UsageError(
            f"students of this set start from a state of its own, which {target} cannot hold: use --to npz or pt"
        )
    if target in ("folder", "hf") and condensed.images is not None:
        notes.append("pixels were rounded to 8 bits")
    cell = record.document.cell
    images = in_space(condensed, data, whitening)
    parcel = Parcel(images, pixels, _table(condensed), matrices_of(whitening), info, initial)
    content = manifest(
        cell, record.document.label, condensed, info, key=record.key, set_sha256=record.set_sha256, form=target,
        names=_names(parcel, target),
    )  # fmt: skip
    return parcel, as_text(content), notes


def _names(parcel: Parcel, target: str) -> list[str]:
    """What the export will hold besides its manifest."""
    if target == "folder":
        return [PICTURES, *csv_columns(parcel.table)]
    return parquet_columns(parcel.table) if target == "hf" else ["images", *_arrays(parcel)]


def _table(condensed: CondensedSet) -> Table:
    soft = condensed.labels.ndim == 2
    slots = condensed.aux.get("classes", condensed.labels.argmax(1)) if soft else None
    return Table(
        names=(),
        labels=condensed.labels.float().numpy() if soft else condensed.labels.numpy(),
        weights=None if condensed.weights is None else condensed.weights.float().numpy(),
        classes=None if slots is None else slots.numpy(),
    )


def _tensors(parcel: Parcel, facts: str) -> dict[str, Any]:
    """The dict of a ``pt`` file; its manifest is JSON text, so that ``weights_only=True`` loads it."""
    parts: dict[str, Any] = {"images": parcel.images.contiguous()}
    parts |= {name: torch.from_numpy(array) for name, array in _arrays(parcel).items()}
    return parts | {"manifest": facts}


def _arrays(parcel: Parcel) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any] | None] = {
        "labels": parcel.table.labels,
        "weights": parcel.table.weights,
        "classes": parcel.table.classes,
        "pixels": parcel.pixels,
        "initial": None if parcel.initial is None else parcel.initial.numpy(),
        **{f"whitening_{name}": part.numpy() for name, part in parcel.matrices.items()},
    }
    return {name: array for name, array in arrays.items() if array is not None}


def _write_npz(parcel: Parcel, facts: str, path: Path) -> None:
    arrays: Any = {"images": parcel.images.numpy(), "manifest": np.array(facts), **_arrays(parcel)}
    with path.open("wb") as file:  # a file object, because savez adds a suffix to names
        np.savez_compressed(file, **arrays)


def _encoded(parcel: Parcel) -> Iterator[bytes]:
    """The images as PNG files."""
    assert parcel.pixels is not None
    for image in parcel.pixels:
        out = io.BytesIO()
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(out, format="png")
        yield out.getvalue()


def _write_folder(parcel: Parcel, facts: str, folder: Path) -> None:
    table, classes = parcel.table, parcel.info.classes
    slots = table.labels if table.classes is None else table.classes
    digits = len(str(classes - 1))
    names = [f"{int(c):0{digits}d}/{i:05d}.png" for i, c in enumerate(slots)]
    for name, content in zip(names, _encoded(parcel), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / LABELS).write_text(labels_csv(names, table, parcel.info.class_names), encoding="utf-8")
    (folder / MANIFEST).write_text(facts, encoding="utf-8")


def _write_hf(parcel: Parcel, facts: str, told: str, folder: Path) -> None:
    arrow = parquet_module("exporting to hf")
    (folder / "data").mkdir(parents=True)
    table = parquet_table(list(_encoded(parcel)), parcel.table, parcel.info.class_names)
    arrow.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    (folder / MANIFEST).write_text(facts, encoding="utf-8")
    (folder / CARD).write_text(told, encoding="utf-8")


def _whole_folder(place: Path, fill: Callable[[Path], None]) -> None:
    """A folder that appears complete or not at all."""
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir(parents=True)
        fill(temporary)
        temporary.rename(place)
    except OSError as error:
        raise store_error(place, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
