"""From pixels in [0, 1] to the space that networks see: mean/std, or ZCA whitening."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ddbench.core.api import Preprocess
from ddbench.data.space.matrices import read_matrices


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


Rows = Callable[[Tensor], Tensor]
"""Pixels [n, C, H, W] in [0, 1] → the rows [n, D] that are whitened; may overwrite its argument."""


def fronts(mean: Sequence[float], std: Sequence[float], device: torch.device) -> dict[str, Rows]:
    """What happens to images before they are whitened, by variant (docs/explanation/data.md).

    Args:
        mean: Per-channel mean of pixels in [0, 1].
        std: Per-channel standard deviation.
        device: Where images will be.
    """
    standardise = Standardise(Preprocess(id="meanstd", mean=tuple(mean), std=tuple(std)), device)

    def unit(pixels: Tensor) -> Tensor:
        rows = standardise(pixels).flatten(1)
        rows = rows - rows.mean(dim=1, keepdim=True)
        length: Tensor = rows.norm(dim=1, keepdim=True)
        return rows / length.clamp_min(1e-12)

    return {
        "kornia": lambda pixels: pixels.flatten(1),
        "frepo": lambda pixels: standardise(pixels).flatten(1),
        "kip": unit,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Whiten:
    """(x − mean) W on rows, W symmetric.

    Attributes:
        preprocess: Id, and the hash of the matrices.
        mean: [D] float32.
        matrix: W [D, D] float32, or its factor F [D, n].
        rows: Images → rows.
        rest: Of W = rest · I − F Fᵀ; None: ``matrix`` is W itself.
    """

    preprocess: Preprocess
    mean: Tensor
    matrix: Tensor
    rows: Rows
    rest: float | None = None

    @property
    def cheap(self) -> bool:
        """2·D² operations an image (4·D·n with a factor), and matrix products round differently for other batches."""
        return False

    def __call__(self, pixels: Tensor) -> Tensor:
        """Whiten; a batch may be of any size."""
        centred = self.rows(pixels) - self.mean
        if self.rest is None:
            return (centred @ self.matrix).view_as(pixels)
        return (self.rest * centred).addmm_(centred @ self.matrix, self.matrix.T, alpha=-1).view_as(pixels)


def load_whitening(preprocess_id: str, place: Path, device: torch.device, rows: Rows) -> Whiten:
    """Read the matrices that an artifact of kind ``zca`` holds.

    Args:
        preprocess_id: A key of :data:`ddbench.data.space.ids.ZCA`.
        place: The artifact's folder, or the file itself.
        device: Where images will be.
        rows: What comes before: one of :func:`fronts`.

    Raises:
        DataError: If the file is missing or damaged.
    """
    found = read_matrices(place)
    thin = found.whiten is None
    mean, matrix = (torch.tensor(part, device=device) for part in (found.mean, found.factor if thin else found.whiten))
    declared = Preprocess(id=preprocess_id, matrices=found.sha256)
    return Whiten(declared, mean, matrix, rows, found.rest if thin else None)
