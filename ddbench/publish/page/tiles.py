"""Pictures of sets for a page: small PNGs, one column per class, and the file that keeps them beside the records."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ddbench.core.errors import CorruptFileError, UsageError
from ddbench.core.keys import canonical
from ddbench.core.records import Record
from ddbench.core.specs import Frozen
from ddbench.core.store.files import atomic_write
from ddbench.core.store.folder import CONDENSE, SET, Store

if TYPE_CHECKING:
    from ddbench.core.api import CondensedSet

PER_CLASS = 5
CLASSES = 20
"""Classes in a picture: more would not fit a screen."""
VALUES = 160_000
"""Most pixel values in a picture: keeps a page of many pictures small enough to send."""


class Picture(Frozen):
    """One state of one set.

    Attributes:
        key: Of the set.
        step: Outer steps behind this state.
        set_sha256: Of the file of the finished set: a set of the same key that was made elsewhere may differ.
        shown: Classes in the picture, one column each; ``classes`` are all there are.
        per_class: Images of a class in the picture; ``most`` are all there are.
        width: Of the picture [pixels]; ``height`` likewise.
        png: The file, base64.
    """

    key: str
    step: int
    set_sha256: str
    shown: int
    classes: int
    per_class: int
    most: int
    width: int
    height: int
    png: str


def beside(records: Path) -> Path:
    """Where the pictures of a file of records stand: ``X.jsonl`` → ``X.pictures.jsonl``."""
    return records.with_name(f"{records.name.removesuffix('.jsonl')}.pictures.jsonl")


def read_pictures(path: Path) -> list[Picture]:
    """The pictures in a file; none when there is no file.

    Raises:
        UsageError: If it cannot be read or a line is not a picture.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_bytes().decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"pictures {path}: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            picture = Picture.model_validate_json(line)
            base64.b64decode(picture.png, validate=True)
        except (ValidationError, ValueError):
            advice = "`ddbench results export … --pictures` writes such a file"
            raise UsageError(f"{path}:{number}: not a picture ({advice})") from None
        found.append(picture)
    return found


def write_pictures(path: Path, pictures: Iterable[Picture]) -> None:
    """Write pictures, a line each, sorted by key and step.

    Raises:
        StoreError: If the file cannot be written.
    """
    ordered = sorted(pictures, key=lambda picture: (picture.key, picture.step))
    lines = [canonical(picture.model_dump(mode="json")) for picture in ordered]
    atomic_write(path, "".join(f"{line}\n" for line in dict.fromkeys(lines)).encode())


def pictures_of(store: Store, records: Iterable[Record]) -> Iterator[Picture]:
    """The snapshots and the last state of every set of repetition 0 that a folder holds. No torch.

    Sets that are gone, damaged or not the very ones of the records have no pictures; references are real images, all of
    them, and need none.
    """
    made = [record for record in records if record.kind == "condense" and record.status == "ok"]
    wanted = {(record.key, record.set_sha256) for record in made}
    for path, record in store.records(CONDENSE):
        folder, this = path.parent, (record.key, record.set_sha256)
        if this not in wanted or not (folder / SET).is_file():
            continue
        if record.document.cell.r == 0 and not record.document.set.shared:
            wanted.discard(this)
            yield from _states(folder, record)


def _states(folder: Path, record: Record) -> Iterator[Picture]:
    from ddbench.core.store.tensors import load_set

    last = (record.selection or {}).get("step", record.cost.steps)
    files = {int(path.stem): path for path in sorted((folder / "snapshots").glob("*.safetensors"))}
    states = [(step, path) for step, path in sorted(files.items()) if step < last] + [(last, folder / SET)]
    for step, path in states:
        try:
            yield _picture(load_set(path, "numpy"), record, int(step))
        except CorruptFileError:
            continue


def _picture(condensed: CondensedSet, record: Record, step: int) -> Picture:
    """The first images of each class, one column per class, in their native size, a pixel apart."""
    import numpy as np
    from PIL import Image

    from ddbench.data.space.visible import visible_pixels
    from ddbench.publish.pictures import slots

    labels = slots(condensed)
    classes, counts = np.unique(labels, return_counts=True)
    shown = classes[:CLASSES]
    images = visible_pixels(condensed, record)
    channels, height, width = images.shape[1:]
    most = int(counts.max())
    per_class = max(1, min(PER_CLASS, most, VALUES // (len(shown) * height * width * channels)))
    # Transparent where nothing stands, so that the page's background shows in both of its themes.
    canvas = np.zeros((per_class * (height + 1) - 1, len(shown) * (width + 1) - 1, channels + 1), dtype=np.uint8)
    for column, label in enumerate(shown):
        for row, index in enumerate(np.flatnonzero(labels == label)[:per_class]):
            tile = canvas[row * (height + 1) :, column * (width + 1) :][:height, :width]
            tile[..., :channels] = (images[index] * 255).round().astype(np.uint8).transpose(1, 2, 0)
            tile[..., channels] = 255
    out = io.BytesIO()
    Image.fromarray(canvas, "LA" if channels == 1 else "RGBA").save(out, "png", optimize=True)
    return Picture(
        key=record.key, step=step, set_sha256=record.set_sha256 or "", shown=len(shown), classes=len(classes),
        per_class=per_class, most=most, width=canvas.shape[1], height=canvas.shape[0],
        png=base64.b64encode(out.getvalue()).decode(),
    )  # fmt: skip
