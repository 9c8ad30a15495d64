"""TinyImageNet in its official layout: a folder, or a zip or tar of one. The official val is the test set. No torch.

``train/<wnid>/images/*.JPEG``, ``val/images/*.JPEG`` with ``val/val_annotations.txt`` (file, wnid, box), ``wnids.txt``
(the order of the classes) and ``words.txt`` (their names). The official test images have no labels and are not read.

Scripts that bring val into class folders for other loaders are understood: ``val/<wnid>/images/*.JPEG`` or
``val/<wnid>/*.JPEG``, with or without the annotations, and ``train/<wnid>/*.JPEG``. The order of images stays the
official one, and so does the revision.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ddbench.core.errors import DataError
from ddbench.data.readers.archives import is_archive, unpack
from ddbench.data.readers.framing import PLAIN, Framing
from ddbench.data.readers.images import Survey, file_stream
from ddbench.data.readers.raw import Labels, RawDataset
from ddbench.data.readers.walk import Passed, level, shown

NAME = "tiny-imagenet-200"
SUFFIX = ".JPEG"
HIDDEN = (SUFFIX.lower(),)
ANNOTATIONS = "val_annotations.txt"
_PACKED = ".tar, .tar.gz, .tar.xz"


def read(path: Path, framing: Framing = PLAIN) -> RawDataset:
    """Read TinyImageNet from ``path``, ``path/tiny-imagenet-200``, or an archive that is or lies at ``path``.

    Args:
        path: The folder or archive.
        framing: How images of any shape become squares of one size.

    Raises:
        DataError: If the layout is not the official one, or an image is unreadable or of another size.
    """
    root = _root(path)
    if root is not None:
        return _read_layout(root, framing)
    archive = path if is_archive(path) else next(iter(sorted(p for p in path.glob(f"{NAME}*") if is_archive(p))), None)
    if archive is None:
        raise DataError(_missing(path) or f"{path} holds neither train/ and val/ nor {NAME}.zip (or {_PACKED})")
    scratch = TemporaryDirectory(prefix="ddbench-")
    try:
        unpack(archive, Path(scratch.name))
        root = _root(Path(scratch.name))
        if root is None:
            raise DataError(f"{archive}: {_missing(Path(scratch.name)) or 'holds no train/ and val/'}")
        return replace(_read_layout(root, framing), scratch=scratch)
    except BaseException:
        scratch.cleanup()
        raise


def _root(path: Path) -> Path | None:
    """The folder with train/ and val/: ``path``, or one directly below it."""
    return next((place for place in _places(path) if (place / "train").is_dir() and _val_of(place) is not None), None)


def _places(path: Path) -> tuple[Path, ...]:
    return (path, path / NAME, *level(path).folders) if path.is_dir() else ()


def _val_of(root: Path) -> Path | None:
    """val/, if it says which image is of which class: by its annotations, or by folders called as those of train/."""
    val = root / "val"
    if (val / ANNOTATIONS).is_file():
        return val
    classes = {folder.name for folder in level(root / "train").folders} if val.is_dir() else set()
    return val if classes and any(folder.name in classes for folder in level(val).folders) else None


def _missing(path: Path) -> str | None:
    """What a folder lacks that has a train/; None: it has none."""
    root = next((place for place in _places(path) if (place / "train").is_dir()), None)
    if root is None:
        return None
    inner = "" if root == path else f"{root.name}/"
    if not (root / "val").is_dir():
        return f"{shown(path)} holds {inner}train/ but no {inner}val/"
    return (
        f"{shown(path)}: {inner}val/ holds neither {ANNOTATIONS} nor folders called like those of train/, so its images"
        f" have no labels: put {ANNOTATIONS} of the official archive there"
    )


def _read_layout(root: Path, framing: Framing) -> RawDataset:
    wnids = _wnids(root)
    numbers = {wnid: number for number, wnid in enumerate(wnids)}
    passed = Passed()
    train = _in_folders(root / "train", numbers, passed)
    train.sort(key=lambda item: item[1])  # stable: the files of a class stay in the order of their names
    val = root / "val"
    classes = _in_folders(val, numbers, passed)
    if (val / ANNOTATIONS).is_file():
        test = _annotated(val, numbers)
        beside = level(val / "images").files if (val / "images").is_dir() else []
        passed.folders.pop("val/images", None)
        listed = {file for file, _ in test}
        passed.loose += sum(
            file.suffix == SUFFIX and file not in listed for file in [*beside, *(file for file, _ in classes)]
        )
        _count_others(beside, passed)
    else:
        test = sorted(classes, key=lambda item: _number(item[0]))
    if not train or not test:
        raise DataError(f"no {SUFFIX} images in {'train' if not train else 'val'}")
    survey = Survey(framing)
    survey.add_all(lambda: ((file, shown(file.relative_to(root))) for file, _ in (*train, *test)))
    return RawDataset(
        train_images=file_stream([file for file, _ in train], survey),
        train_labels=_labels(train),
        class_names=_names(root, wnids),
        test_images=file_stream([file for file, _ in test], survey),
        test_labels=_labels(test),
        notes=(*survey.notes(), *passed.notes()),
    )


def _in_folders(top: Path, numbers: dict[str, int], passed: Passed) -> list[tuple[Path, int]]:
    """Images of class folders, ``<wnid>/images/*.JPEG`` or ``<wnid>/*.JPEG``, with their labels."""
    found: list[tuple[Path, int]] = []
    for folder in level(top, passed).folders:
        inner = level(folder / "images", passed, HIDDEN).files if (folder / "images").is_dir() else []
        files = level(folder, passed, HIDDEN).files
        if any(file.suffix == SUFFIX for file in inner):
            passed.loose += sum(file.suffix == SUFFIX for file in files)
            files = inner
        if folder.name in numbers:
            found += [(file, numbers[folder.name]) for file in files if file.suffix == SUFFIX]
            _count_others(files, passed)
        elif files:
            passed.folders[shown(f"{top.name}/{folder.name}")] += len(files)
    return found


def _number(file: Path) -> tuple[int, str]:
    """``val_12.JPEG`` comes after ``val_2.JPEG``, as in the annotations."""
    return int((re.findall(r"\d+", file.stem) or ["0"])[-1]), file.name


def _count_others(files: Sequence[Path], passed: Passed) -> None:
    for file in files:
        if file.suffix != SUFFIX:
            passed.file(file)


def _wnids(root: Path) -> tuple[str, ...]:
    """Class ids in the order of ``wnids.txt``, else sorted."""
    listed = root / "wnids.txt"
    if listed.is_file():
        return tuple(listed.read_text(encoding="utf-8").split())
    return tuple(sorted(entry.name for entry in (root / "train").iterdir() if entry.is_dir()))


def _names(root: Path, wnids: Sequence[str]) -> tuple[str, ...]:
    """The first word that ``words.txt`` gives a class; its id where that is missing or taken (there are two cranes)."""
    words = root / "words.txt"
    if not words.is_file():
        return tuple(wnids)
    lines = (line.partition("\t") for line in words.read_text(encoding="utf-8").splitlines())
    known = {wnid: text.split(",")[0].strip() for wnid, _, text in lines}
    names = [known.get(wnid) or wnid for wnid in wnids]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({wnid})" for name, wnid in zip(names, wnids, strict=True)
    )


def _annotated(folder: Path, numbers: dict[str, int]) -> list[tuple[Path, int]]:
    """Files of val with their labels, in the order of the annotations; where somebody moved them to their classes."""
    found = []
    for line in (folder / ANNOTATIONS).read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        name, wnid = [*line.split("\t"), ""][:2]
        if wnid not in numbers:
            raise DataError(f"{ANNOTATIONS}: {name} belongs to {wnid!r}, which is none of the classes")
        homes = (folder / "images", folder / wnid / "images", folder / wnid)
        places = [home / Path(name).name for home in homes]
        found.append((next((place for place in places if place.exists()), places[0]), numbers[wnid]))
    return found


def _labels(items: Sequence[tuple[Path, int]]) -> Labels:
    return np.array([label for _, label in items], dtype=np.int64)
