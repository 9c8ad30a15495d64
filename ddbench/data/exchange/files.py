"""What the user points at and says: which files belong to one row, their hashes, and the flags. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from ddbench.core.errors import DataError
from ddbench.core.names import is_address
from ddbench.core.store.files import sha256_file
from ddbench.data.exchange import flax
from ddbench.data.readers.folder import SUFFIXES, class_folders, deeper
from ddbench.data.readers.troubles import LFS, Troubles, is_lfs
from ddbench.data.readers.walk import Passed, files_below

Form = Literal["pt", "trajectory", "npz", "safetensors", "parquet", "folder"]
Range = Literal["01", "255", "normalised"]
LabelSpace = Literal["hard", "probs", "logits", "centred"]

MANIFEST = "manifest.json"
LABELS = "labels.csv"
PARTS = ("images", "labels", "lr")
"""What the scripts of MTT and DATM write: ``<part>_best.pt``, or with an iteration's number for ``best``.

Submissions to DD-Ranking are ``<part>.pt``; sets that were cut into several files are ``<part>_best_0.pt`` …
"""
SINGLE = (".pt", ".pth", ".npz")
"""Files that are a set each; a folder may hold one of them."""
_CHUNK = re.compile(r"(best|part|chunk|piece|shard)_?(\d+)")

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
        files: (role, path) in a fixed order. Roles, not paths, enter hashes: ``images``, ``labels`` and ``lr``
            (``images 0`` … of a set in several files), a name relative to an image folder, or ``file``.
        notes: What lies beside them and is not read, and which of several names was taken.
    """

    label: str
    form: Form
    place: Path
    files: tuple[tuple[str, Path], ...]
    notes: tuple[str, ...] = ()

    def contents(self) -> list[list[str]]:
        """[role, sha256] of every file."""
        try:
            return [[role, sha256_file(path)] for role, path in self.files]
        except OSError as error:
            raise DataError(f"{self.place}: {error.strerror}") from error


def sources_of(paths: Iterable[Path]) -> list[Source]:
    """The rows that some paths stand for: ``images_best.pt`` and its partners are one.

    Raises:
        DataError: If a path is missing, or nothing that can be read; all such paths are named.
    """
    found: dict[tuple[tuple[str, Path], ...], Source] = {}
    with Troubles() as troubles:
        for path in paths:
            with troubles.noted():
                source = _source(path)
                found.setdefault(source.files, source)
    return list(found.values())


def _source(path: Path) -> Source:
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        if is_address(str(path)) and not path.exists():
            raise DataError(f"{path}: addresses are not read: download the file, and name it")
        what = "neither a file nor a folder: pipes, sockets and devices are not read"
        raise DataError(f"{path} is {what}" if path.exists() else f"{path}: no such file or folder")
    if is_lfs(path):
        raise DataError(f"{path}: {LFS}")
    part = part_of(path)
    if part is not None:
        return _trajectory(path.parent, path.stem.removeprefix(part).removeprefix("_"), path)
    form = FORMS.get(path.suffix.lower())
    if form is None and flax.wrote(path):
        raise DataError(flax.advice(path))
    if form is None:
        raise DataError(f"{path}: cannot read {path.suffix or 'files without suffix'}; {_READ}")
    files = [("file", path)]
    return Source(path.stem, form, path, tuple(files))


def part_of(path: Path) -> str | None:
    """Which part of a set a file is by its name: ``images_best.pt``, ``images.pt`` beside ``labels.pt``; else None."""
    named = re.fullmatch(rf"({'|'.join(PARTS)})(_\w+)?\.pt", path.name)
    if named is None or (named[2] is None and not all((path.parent / f"{part}.pt").is_file() for part in PARTS[:2])):
        return None
    return named[1]


def _trajectory(folder: Path, tag: str, place: Path) -> Source:
    """``images_<tag>.pt`` with ``labels_<tag>.pt`` and, where there is one, ``lr_<tag>.pt`` beside it.

    Raises:
        DataError: If a file is missing that belongs to a set.
    """
    chunk = _CHUNK.fullmatch(tag)
    if chunk is not None:
        return _chunks(folder, chunk[1], place)
    files = [(part, folder / _called(part, tag)) for part in PARTS]
    notes: tuple[str, ...] = ()
    if is_unwhitened(files[0][1]):
        files, notes = _of_unwhitened(folder, files, tag)
    for _, path in files[:2]:
        if not path.is_file() and place.is_file():
            return _alone(place)
        if not path.is_file():
            raise DataError(f"{place}: {lacks(path.name)}")
    label = folder.resolve().name + ("" if tag in ("best", "") else f" {tag}")
    return Source(label, "trajectory", place, tuple((part, path) for part, path in files if path.is_file()), notes)


def _alone(place: Path) -> Source:
    """A file without its partner, which may be a whole set: its content says it."""
    return Source(place.stem, "pt", place, (("file", place),))


def lacks(name: str) -> str:
    """What is said where a file of a set is not there."""
    return f"{name} is missing beside it; a set is its images and its labels"


def partner_of(path: Path) -> str | None:
    """The images or labels that belong to a file by its name and are not there; None where all are, or for others."""
    part = part_of(path)
    tag = path.stem.removeprefix(str(part)).removeprefix("_")
    names = [] if part is None else [_called(other, tag) for other in PARTS[:2]]
    return next((name for name in names if not (path.parent / name).is_file()), None)


def is_unwhitened(images: Path) -> bool:
    """Whether a file is called as MTT calls images of a whitened run that it turned back into pixels."""
    return images.name.startswith("images_zca")


def _of_unwhitened(
    folder: Path, files: Sequence[tuple[str, Path]], tag: str
) -> tuple[list[tuple[str, Path]], tuple[str, ...]]:
    """Labels and learning rates beside ``images_zca_best.pt``, which MTT writes once, as ``labels_best.pt``."""
    found, taken = [], []
    for part, own in files:
        path, plain = own, folder / _called(part, tag.removeprefix("zca").lstrip("_"))
        if part != "images" and not own.is_file() and plain.is_file():
            taken.append(plain.name)
            path = plain
        found.append((part, path))
    which = f"{' and '.join(taken)} taken with {files[0][1].name}"
    return found, (which,) if taken else ()


def _called(part: str, tag: str) -> str:
    return f"{part}_{tag}.pt" if tag else f"{part}.pt"


def _chunks(folder: Path, word: str, place: Path) -> Source:
    """A set in several files, ``images_best_0.pt`` …, in the order of their numbers, whichever of them was named.

    Raises:
        DataError: If one of them is missing.
    """
    found = {part: _numbered(folder, part, word) for part in PARTS}
    if place.is_file() and not (found["images"] and found["labels"]):
        return _alone(place)
    numbers = set(found["images"]) | set(found["labels"])
    first = min(1, *numbers) if len(numbers) > 1 else 0
    for part in PARTS[:2]:
        lost = [str(number) for number in range(first, max(numbers) + 1) if number not in found[part]]
        if lost:
            total = max(numbers) + 1 - first
            raise DataError(f"{place}: of {total} files of {part} number {', '.join(lost)} is missing")
    files = [(f"{part} {number}", path) for part in PARTS for number, path in sorted(found[part].items())]
    whole = folder / _called("lr", word)
    if not found["lr"] and whole.is_file():
        files.append(("lr", whole))
    label = folder.resolve().name + ("" if word == "best" else f" {word}")
    return Source(label, "trajectory", place, tuple(files))


def _numbered(folder: Path, part: str, word: str) -> dict[int, Path]:
    """The files ``<part>_<word>_<number>.pt`` of a folder by their numbers."""
    named = re.compile(rf"{part}_{word}_?(\d+)\.pt")
    found = sorted(
        (int(match[1]), path) for path in folder.glob(f"{part}_*.pt") if (match := named.fullmatch(path.name))
    )
    twice = [(a[1], b[1]) for a, b in pairwise(found) if a[0] == b[0]]
    if twice:
        raise DataError(f"{twice[0][0]} and {twice[0][1].name} have the same number: move one away")
    return dict(found)


def _of_folder(path: Path) -> Source:
    label = path.resolve().name
    tags = sorted(file.stem.partition("_")[2] for file in path.glob("images_*.pt"))
    if tags:
        chunks = {match and match[1] for match in map(_CHUNK.fullmatch, tags)}
        if "best" not in tags and len(tags) > 1 and (len(chunks) > 1 or None in chunks):
            raise DataError(f"{path}: holds images_{tags[0]}.pt, images_{tags[1]}.pt …: name the one to read")
        return _trajectory(path, "best" if "best" in tags else tags[0], path)
    if part_of(path / "images.pt") is not None:
        return _trajectory(path, "", path)
    parquet = sorted(path.glob("*.parquet")) + sorted(path.glob("data/*.parquet"))
    extra = [(name, path / name) for name in (MANIFEST, LABELS) if (path / name).is_file()]
    if parquet:
        if len(parquet) > 1:
            raise DataError(f"{path}: holds {len(parquet)} parquet files: name the one to read")
        return Source(label, "parquet", path, (("file", parquet[0]), *extra))
    images, notes = image_files(path)
    if images:
        named = [(str(file.relative_to(path)), file) for file in images]
        return Source(label, "folder", path, (*extra, *named), notes)
    return _only_file(path, label)


def _only_file(path: Path, label: str) -> Source:
    """The one file of a folder that is a set: ``data.pt`` of IDC, ``best.npz`` of RFAD.

    Raises:
        DataError: If there is none, or several.
    """
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    single = [file for file in files if file.suffix.lower() in SINGLE]
    if len(single) > 1:
        raise DataError(
            f"{path}: holds {single[0].name}, {single[1].name}{' …' * (len(single) > 2)}: name the one to read"
        )
    if single:
        return Source(label, FORMS[single[0].suffix.lower()], single[0], (("file", single[0]),))
    checkpoint = next((file for file in [path, *sorted(path.iterdir())] if flax.wrote(file)), None)
    if checkpoint is not None:
        raise DataError(flax.advice(checkpoint))
    raise DataError(f"{path}: holds neither images_best.pt nor a folder of images for each class; {_READ}")


def image_files(folder: Path) -> tuple[Sequence[Path], tuple[str, ...]]:
    """The images in the class folders of a folder, in the order of their names, and notes on what is not read of it.

    Nothing below a hidden name is read.

    Raises:
        DataError: If a folder cannot be listed.
    """
    passed = Passed()
    tops = class_folders(folder, passed)
    found = files_below(tops, passed, SUFFIXES)
    return [file for files in found for file in files], (*deeper(tops, found), *passed.notes())
