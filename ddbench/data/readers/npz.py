"""``npz:PATH``: a NumPy archive with images and labels of train and, optionally, val and test. No torch.

Keys are ``x_train``, ``y_train`` … or the usual other spellings: ``X_test``, ``test_images``, ``valid_labels``; without
a part (``images``, ``labels``) they are train.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError
from ddbench.data.readers.archives import refuse_larger
from ddbench.data.readers.columns import texts_numbered
from ddbench.data.readers.numbers import Numbered, numbered, whole
from ddbench.data.readers.parts import split_name, word_part, words
from ddbench.data.readers.raw import PARTS, PartName, Pixels, RawDataset
from ddbench.data.readers.troubles import LFS, is_lfs

Role: TypeAlias = Literal["images", "labels"]
_IMAGES = frozenset({"x", "image", "images", "img", "imgs", "pixels", "picture", "pictures"})
_LABELS = frozenset({"y", "label", "labels", "target", "targets"})
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Key:
    """What the name of an array says.

    Attributes:
        part: The part that it speaks of, if it does.
        role: Images or labels; None: neither.
        plain: Whether it says nothing else.
    """

    part: PartName | None
    role: Role | None
    plain: bool


LARGEST = 64 << 30
"""Bytes that an archive may unpack to."""


def read(path: Path) -> RawDataset:
    """Read images [N, H, W], [N, H, W, C] or [N, C, H, W] and labels [N] or [N, 1].

    Pixels are uint8, other integers in 0 … 255, booleans, or floats in [0, 1]; labels are whole numbers from 0, or from
    1, or texts, which a note says. Floats are rounded to 255 levels, which a note says. Nothing is unpickled. Arrays
    that are not read are named in a note.

    Raises:
        DataError: If an array is missing or of another form, or if one looks like a part and is not understood.
    """
    refuse_larger(path, LARGEST)
    try:
        archive = np.load(path, allow_pickle=False)
        names = list(archive.files)
    except Exception as error:  # not a zip, a single array, no file at all
        raise DataError(f"{path}: {no_archive(path, error)}") from error
    fields: dict[str, Any] = {}
    notes: list[str] = []
    labels: dict[PartName, npt.NDArray[Any]] = {}
    with archive:
        keys = _keys(path, names)
        for part, (x, y) in keys.items():
            fields[f"{part}_images"] = _pixels(_array(archive, x), x, notes)
            labels[part] = _array(archive, y)
    found = _numbers(labels, {part: y for part, (_, y) in keys.items()})
    fields |= {f"{part}_labels": values for part, values in found.labels.items()}
    unread = sorted(set(names) - {name for pair in keys.values() for name in pair})
    if unread:
        notes.append(f"arrays not read: {', '.join(unread)}")
    return RawDataset(class_names=found.class_names, notes=(*found.notes, *notes), **fields)


def understood(name: str) -> Key:
    """What an array's name says: ``X_test``, ``testX`` and ``test_images`` are the images of test."""
    found = [word for token in words(name) for word in _halves(token)]
    part, _ = split_name(" ".join(found))
    rest = [word for word in found if word_part(word) is None and not word.isdigit() and word not in ("set", "arr")]
    role: Role | None = None
    if any(word in _LABELS for word in rest):
        role = "labels"
    elif any(word in _IMAGES for word in rest) or rest == ["data"]:
        role = "images"
    plain = all(word in _IMAGES | _LABELS | {"data"} for word in rest)
    return Key(part, role, plain)


def _halves(word: str) -> Iterable[str]:
    """``xtrain`` and ``trainx`` are two words."""
    for one, other in ((word[:1], word[1:]), (word[-1:], word[:-1])):
        if one in ("x", "y") and word_part(other) is not None:
            return (one, other)
    return (word,)


def _keys(path: Path, names: list[str]) -> dict[PartName, tuple[str, str]]:
    """The names of images and labels of each part.

    Raises:
        DataError: If one of the two is missing, if two mean the same, or if a part is there that cannot be understood.
    """
    keys = {name: understood(name) for name in names}
    holds = f"it holds {', '.join(sorted(names)) or 'nothing'}"
    by_part: dict[PartName, dict[Role, list[str]]] = {}
    named = {key.part for key in keys.values() if key.plain}
    for name, key in keys.items():
        part = key.part or (None if "train" in named else "train")
        if key.plain and key.role is not None and part is not None:
            by_part.setdefault(part, {}).setdefault(key.role, []).append(name)
    found: dict[PartName, tuple[str, str]] = {}
    for part in PARTS:
        roles = by_part.get(part, {})
        for twice in roles.values():
            if len(twice) > 1:
                raise DataError(f"{path}: {' and '.join(sorted(twice))} both mean {part}; {holds}: keep one of them")
        if len(roles) == 2:
            found[part] = (roles["images"][0], roles["labels"][0])
        elif roles or part == "train":
            raise DataError(f"{path}: needs both x_{part} and y_{part}; {holds}")
    for name, key in keys.items():
        if key.part is not None and key.part not in found:
            raise DataError(
                f"{path}: {name} looks like a part of {key.part}, which is not read; {holds}: call its arrays"
                f" x_{key.part} and y_{key.part}, or leave it out"
            )
    if "test" not in found:
        _refuse_pairs(path, keys)
    return found


def _refuse_pairs(path: Path, keys: dict[str, Key]) -> None:
    """Refuse images and labels of something that may be the test part: ``x_holdout`` with ``y_holdout``."""
    rests: dict[str, list[str]] = {}
    for name, key in keys.items():
        if key.part is None and key.role is not None and not key.plain:
            rest = " ".join(word for word in words(name) if word not in _IMAGES | _LABELS)
            rests.setdefault(rest, []).append(name)
    pair = next((sorted(names) for names in rests.values() if len({keys[name].role for name in names}) > 1), None)
    if pair is not None:
        raise DataError(
            f"{path}: {' and '.join(pair)} look like images and labels of a part: call them x_test and y_test (or"
            " x_val and y_val), or leave them out"
        )


def _array(archive: Any, name: str) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = archive[name]
    except Exception as error:  # object arrays (refused), damaged members
        raise DataError(f"{name} cannot be read: {_reason(error)}") from error
    return array


def no_archive(path: Path, error: Exception) -> str:
    """Why a file that NumPy does not open as an archive of plain arrays is none, in words."""
    if is_lfs(path):
        return LFS
    if path.is_dir():
        return "is a folder; expected one file, as numpy.savez writes it"
    with suppress(OSError), path.open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            return "holds a single array (.npy), not an .npz archive: numpy.savez writes one, with images and labels"
    return f"not an .npz archive of plain arrays ({_reason(error)})"


def _reason(error: Exception) -> str:
    if "allow_pickle" in str(error):
        return (
            "it holds Python objects, which are not read because loading them runs code: save numbers, or texts as an"
            " array of fixed width, numpy.array(names, dtype=str)"
        )
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _numbers(labels: Mapping[PartName, npt.NDArray[Any]], names: Mapping[PartName, str]) -> Numbered:
    """Labels as numbers of classes; texts in the order of the classes' names."""
    texts = {part: name for part, name in names.items() if labels[part].dtype.kind in "US"}
    if not texts:
        return numbered({part: whole(found, names[part]) for part, found in labels.items()}, names)
    other = next((name for part, name in names.items() if part not in texts), None)
    if other is not None:
        raise DataError(f"{other} holds numbers and {next(iter(texts.values()))} texts: label all parts alike")
    odd = next((name for part, name in names.items() if labels[part].shape[:1] != (labels[part].size,)), None)
    if odd is not None:
        raise DataError(f"{odd} holds several texts for an image: multi-label data are not read")
    try:
        return Numbered(*texts_numbered({part: _texts(found) for part, found in labels.items()}))
    except UnicodeDecodeError as error:
        raise DataError(f"{' or '.join(texts.values())} holds a label that is not UTF-8") from error


def _texts(labels: npt.NDArray[Any]) -> list[str]:
    return [label.decode() if isinstance(label, bytes) else str(label) for label in labels.ravel().tolist()]


def _pixels(images: npt.NDArray[Any], name: str, notes: list[str]) -> Pixels:
    """As uint8 [N, C, H, W]; notes say what that changed."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(f"{name} has shape {list(images.shape)}; expected [N, H, W], [N, H, W, C] or [N, C, H, W]")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "biuf":
        raise DataError(f"{name} is {images.dtype}; expected uint8, or floats in [0, 1]")
    if images.dtype.kind in "iu":
        if images.size and not (images.min() >= 0 and images.max() <= 255):
            raise DataError(f"{name} holds integers from {images.min()} to {images.max()}; pixels are 0 … 255")
        return _converted(images, 1)
    if images.dtype.kind == "b":
        notes.append(f"{name}: pixels are true or false, read as 255 and 0")
        return _converted(images, 255)
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError(f"{name} holds values that are no finite numbers; pixels are floats in [0, 1]")
    if low < 0 or high > 1:
        raise DataError(
            f"{name} holds floats from {low:.3g} to {high:.3g}; pixels are floats in [0, 1], or whole numbers 0 … 255:"
            " undo what normalised them"
        )
    notes.append(f"{name}: {images.dtype} pixels were rounded to 8 bits")
    return _converted(images, 255)


def _converted(images: npt.NDArray[Any], scale: int) -> Pixels:
    """``scale`` times the values, rounded to uint8, in pieces."""
    found = np.empty(images.shape, dtype=np.uint8)
    for start in range(0, len(images), _CHUNK):
        piece = images[start : start + _CHUNK]
        found[start : start + _CHUNK] = piece if scale == 1 else np.rint(piece * float(scale))
    return found
