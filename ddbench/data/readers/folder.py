"""``folder:PATH``: one folder of image files for each class, with optional train/, val/ and test/ on top. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddbench.core.errors import DataError
from ddbench.data.readers.images import Survey, file_stream
from ddbench.data.readers.raw import Labels, PartName, RawDataset

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"})
_PARTS: dict[PartName, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test",),
}


def read(path: Path) -> RawDataset:
    """Read a tree of images; classes are numbered in the order of their folders' names.

    All images grey: one channel; otherwise three.

    Raises:
        DataError: If there are no images, fewer than two classes, an unreadable image, or images that are not square
            or of different sizes; the message names the file.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder")
    tops = {part: top for part, names in _PARTS.items() if (top := _first_folder(path, names)) is not None}
    if "train" not in tops:
        if tops:
            raise DataError(
                f"there is {' and '.join(top.name for top in tops.values())}/ but no train/ with class folders"
            )
        tops = {"train": path}
    class_names = tuple(folder.name for folder in _folders(tops["train"]))
    if class_names and {*class_names} <= {name for names in _PARTS.values() for name in names}:
        raise DataError(f"{' and '.join(class_names)} below {path} hold no class folders")
    survey = Survey()
    fields: dict[str, Any] = {}
    files = {part: _files(top, class_names) for part, top in tops.items()}
    if not any(paths for paths, _ in files.values()):
        raise DataError(f"no images ({', '.join(sorted(SUFFIXES))}) in class folders below {path}")
    for paths, _ in files.values():
        for file in paths:
            survey.add(file, str(file))
    for part, (paths, labels) in files.items():
        fields[f"{part}_images"], fields[f"{part}_labels"] = file_stream(paths, survey), labels
    return RawDataset(class_names=class_names, notes=survey.notes(), **fields)


def _first_folder(path: Path, names: Sequence[str]) -> Path | None:
    """The folder of a part: called so, and holding class folders (a class may be called ``test``)."""
    return next((path / name for name in names if (path / name).is_dir() and _folders(path / name)), None)


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _files(top: Path, class_names: Sequence[str]) -> tuple[list[Path], Labels]:
    """All images below the class folders of ``top``, class by class, and their labels [N]."""
    numbers = {name: number for number, name in enumerate(class_names)}
    paths: list[Path] = []
    labels: list[int] = []
    for folder in _folders(top):
        if folder.name not in numbers:
            raise DataError(f"{folder} is a class that train does not have")
        found = sorted(
            file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        paths += found
        labels += [numbers[folder.name]] * len(found)
    return paths, np.array(labels, dtype=np.int64)
