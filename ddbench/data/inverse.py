"""Back from the space that networks see to pixels: the inverse of :mod:`ddbench.data.preprocess`, for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ddbench.api import Preprocess
from ddbench.data.preprocess import fronts, load_whitening
from ddbench.data.spaces import ZCA
from ddbench.errors import DataError


def unstandardise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Undo (x − mean) / std per channel of images [n, C, H, W]; values may lie outside [0, 1]."""
    shape = (1, -1, 1, 1)
    return images * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)


def unwhiten(images: Tensor, space: Preprocess, place: Path, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Undo the whitening of images, and what came before it as far as it can be undone.

    ``zca-kornia`` and ``zca-frepo`` give the pixels back to float precision. ``zca-kip`` divided each image by its own
    norm after taking off its own mean, so what comes back is centred and of norm 1: contrast and brightness are gone.

    Args:
        images: [n, C, H, W] float32.
        space: What the set declares; names the whitening and the hash of its matrices.
        place: Folder of the ``zca`` artifact, or its file.
        mean: Per-channel mean of ``meanstd``, which ``zca-frepo`` standardised with.
        std: Per-channel standard deviation likewise.

    Returns:
        [n, C, H, W] float32; values may lie outside [0, 1].

    Raises:
        DataError: If the matrices are missing, damaged, or others than the set declares.
    """
    centre, inverse = _inverse(space, place)
    rows = images.flatten(1).to(torch.float64) @ inverse + centre
    restored = rows.to(torch.float32).view_as(images)
    return unstandardise(restored, mean, std) if ZCA[space.id] == "frepo" else restored


@lru_cache(maxsize=1)
def _inverse(space: Preprocess, place: Path) -> tuple[Tensor, Tensor]:
    """Mean [D] and W⁻¹ [D, D], float64; kept, because the snapshots of one set are shown together."""
    device = torch.device("cpu")
    found = load_whitening(space.id, place, device, fronts((0.0,), (1.0,), device)["kornia"])
    if found.preprocess.matrices != space.matrices:
        raise DataError(f"{place}: other whitening matrices than those the set was made with")
    return found.mean.to(torch.float64), torch.linalg.inv(found.matrix.to(torch.float64))
