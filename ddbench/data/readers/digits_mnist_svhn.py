"""Readers of digits, and of MNIST, FashionMNIST, SVHN and others in the files that torchvision uses. No torch."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError
from ddbench.data.official import CLOTHES, TEN
from ddbench.data.readers.matfile import load_mat
from ddbench.data.readers.numbers import numbered
from ddbench.data.readers.raw import ImageStream, Labels, PartName, Pixels, RawDataset
from ddbench.data.readers.troubles import LFS, is_lfs
from ddbench.data.readers.walk import shown


def digits(folder: Path) -> RawDataset:
    """Scikit-learn's digits: 1797 grey images of 8×8 pixels with values 0 … 16; ``folder`` is not used."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = bunch.images.astype(np.uint8)[:, None]
    return RawDataset(images, bunch.target.astype(np.int64), TEN, levels=16, holdout=(300, 300))


def mnist(folder: Path) -> RawDataset:
    """MNIST from its four IDX files, gzipped or not, in ``folder``, ``folder/raw`` or ``folder/MNIST/raw``."""
    return _idx_dataset(folder, "MNIST", TEN)


def fashionmnist(folder: Path) -> RawDataset:
    """FashionMNIST from its four IDX files, as :func:`mnist` (``folder/FashionMNIST/raw``)."""
    return _idx_dataset(folder, "FashionMNIST", CLOTHES)


def idx(folder: Path) -> RawDataset:
    """``idx:PATH``: any four IDX files as MNIST has them: a copy of it, KMNIST, one split of EMNIST.

    Names may begin with the name of the set (``emnist-letters-train-images-idx3-ubyte.gz``), and test files may be
    called ``t10k`` or ``test``. Classes are called by their numbers.
    """
    homes = [folder, folder / "raw", *sorted(folder.glob("*/raw"))]
    found = [(home, prefix) for home in homes for prefix in _idx_prefixes(home)]
    if not found:
        raise DataError(f"{shown(folder)} holds no train-images-idx3-ubyte[.gz], nor do raw/ and */raw/")
    if len(found) > 1:
        several = ", ".join(f"{home.relative_to(folder) / prefix}train-images" for home, prefix in found)
        raise DataError(f"{shown(folder)} holds several data sets ({several}): put the four files of one into a folder")
    ((home, prefix),) = found
    test = "t10k" if _idx_file(home, f"{prefix}t10k-images") else "test"
    train_images, train_labels = _idx_part(home, f"{prefix}train")
    test_images, test_labels = _idx_part(home, f"{prefix}{test}")
    names: dict[PartName, str] = {"train": f"{prefix}train-labels", "test": f"{prefix}{test}-labels"}
    settled = numbered({"train": train_labels, "test": test_labels}, names)
    return RawDataset(
        train_images, settled.labels["train"], settled.class_names, test_images, settled.labels["test"],
        notes=settled.notes,
    )  # fmt: skip


def _idx_prefixes(home: Path) -> list[str]:
    """What stands before ``train-images`` in the names of a folder's IDX files."""
    if not home.is_dir():
        return []
    found = (re.fullmatch(r"(.*)train-images[-.]idx3-ubyte(?:\.gz)?", file.name) for file in sorted(home.iterdir()))
    return list(dict.fromkeys(match[1] for match in found if match is not None))


def svhn_copy(folder: Path) -> RawDataset:
    """``svhn:PATH``: as :func:`svhn`; a note names the extra images, which are not read."""
    raw = svhn(folder)
    extra = folder / "extra_32x32.mat"
    return replace(raw, notes=(f"{extra.name} not read",)) if extra.exists() else raw


def svhn(folder: Path) -> RawDataset:
    """SVHN from ``train_32x32.mat`` and ``test_32x32.mat``; label 10 of the files is the digit 0."""
    (train, train_labels), (test, test_labels) = (
        _svhn_part(folder / f"{part}_32x32.mat") for part in ("train", "test")
    )
    return RawDataset(train, train_labels, TEN, test, test_labels)


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped when its name ends in ``.gz``.

    Format: two zero bytes, type 0x08, number of dimensions d, d big-endian uint32 sizes, the values.

    Raises:
        DataError: If the file is damaged or of another type.
    """
    if is_lfs(path):
        raise DataError(f"{path}: {LFS}")
    opener: Any = gzip.open if path.suffix == ".gz" else Path.open
    try:
        with opener(path, "rb") as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file ({error})") from error
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
        raise DataError(f"{path}: not an IDX file of unsigned bytes")
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    values = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * data[3])
    if len(values) != int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{path}: holds {len(values)} values where its header promises {list(shape)}")
    return values.reshape(shape)


def _idx_dataset(folder: Path, name: str, class_names: tuple[str, ...]) -> RawDataset:
    home = next(
        (place for place in (folder, folder / "raw", folder / name / "raw") if _idx_file(place, "train-images")), None
    )
    if home is None:
        raise DataError(f"no train-images-idx3-ubyte[.gz] here, nor in raw/ or {name}/raw/")
    (train, train_labels), (test, test_labels) = (_idx_part(home, prefix) for prefix in ("train", "t10k"))
    return RawDataset(train, train_labels, class_names, test, test_labels)


def _idx_part(folder: Path, prefix: str) -> tuple[Pixels, Labels]:
    arrays = []
    for what, dimensions in (("images", 3), ("labels", 1)):
        path = _idx_file(folder, f"{prefix}-{what}")
        if path is None:
            raise DataError(f"{folder} holds no {prefix}-{what}-idx{dimensions}-ubyte[.gz]")
        array = read_idx(path)
        _refuse_others(path, array, _idx_files(folder, f"{prefix}-{what}")[1:])
        if array.ndim != dimensions:
            raise DataError(f"{path}: {array.ndim} dimensions where {what} have {dimensions}")
        arrays.append(array)
    images, labels = arrays
    return images[:, None], labels.astype(np.int64)


def _idx_file(folder: Path, stem: str) -> Path | None:
    """The file that is read."""
    return next(iter(_idx_files(folder, stem)), None)


def _idx_files(folder: Path, stem: str) -> list[Path]:
    """The file as distributed, unpacked, or unpacked under the name with a dot that some archives use."""
    dimensions = 3 if stem.endswith("images") else 1
    names = (f"{stem}-idx{dimensions}-ubyte", f"{stem}.idx{dimensions}-ubyte")
    return [path for name in names for suffix in ("", ".gz") if (path := folder / f"{name}{suffix}").is_file()]


def _refuse_others(path: Path, array: npt.NDArray[np.uint8], others: Sequence[Path]) -> None:
    """Refuse files of the same name, packed or not, that hold something else: nobody knows which is meant."""
    for other in others:
        try:
            same = np.array_equal(read_idx(other), array)
        except DataError as error:
            raise DataError(f"{error}; {path.name} lies beside it: keep one of the two there") from error
        if not same:
            raise DataError(f"{path} and {other.name} beside it hold different data: keep one of the two there")


def _svhn_part(path: Path) -> tuple[ImageStream, Labels]:
    if not path.is_file():
        raise DataError(f"{path.parent} holds no {path.name}")
    content = load_mat(path, ("X", "y"))
    images, labels = content["X"], content["y"].ravel().astype(np.int64)
    if images.ndim != 4 or images.dtype != np.uint8:
        raise DataError(f"{path}: X is {images.dtype}{list(images.shape)}, expected uint8 [H, W, C, N]")
    height, width, channels, count = images.shape

    def chunks(size: int = 4096) -> Iterator[Pixels]:
        for start in range(0, count, size):
            yield images[..., start : start + size].transpose(3, 2, 0, 1)

    return ImageStream((count, channels, height, width), chunks), np.where(labels == 10, 0, labels)
