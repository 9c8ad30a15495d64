"""A condensed set as a picture: one row per class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ddbench.errors import UsageError
from ddbench.files import atomic_file

if TYPE_CHECKING:
    from torch import Tensor

    from ddbench.api import CondensedSet
    from ddbench.records import Record

SIDE = 64
"""Smallest side of one image in the picture [pixels]; small images are enlarged by whole factors."""


def picture(condensed: CondensedSet, record: Record, target: Path, per_class: int = 20) -> None:
    """Write a PNG with the first ``per_class`` images of each class.

    Whitened images are shown stretched to their own range, others as pixels.

    Raises:
        UsageError: If ``target`` does not end in ``.png``.
        StoreError: If it cannot be written.
    """
    import torch
    from torchvision.utils import make_grid, save_image

    if target.suffix != ".png":
        raise UsageError(f"--to {target}: a picture's name ends in .png")
    labels = condensed.labels if condensed.labels.ndim == 1 else condensed.labels.argmax(1)
    rows = [(labels == c).nonzero().flatten()[:per_class] for c in torch.unique(labels)]
    columns = max(len(row) for row in rows)
    pixels = _pixels(condensed, record)
    blank = pixels.new_ones(1, *pixels.shape[1:])
    tiles = [blank.repeat(columns, 1, 1, 1).index_copy(0, row.new_tensor(range(len(row))), pixels[row]) for row in rows]
    factor = max(1, SIDE // pixels.shape[-1])
    enlarged = [tile.repeat_interleave(factor, 2).repeat_interleave(factor, 3) for tile in tiles]
    grid = make_grid([image for tile in enlarged for image in tile], nrow=columns, padding=2, pad_value=1.0)
    atomic_file(target, lambda temporary: save_image(grid, temporary, format="png"))


def _pixels(condensed: CondensedSet, record: Record) -> Tensor:
    """Images [n, C, H, W] as pixels in [0, 1]."""
    import torch

    if condensed.images is None:
        from ddbench.data.split import open_splits
        from ddbench.specs import DataSpec

        data = DataSpec.model_validate(record.spec["cell"]["data"]).model_copy(update={"preprocess": "meanstd"})
        assert condensed.indices is not None
        return open_splits(data, device="cpu")[0].pixels(condensed.indices)
    images = condensed.images
    if condensed.preprocess.matrices is not None:
        low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        return (images - low) / (high - low).clamp_min(1e-12)
    mean, std = (torch.tensor(part).view(1, -1, 1, 1) for part in (condensed.preprocess.mean, condensed.preprocess.std))
    return (images * std + mean).clamp(0, 1)
