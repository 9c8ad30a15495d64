"""What the user points at and says: which files belong to one row, their hashes, and the flags. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ddbench.core.errors import DataError
from ddbench.core.store.files import sha256_file
from ddbench.data.readers.folder import SUFFIXES
from ddbench.data.readers.walk import Passed, files_below, level

Form = Literal["pt", "trajectory", "npz", "safetensors", "parquet", "folder"]
Range = Literal["01", "255", "normalised"]
LabelSpace = Literal["hard", "probs", "logits", "centred"]

MANIFEST = "manifest.json"
LABELS = "labels.csv"
PARTS = ("images", "labels", "lr")
"""What the scripts of MTT and DATM write: ``<part>_best.pt``, or with an iteration's number for ``best``."""

FORMS: dict[str, Form] = {
    ".pt": "pt", ".pth": "pt", ".npz": "npz", ".safetensors": "safetensors", ".parquet": "parquet",
}  # fmt: skip
"""How files are read, by suffix in lower case."""

_READ = "see `ddbench import --help` for what can be read"


@dataclass(frozen=True, slots=True)
class Flags:
    """What the user says about the files.

    Attributes:
        preprocess: The space that floats live in, and that sets are evaluated in; None: not said.
        range: What floats are: pixels in [0, 1] or [0, 255], or already in that space.
        labels: What labels of shape [n, K] are.
        experiment: Which of several sets in one file; None: all, as repetitions.
    """

    preprocess: str | None = None
    range: Range | None = None
    labels: LabelSpace | None = None
    experiment: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one row.

    Attributes:
        label: Name of the row unless the user gives one: the file's stem, or the folder's name.
        form: How they are read.
        place: What the user pointed at, for messages.
        files: (role, path) in a fixed order. Roles, not paths, enter hashes: ``images``, ``labels`` and ``lr``, a name
            relative to an image folder, or ``file``.
    """

    label: str
    form: Form
    place: Path
    files: tuple[tuple[str, Path], ...]

    def contents(self) -> list[list[str]]:
        """[role, sha256] of every file."""
        try:
            return [[role, sha256_file(path)] for role, path in self.files]
        except OSError as error:
            raise DataError(f"{self.place}: {error.strerror}") from error


def sources_of(paths: Iterable[Path]) -> list[Source]:
    """The rows that some paths stand for: ``images_best.pt`` and its partners are one.

    Raises:
        DataError: If a path is missing, or nothing that can be read.
    """
    found: dict[tuple[tuple[str, Path], ...], Source] = {}
    for path in paths:
        source = _source(path)
        found.setdefault(source.files, source)
    return list(found.values())


def _source(path: Path) -> Source:
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    part = part_of(path)
    if part is not None:
        return _trajectory(path.parent, path.stem.removeprefix(f"{part}_"), path)
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise DataError(f"{path}: cannot read {path.suffix or 'files without suffix'}; {_READ}")
    files = [("file", path)]
    return Source(path.stem, form, path, tuple(files))


def part_of(path: Path) -> str | None:
    """Which part of a set of MTT or DATM a file is by its name: ``images_best.pt``; None for all other names."""
    named = re.fullmatch(rf"({'|'.join(PARTS)})_\w+\.pt", path.name)
    return None if named is None else named[1]


def _trajectory(folder: Path, tag: str, place: Path) -> Source:
    """``images_<tag>.pt`` with ``labels_<tag>.pt`` and, where there is one, ``lr_<tag>.pt`` beside it."""
    files = [(part, folder / f"{part}_{tag}.pt") for part in PARTS]
    for part, path in files[:2]:
        if not path.is_file():
            raise DataError(f"{place}: {part}_{tag}.pt is missing beside it; a set is its images and its labels")
    label = folder.resolve().name + ("" if tag == "best" else f" {tag}")
    return Source(label, "trajectory", place, tuple((part, path) for part, path in files if path.is_file()))


def _of_folder(path: Path) -> Source:
    label = path.resolve().name
    tags = sorted(file.stem.partition("_")[2] for file in path.glob("images_*.pt"))
    if tags:
        if "best" not in tags and len(tags) > 1:
            raise DataError(f"{path}: holds images_{tags[0]}.pt, images_{tags[1]}.pt …: name the one to read")
        return _trajectory(path, "best" if "best" in tags else tags[0], path)
    parquet = sorted(path.glob("*.parquet")) + sorted(path.glob("data/*.parquet"))
    extra = [(name, path / name) for name in (MANIFEST, LABELS) if (path / name).is_file()]
    if parquet:
        if len(parquet) > 1:
            raise DataError(f"{path}: holds {len(parquet)} parquet files: name the one to read")
        return Source(label, "parquet", path, (("file", parquet[0]), *extra))
    images = image_files(path)
    if not images:
        raise DataError(f"{path}: holds neither images_best.pt nor a folder of images for each class; {_READ}")
    named = [(str(file.relative_to(path)), file) for file in images]
    return Source(label, "folder", path, (*extra, *named))


def image_files(folder: Path) -> Sequence[Path]:
    """The images in the class folders of a folder, in the order of their names; nothing below a hidden name.

    Raises:
        DataError: If a folder cannot be listed.
    """
    found = files_below(level(folder).folders, Passed(), SUFFIXES)
    return [file for files in found for file in files]
