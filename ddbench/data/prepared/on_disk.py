"""A prepared data set on disk: what its folder holds, and how it is opened. No torch.

``$DDBENCH_HOME/data/<name>/<revision>/`` holds ``images.npy`` (uint8 [N, C, H, W], the source's parts one after the
other), ``labels.npy`` (int64 [N]), one index array a split (``train.npy`` …), ``written.json``, which tells whether
these were changed since, and ``meta.json``, which is written last and alone makes the folder count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import Field, ValidationError, model_validator

from ddbench.core.api import DatasetRecord
from ddbench.core.errors import CorruptFileError, DataError, NewerRecordError, UsageError, first_problem, is_later
from ddbench.core.infos import Contents
from ddbench.core.plugin.loader import active
from ddbench.core.plugin.registry import Registry
from ddbench.core.specs import Frozen
from ddbench.core.store.files import home
from ddbench.core.words import plural
from ddbench.data.prepared.contents import difference, is_sealed, seal
from ddbench.data.prepared.pooling import channel_statistics, pooled
from ddbench.data.prepared.splits import Indices
from ddbench.data.prepared.written import AlteredError, altered
from ddbench.data.readers.raw import PARTS, Labels, PartName, Pixels

META = "meta.json"
ARRAYS = ("images", "labels", *PARTS)
Constants: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]

_DECLARED = ("mean", "std", "flip")
"""What older files say, too: the record of the data set says it now."""


class Meta(Frozen):
    """Facts about a prepared data set: what its files hold, whatever its record declares.

    Attributes:
        layout: Version of the folder's layout.
        name: Registered name, or the one the user gave.
        revision: Hash of images, labels, class names and levels, 16 hex digits.
        shape: (N, C, H, W) of all images.
        class_names: K names.
        levels: Largest pixel value, which maps to 1.0.
        parts: Sizes of the source's own parts.
        splits: Sizes of train, val and test.
        train_mean: Per-channel mean of the train split, pixels in [0, 1].
        train_std: Per-channel standard deviation of the train split.
        notes: What a reader of the table must know.
        sizes: Size of every array file [bytes], against truncation.
    """

    layout: Literal[1] = 1
    name: str
    revision: str
    shape: tuple[int, int, int, int]
    class_names: tuple[str, ...]
    levels: int = Field(ge=1, le=255)
    parts: dict[PartName, int]
    splits: dict[PartName, int]
    train_mean: tuple[float, ...]
    train_std: tuple[float, ...]
    notes: tuple[str, ...] = ()
    sizes: dict[str, int]

    @property
    def classes(self) -> int:
        """K."""
        return len(self.class_names)

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_declared(cls, data: Any) -> Any:
        return {name: data[name] for name in data if name not in _DECLARED} if isinstance(data, dict) else data


@dataclass(frozen=True, slots=True)
class Prepared:
    """A data set that is decoded and ready to be opened.

    Attributes:
        name: As in :class:`Meta`.
        revision: As in :class:`Meta`.
        folder: Where it is.
        meta: Facts about its files.
        record: What is declared of it; None for data read from a path.
        pool: k, where pixels are seen as means of k × k stored ones.
    """

    name: str
    revision: str
    folder: Path
    meta: Meta
    record: DatasetRecord | None = None
    pool: int = 1

    def declared_by(self, record: DatasetRecord | None) -> Prepared:
        """The same files under ``record``.

        Raises:
            DataError: If the record's constants are for another number of channels, or if the files are not what the
                record says that they hold.
        """
        if record is not None and record.contents is not None:
            self._require(record.contents)
        if record is not None and record.mean is not None and len(record.mean) != self.meta.shape[1]:
            raise DataError(
                f"{record.name} has {plural(len(record.mean), 'channel')}, but the files hold {self.meta.shape[1]}"
            )
        return replace(self, record=record)

    def _require(self, contents: Contents) -> None:
        """Read all images once, and leave a word that they are the right ones."""
        if is_sealed(self.folder, contents):
            return
        meta = self.meta
        why = difference(contents, self.images, np.asarray(self.labels), meta.parts, meta.levels)
        if why is not None:
            raise DataError(
                f"the prepared copy {self.folder} is not {self.name}: {why}. Prepare the official files"
                f" (`ddbench data prepare {self.name}`), and give this copy a name of its own:"
                f" `ddbench data prepare {self.name}-mine={contents.scheme}:DIR`"
            )
        seal(self.folder, contents)

    def pooled(self, k: int) -> Prepared:
        """The same files, whose pixels are seen as means of k × k.

        Raises:
            UsageError: If k does not divide the side of the images.
        """
        if self.meta.shape[2] % k:
            raise UsageError(
                f"view: pool {k}: images of {self.name} are {self.meta.shape[2]} pixels wide, which {k} does not divide"
            )
        return replace(self, pool=k)

    @property
    def size(self) -> int:
        """Height = width of the images as they are seen [pixels]."""
        return self.meta.shape[2] // self.pool

    @property
    def constants(self) -> Constants:
        """Per-channel (mean, std) of ``meanstd``, pixels in [0, 1]: the declared ones, else those of train.

        Declared constants are those of stored pixels: where pixels are pooled, they are computed from the pooled pixels
        of train, all of it.
        """
        if self.pool > 1:
            return _pooled_constants(self.folder, self.meta.levels, self.pool)
        if self.record is None or self.record.mean is None or self.record.std is None:
            return self.meta.train_mean, self.meta.train_std
        return self.record.mean, self.record.std

    @property
    def flip(self) -> bool:
        """Whether a mirrored image still shows its class."""
        return self.record is None or self.record.flip

    @property
    def images(self) -> Pixels:
        """All images as they are stored, uint8 [N, C, H, W], memory-mapped; what is written there reaches no file."""
        images: Pixels = _array(self.folder, "images")
        return images

    def pixels(self, indices: Indices) -> Pixels:
        """Some images as they are seen, uint8 [n, C, size, size]."""
        return pooled(self.images, indices, self.pool)

    @property
    def labels(self) -> Labels:
        """All labels, int64 [N], memory-mapped."""
        labels: Labels = _array(self.folder, "labels")
        return labels

    def split(self, part: PartName) -> Indices:
        """Positions of a split's images, int64 [n] ascending."""
        return np.array(_array(self.folder, part))


def data_root(name: str) -> Path:
    """The folder of all revisions of data set ``name``."""
    return home() / "data" / name


def open_folder(folder: Path) -> Prepared:
    """Open a prepared folder; reads no pixels, unless a file's size or time are others than when it was written.

    Raises:
        AlteredError: If an array is not the one that was written.
        CorruptFileError: If ``meta.json`` is missing or unreadable, or an array file is not what it says.
        NewerRecordError: If a newer ddbench prepared it.
    """
    try:
        meta = Meta.model_validate_json((folder / META).read_bytes())
    except (OSError, ValidationError) as error:
        if isinstance(error, ValidationError) and (newer := _newer(error)) is not None:
            raise NewerRecordError(str(folder / META), newer) from None
        why = first_problem(error) if isinstance(error, ValidationError) else error.strerror or error
        raise CorruptFileError(f"{folder / META}: {why}") from error
    for array, expected in expected_arrays(meta).items():
        path = folder / f"{array}.npy"
        try:
            size = path.stat().st_size
            actual = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CorruptFileError(f"{path}: {error}") from error
        if size != meta.sizes.get(path.name) or (actual.shape, actual.dtype) != expected:
            raise CorruptFileError(f"{path}: {size} bytes, {actual.dtype}{list(actual.shape)}; expected {expected}")
        if array == "labels" and len(actual) and not 0 <= actual.min() <= actual.max() < meta.classes:
            raise CorruptFileError(f"{path}: labels outside the {meta.classes} classes")
        if array in PARTS and len(actual) and not 0 <= actual.min() <= actual.max() < meta.shape[0]:
            raise CorruptFileError(f"{path}: points outside the {meta.shape[0]} images")
    facts = {"shape": meta.shape, "parts": meta.parts, "class_names": meta.class_names, "levels": meta.levels}
    try:
        name = altered(folder, tuple(f"{array}.npy" for array in ARRAYS), meta.revision, facts)
    except OSError as error:
        raise CorruptFileError(f"{folder}: {error}") from error
    if name is not None:
        raise AlteredError(_altered(folder, name, meta))
    return Prepared(meta.name, meta.revision, folder, meta)


def _altered(folder: Path, name: str, meta: Meta) -> str:
    from ddbench.data.prepared.pointers import made_anew  # which opens folders

    return (
        f"data set {meta.name!r}: {name} in {folder} is not what `ddbench data prepare` wrote there: it was changed"
        f" since. `{made_anew(meta.name, meta.revision, active().datasets)}` prepares the data anew, in place of what"
        f" is there; data that are changed on purpose get a name of their own, `ddbench data prepare"
        f" {meta.name}-mine=npz:FILE`"
    )


def _newer(error: ValidationError) -> str | None:
    """What tells that facts which cannot be read are a newer ddbench's; None when they are damaged."""
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            return f"unknown field {where}"
        if where == "layout" and is_later(problem.get("input"), 1):
            return f"layout {str(problem.get('input'))[:40]}"
    return None


def find(name: str, revision: str, known: Registry[DatasetRecord] | None = None) -> Prepared:
    """Open the prepared data set of a key.

    Args:
        name: As in :class:`Meta`.
        revision: As in :class:`Meta`.
        known: Registered data sets, whose constants and flip count; None: those that this command knows.

    Raises:
        DataError: If it is missing or damaged, or its record's constants do not fit.
    """
    known = active().datasets if known is None else known
    folder = data_root(name) / revision
    if not folder.is_dir():
        raise DataError(f"data set {name!r} revision {revision} is not prepared: {folder} does not exist")
    try:
        return open_folder(folder).declared_by(known.get(name) if name in known else None)
    except CorruptFileError as error:
        raise DataError(f"data set {name!r}: {folder} is damaged ({error}); prepare it again") from error


def expected_arrays(meta: Meta) -> Mapping[str, tuple[tuple[int, ...], Any]]:
    """Shape and dtype of every array of a prepared folder."""
    int64 = np.dtype(np.int64)
    return {
        "images": (meta.shape, np.dtype(np.uint8)),
        "labels": ((meta.shape[0],), int64),
        **{part: ((meta.splits[part],), int64) for part in PARTS},
    }


@lru_cache(maxsize=8)
def _pooled_constants(folder: Path, levels: int, k: int) -> Constants:
    """Computed once a process, in a second for the images of CIFAR-10; the same to the bit in every process."""
    train = pooled(_array(folder, "images"), np.array(_array(folder, "train")), k)
    return channel_statistics(train, np.arange(len(train)), levels)


def _array(folder: Path, name: str) -> Any:
    return np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False)
