"""TinyImageNet in its official layout: a folder, or a zip or tar of one. The official val is the test set. No torch.

``train/<wnid>/images/*.JPEG``, ``val/images/*.JPEG`` with ``val/val_annotations.txt`` (file, wnid, box), ``wnids.txt``
(the order of the classes) and ``words.txt`` (their names). The official test images have no labels and are not read.
"""

from __future__ import annotations

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
        raise DataError(f"{path} holds neither train/ and val/ nor {NAME}.zip (or .tar, .tar.gz, .tar.xz)")
    scratch = TemporaryDirectory(prefix="ddbench-")
    try:
        unpack(archive, Path(scratch.name))
        root = _root(Path(scratch.name))
        if root is None:
            raise DataError(f"{archive} holds no train/ and val/val_annotations.txt")
        return replace(_read_layout(root, framing), scratch=scratch)
    except BaseException:
        scratch.cleanup()
        raise


def _root(path: Path) -> Path | None:
    """The folder with train/ and val/: ``path``, or one directly below it."""
    if not path.is_dir():
        return None
    below = (path / NAME, *level(path).folders)
    return next(
        (p for p in (path, *below) if (p / "train").is_dir() and (p / "val/val_annotations.txt").is_file()), None
    )


def _read_layout(root: Path, framing: Framing) -> RawDataset:
    wnids = _wnids(root)
    numbers = {wnid: number for number, wnid in enumerate(wnids)}
    passed = Passed()
    train: list[tuple[Path, int]] = []
    for folder in level(root / "train", passed).folders:
        found = level(folder / "images", passed, HIDDEN).files if (folder / "images").is_dir() else []
        if folder.name not in numbers:
            passed.folders[shown(f"train/{folder.name}")] += len(found)
            continue
        train += [(file, numbers[folder.name]) for file in found if file.suffix == SUFFIX]
        _count_others(found, passed)
    train.sort(key=lambda item: item[1])  # stable: the files of a class stay in the order of their names
    test = _annotated(root / "val", numbers)
    listed = {file.name for file, _ in test}
    beside = level(root / "val/images", passed, HIDDEN).files if (root / "val/images").is_dir() else []
    passed.loose += sum(file.suffix == SUFFIX and file.name not in listed for file in beside)
    _count_others(beside, passed)
    if not train or not test:
        raise DataError(f"no {SUFFIX} images in {'train' if not train else 'val'}")
    survey = Survey(framing)
    survey.add_all((file, shown(file.relative_to(root))) for file, _ in (*train, *test))
    return RawDataset(
        train_images=file_stream([file for file, _ in train], survey),
        train_labels=_labels(train),
        class_names=_names(root, wnids),
        test_images=file_stream([file for file, _ in test], survey),
        test_labels=_labels(test),
        notes=(*survey.notes(), *passed.notes()),
    )


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
    """Files of val with their labels, in the order of the annotations."""
    found = []
    for line in (folder / "val_annotations.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        name, wnid = [*line.split("\t"), ""][:2]
        if wnid not in numbers:
            raise DataError(f"val_annotations.txt: {name} belongs to {wnid!r}, which is none of the classes")
        found.append((folder / "images" / Path(name).name, numbers[wnid]))
    return found


def _labels(items: Sequence[tuple[Path, int]]) -> Labels:
    return np.array([label for _, label in items], dtype=np.int64)
