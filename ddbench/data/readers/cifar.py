"""CIFAR-10 and CIFAR-100 from the official Python archives or their unpacked folders. No torch.

Each batch is a pickled dict: ``data`` uint8 [n, 3072] (channel, row, column) and a list of labels.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddbench.core.errors import DataError
from ddbench.core.words import plural
from ddbench.data.readers.archives import unpacked
from ddbench.data.readers.raw import ImageStream, Labels, Pixels, RawDataset
from ddbench.data.readers.unpickle import load_arrays
from ddbench.data.readers.walk import entries, shown

_BATCH = re.compile(r"(data|train|test|val\w*)_batch\w*", re.IGNORECASE)
"""Names that batches have."""


def cifar10(folder: Path) -> RawDataset:
    """CIFAR-10 from ``cifar-10-python.tar.gz`` or ``cifar-10-batches-py/`` in ``folder``, or from either itself."""
    return _read(
        folder,
        "cifar-10-python.tar.gz",
        "cifar-10-batches-py",
        train=[f"data_batch_{number}" for number in range(1, 6)],
        test="test_batch",
        labels=b"labels",
        meta="batches.meta",
        names=b"label_names",
        classes=10,
    )


def cifar100(folder: Path) -> RawDataset:
    """CIFAR-100 with its fine labels from ``cifar-100-python.tar.gz`` or ``cifar-100-python/``, as :func:`cifar10`."""
    return _read(
        folder,
        "cifar-100-python.tar.gz",
        "cifar-100-python",
        train=["train"],
        test="test",
        labels=b"fine_labels",
        meta="meta",
        names=b"fine_label_names",
        classes=100,
    )


def either(place: Path) -> RawDataset:
    """``cifar:PATH``: a copy of CIFAR-10 or CIFAR-100 as its Python archive has it, whatever that is called."""
    if place.is_file():
        with unpacked(place) as target:
            return either(Path(target))
    tens = [place / inner / name for inner in ("", "cifar-10-batches-py") for name in ("data_batch_1", "test_batch")]
    hundreds = [place / inner / name for inner in ("", "cifar-100-python") for name in ("train", "test")]
    ten = any(file.is_file() for file in tens) or (place / "cifar-10-python.tar.gz").is_file()
    hundred = any(file.is_file() for file in hundreds) or (place / "cifar-100-python.tar.gz").is_file()
    if ten == hundred:
        how = "both CIFAR-10 and CIFAR-100: name one" if ten else "neither batches of CIFAR-10 nor of CIFAR-100"
        raise DataError(f"{shown(place)} holds {how}")
    return cifar10(place) if ten else cifar100(place)


def _read(
    folder: Path,
    archive: str,
    inner: str,
    *,
    train: Sequence[str],
    test: str,
    labels: bytes,
    meta: str,
    names: bytes,
    classes: int,
) -> RawDataset:
    """Read all batches; they are small enough to be kept, one array each."""
    place = next((p for p in (folder, folder / inner) if (p / train[0]).is_file()), None)
    if place is None:
        packed = folder if folder.is_file() else folder / archive
        if not packed.is_file():
            raise DataError(f"{folder} holds neither {archive} nor {inner}/")
        with unpacked(packed) as target:
            return _read(
                Path(target),
                archive,
                inner,
                train=train,
                test=test,
                labels=labels,
                meta=meta,
                names=names,
                classes=classes,
            )
    train_images, train_labels = _part([place / name for name in train], labels)
    test_images, test_labels = _part([place / test], labels)
    class_names = _class_names(place / meta, names, classes)
    notes = _unread(place, {*train, test})
    return RawDataset(train_images, train_labels, class_names, test_images, test_labels, notes=notes)


def _unread(place: Path, read: Collection[str]) -> tuple[str, ...]:
    """A note on batches beside those that such a data set has: ``data_batch_6``."""
    found = sorted(entry.name for entry in entries(place) if _BATCH.fullmatch(entry.name))
    more = [name for name in found if name not in read]
    return (f"batches not read: {', '.join(more)}",) if more else ()


def _part(files: Sequence[Path], label_key: bytes) -> tuple[ImageStream, Labels]:
    batches = [_batch(file, label_key) for file in files]

    def chunks() -> Iterator[Pixels]:
        return (images for images, _ in batches)

    count = sum(len(images) for images, _ in batches)
    return ImageStream((count, 3, 32, 32), chunks), np.concatenate([labels for _, labels in batches])


def _batch(file: Path, label_key: bytes) -> tuple[Pixels, Labels]:
    """One batch: uint8 [n, 3, 32, 32] and int64 [n]."""
    content = _load(file)
    images, labels = np.asarray(content.get(b"data")), content.get(label_key)
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != 3072:
        raise DataError(f"{file.name}: data is {images.dtype}{list(images.shape)}, expected uint8 [n, 3072]")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise DataError(f"{file.name}: no list of integers under {label_key.decode()!r}")
    if len(labels) != len(images):
        raise DataError(f"{file.name}: {plural(len(images), 'image')} but {plural(len(labels), 'label')}")
    return images.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


def _class_names(file: Path, key: bytes, classes: int) -> tuple[str, ...]:
    """Names from the meta file, numbers without one."""
    if not file.is_file():
        return tuple(map(str, range(classes)))
    names = _load(file).get(key)
    if not isinstance(names, list) or len(names) != classes:
        raise DataError(f"{file.name}: no list of {classes} names under {key.decode()!r}")
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)


def _load(file: Path) -> dict[bytes, Any]:
    """A batch with bytes as keys, whichever Python wrote it."""
    if not file.is_file():
        raise DataError(f"{file.name} is missing beside the other batches")
    with file.open("rb") as opened:
        content = load_arrays(opened, file.name)
    if not isinstance(content, dict):
        raise DataError(f"{file.name}: holds {type(content).__name__}, not a dict")
    return {key.encode() if isinstance(key, str) else key: value for key, value in content.items()}
