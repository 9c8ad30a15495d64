"""Numbers in other types than ours: integers and booleans as pixels, grey images stored as RGB, unsigned labels."""

from __future__ import annotations

import torch
from torch import Tensor

from ddbench.core.errors import DataError


def as_pixels(images: Tensor, channels: int, where: str) -> tuple[Tensor, tuple[str, ...]]:
    """Images [n, …] as uint8 or floats, and what that changed.

    Args:
        images: Floats, integers in 0 … 255, or booleans (255 and 0).
        channels: Those of the data set. Where it has one, three equal ones are one.
        where: The file, for messages.

    Raises:
        DataError: If integers are outside 0 … 255.
    """
    notes: tuple[str, ...] = ()
    if images.dtype == torch.bool:
        images, notes = images.to(torch.uint8) * 255, ("pixels are true or false, read as 255 and 0",)
    elif not images.is_floating_point() and images.dtype != torch.uint8:
        kind = str(images.dtype).removeprefix("torch.")
        images = signed(images, where)
        low, high = int(images.min()), int(images.max())
        if low < 0 or high > 255:
            raise DataError(f"{where}: images hold {kind} from {low} to {high}; pixels are 0 … 255")
        images, notes = images.to(torch.uint8), (f"pixels are {kind}, read as 8 bits",)
    axis = _colours(images) if channels == 1 else None
    if axis is None:
        return images, notes
    first, *others = images.unbind(axis)
    if any(not torch.equal(first, other) for other in others):
        return images, notes  # refused for its shape
    return first.unsqueeze(1), (*notes, "grey images stored as RGB: three equal channels are one")


def _colours(images: Tensor) -> int | None:
    """The axis of three channels, where there is one."""
    if images.ndim != 4:
        return None
    return 1 if images.shape[1] == 3 else 3 if images.shape[3] == 3 else None


def signed(numbers: Tensor, where: str) -> Tensor:
    """Unsigned integers that torch hardly computes with, as int64; all else as it is.

    Raises:
        DataError: If one is too large for that.
    """
    if numbers.dtype not in (torch.uint16, torch.uint32, torch.uint64):
        return numbers
    found = numbers.numpy()
    if found.size and int(found.max()) >= 2**63:
        raise DataError(f"{where}: holds the number {found.max()}; labels are the numbers of classes, 0 … K-1")
    return torch.from_numpy(found.astype("int64"))
