"""Small data sets in the exact formats that users have, written from scratch; shared by the tests of ddbench.data."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ddbench.core.api import DatasetRecord
from ddbench.core.plugin.registry import Origin, Registry
from ddbench.data.catalog import DATASETS

Array = npt.NDArray[Any]


def known() -> Registry[DatasetRecord]:
    """A registry with ddbench's own data sets, which may hold what tests make up."""
    registry: Registry[DatasetRecord] = Registry("data set", "ddbench list datasets", DatasetRecord)
    draft = registry.draft(Origin("ddbench", "ddbench", "", "tests"))
    for record in DATASETS:
        draft.add(replace(record, contents=None))
    draft.commit()
    return registry


def pixels(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def cycle(count: int, classes: int = 10) -> Array:
    """Labels 0, 1, …, K-1, 0, 1, …"""
    return np.arange(count) % classes


def encoded(image: Array, kind: str = "PNG") -> bytes:
    """One image [H, W] or [H, W, 3] as a file's content."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def write_idx(path: Path, array: Array) -> None:
    content = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(
    folder: Path, suffix: str = ".gz", size: int = 28, *, count: int = 40, tests: int = 20
) -> tuple[Array, Array]:
    """``count`` training and ``tests`` test images; returns the training images and labels."""
    train, labels = pixels(count, size, size), cycle(count).astype(np.uint8)
    write_idx(folder / f"train-images-idx3-ubyte{suffix}", train)
    write_idx(folder / f"train-labels-idx1-ubyte{suffix}", labels)
    write_idx(folder / f"t10k-images-idx3-ubyte{suffix}", pixels(tests, size, size, seed=1))
    write_idx(folder / f"t10k-labels-idx1-ubyte{suffix}", cycle(tests).astype(np.uint8))
    return train, labels


def pickled(content: Any) -> bytes:
    return pickle.dumps(content, protocol=2)


def write_tar(path: Path, members: Iterable[tuple[str, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def cifar10_members(count: int = 20) -> list[tuple[str, bytes]]:
    """Members of ``cifar-10-python.tar.gz`` with ``count`` images a batch, keys as Python 2 wrote them."""
    inner = "cifar-10-batches-py"
    members = [(f"{inner}/batches.meta", pickled({b"label_names": [f"class{c}".encode() for c in range(10)]}))]
    for seed, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        batch = {b"data": pixels(count, 3072, seed=seed), b"labels": cycle(count).tolist(), b"batch_label": b"x"}
        members.append((f"{inner}/{name}", pickled(batch)))
    return members


def cifar100_members(train: int = 300, test: int = 100) -> list[tuple[str, bytes]]:
    members = [("cifar-100-python/meta", pickled({"fine_label_names": [f"fine{c}" for c in range(100)]}))]
    for name, count in (("train", train), ("test", test)):
        batch = {
            "data": pixels(count, 3072, seed=count),
            "fine_labels": cycle(count, 100).tolist(),
            "coarse_labels": cycle(count, 20).tolist(),
        }
        members.append((f"cifar-100-python/{name}", pickled(batch)))
    return members


TINY_WNIDS = ("n03", "n01", "n02")
"""Not sorted, as in the official ``wnids.txt``."""


def tiny_members() -> list[tuple[str, bytes]]:
    """Three classes with 4 training and 2 validation JPEGs each; the first training image is grey."""
    top = "tiny-imagenet-200"
    words = "n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane\nn04\tunused\n"
    members = [(f"{top}/wnids.txt", "\n".join(TINY_WNIDS).encode()), (f"{top}/words.txt", words.encode())]
    annotations = []
    for c, wnid in enumerate(TINY_WNIDS):
        for i in range(4):
            image = pixels(64, 64, seed=i) if c == i == 0 else pixels(64, 64, 3, seed=10 * c + i)
            members.append((f"{top}/train/{wnid}/images/{wnid}_{i}.JPEG", encoded(image, "JPEG")))
        for i in range(2):
            name = f"val_{i * 3 + c}.JPEG"
            members.append((f"{top}/val/images/{name}", encoded(pixels(64, 64, 3, seed=50 + 3 * i + c), "JPEG")))
            annotations.append(f"{name}\t{wnid}\t0\t0\t62\t62\n")
    return [*members, (f"{top}/val/val_annotations.txt", "".join(annotations).encode())]


def write_members(folder: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    for name, content in members:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_parquet(
    path: Path, images: Array, labels: Array, *, names: list[str] | None = None, rows: int = 7, label: str = "label"
) -> None:
    """A Hugging Face image parquet file of PNGs [N, H, W(, 3)], ``rows`` rows a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = pa.array(
        [{"bytes": encoded(image), "path": None} for image in images],
        type=pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    table = pa.table({"picture": column, label: pa.array(labels.tolist())})
    if names is not None:
        features = {"picture": {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows)


def write_folder(folder: Path, per_class: int = 12, classes: tuple[str, ...] = ("cat", "dog"), size: int = 8) -> Path:
    """One folder of RGB PNGs a class."""
    for c, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            (folder / name / f"{i:03d}.png").write_bytes(encoded(pixels(size, size, 3, seed=100 * c + i)))
    return folder


def write_npz(path: Path, per_class: int = 10, classes: int = 3, **more: Array) -> Path:
    count = per_class * classes
    arrays = {"x_train": pixels(count, 8, 8), "y_train": cycle(count, classes), **more}
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path
