"""The real images that all sides see: FashionMNIST's first, or noise of that shape. No torch before it is asked for."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from benchmarks.kit.case import CLASSES, Case
from benchmarks.kit.places import work

if TYPE_CHECKING:
    from torch import Tensor

TRAIN, VAL = 4000, 100
FASHION = Path(os.environ.get("FASHION", "/usr/share/datasets/fashion-mnist"))
MEAN, STD = 0.2861, 0.3530


def kind(case: Case) -> str:
    """``fashionmnist`` or ``noise``."""
    grey28 = (case.channels, case.size) == (1, 28)
    return "fashionmnist" if grey28 and (FASHION / "train-images-idx3-ubyte.gz").is_file() else "noise"


def archive(case: Case) -> Path:
    """The images as ``.npz``, which ddbench reads; written once."""
    path = work() / f"{kind(case)}_{case.channels}x{case.size}.npz"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            x, y = _fashion() if kind(case) == "fashionmnist" else _noise(case)
            parts = {"train": slice(TRAIN), "val": slice(TRAIN, TRAIN + VAL), "test": slice(TRAIN + VAL, None)}
            arrays = {f"{a}_{name}": v[part] for name, part in parts.items() for a, v in (("x", x), ("y", y))}
            partial = path.with_suffix(".part.npz")
            np.savez(partial, **arrays)
            partial.replace(path)
    return path


def _fashion() -> tuple[np.ndarray, np.ndarray]:
    def read(name: str, offset: int) -> np.ndarray:
        with gzip.open(FASHION / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=offset)

    n = TRAIN + 2 * VAL
    x, y = read("train-images-idx3-ubyte.gz", 16), read("train-labels-idx1-ubyte.gz", 8)
    return x.reshape(-1, 28, 28, 1)[:n], y[:n].astype(np.int64)


def _noise(case: Case) -> tuple[np.ndarray, np.ndarray]:
    n = TRAIN + 2 * VAL
    shape = (n, case.size, case.size, case.channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), np.arange(n) % CLASSES


def training_images(case: Case) -> tuple[Tensor, Tensor]:
    """Normalised images [4000, C, H, W] and labels [4000], on the CPU."""
    import torch

    with np.load(archive(case)) as arrays:
        x, y = torch.from_numpy(arrays["x_train"]), torch.from_numpy(arrays["y_train"])
    images = torch.empty(len(x), x.shape[3], *x.shape[1:3]).copy_(x.permute(0, 3, 1, 2))  # in memory as data sets are
    return (images / 255 - MEAN) / STD, y
