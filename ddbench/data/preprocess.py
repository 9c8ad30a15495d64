"""From pixels in [0, 1] to the space that networks see: mean/std, or ZCA whitening."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file
from torch import Tensor

from ddbench.api import Preprocess
from ddbench.errors import DataError

MATRICES = "matrices.safetensors"


class Transform(Protocol):
    """A preprocessing that can be applied."""

    @property
    def preprocess(self) -> Preprocess:
        """What is declared of images that went through it."""
        ...

    @property
    def cheap(self) -> bool:
        """Whether applying it again costs little beside a training step, and gives the same bits for any batch."""
        ...

    def __call__(self, pixels: Tensor) -> Tensor:
        """Pixels [n, C, H, W] float32 in [0, 1] → images of the same shape; may overwrite ``pixels``."""
        ...


class Standardise:
    """(x − mean) / std per channel.

    Args:
        preprocess: Id and constants.
        device: Where images will be.
    """

    cheap = True

    def __init__(self, preprocess: Preprocess, device: torch.device) -> None:
        self.preprocess = preprocess
        self._mean = torch.tensor(preprocess.mean, dtype=torch.float32, device=device)[:, None, None]
        self._std = torch.tensor(preprocess.std, dtype=torch.float32, device=device)[:, None, None]

    def __call__(self, pixels: Tensor) -> Tensor:
        """In place, element by element: the same bits for any batch."""
        return pixels.sub_(self._mean).div_(self._std)


@dataclass(frozen=True, slots=True, eq=False)
class Whiten:
    """(x − mean) W on flattened images, W symmetric.

    Attributes:
        preprocess: Id, and the hash of the matrices.
        mean: [D] float32.
        matrix: [D, D] float32.
    """

    preprocess: Preprocess
    mean: Tensor
    matrix: Tensor

    @property
    def cheap(self) -> bool:
        """2·D² operations an image, and matrix products round differently for different batches."""
        return False

    def __call__(self, pixels: Tensor) -> Tensor:
        """Whiten; a batch may be of any size."""
        return ((pixels.flatten(1) - self.mean) @ self.matrix).view_as(pixels)


def load_whitening(preprocess_id: str, place: Path, device: torch.device) -> Whiten:
    """Read the matrices that an artifact of kind ``zca`` holds.

    Args:
        preprocess_id: ``zca-kornia``.
        place: The artifact's folder, or the file itself.
        device: Where images will be.

    Raises:
        DataError: If the file is missing or damaged.
    """
    path = place / MATRICES if place.is_dir() else place
    try:
        content = path.read_bytes()
        tensors = load_file(path, device=str(device))
        mean, matrix = tensors["mean"], tensors["whiten"]
    except Exception as error:
        raise DataError(f"{path}: cannot read whitening matrices: {type(error).__name__}: {error}") from error
    declared = Preprocess(id=preprocess_id, matrices=hashlib.sha256(content).hexdigest())
    return Whiten(declared, mean, matrix)
