"""Whether tensors of a foreign file can be worked with at all, looked at before anything is computed from them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ddbench.core.errors import DataError
from ddbench.data.readers.archives import refuse_larger

LARGEST = 16 << 30
"""Bytes of numbers that a file may stand for: twenty times the largest set that was ever published."""
SMALL = 64 << 20
"""Bytes up to which a file may hold one number for many, as an expanded tensor does."""
_NUMBERS = (
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.uint16, torch.uint32, torch.uint64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
)  # fmt: skip


def check_tensor(tensor: Tensor, what: str, where: str, dimensions: tuple[int, ...]) -> None:
    """Refuse a tensor that is not plain numbers in memory.

    Args:
        tensor: What a file holds.
        what: What it should be: ``images``.
        where: The file, for messages.
        dimensions: How many it may have.

    Raises:
        DataError: If it is sparse, quantised, nested, complex or of another kind of numbers, without content (meta), of
            other dimensions, empty, or stands for more than its file holds.
    """
    problem = _kind(tensor) or _extent(tensor, dimensions)
    if problem is not None:
        raise DataError(f"{where}: {what} are {problem}; save plain tensors of numbers")
    if not tensor.numel():
        raise DataError(f"{where}: holds no {what} (shape {list(tensor.shape)})")


def _kind(tensor: Tensor) -> str | None:
    layout = str(tensor.layout).removeprefix("torch.")
    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_nested or layout != "strided":
        return f"a {'nested' if tensor.is_nested else layout.replace('_', ' ')} tensor"
    if tensor.device.type != "cpu":
        return f"on device {tensor.device}, without content"
    if tensor.is_quantized or tensor.dtype not in _NUMBERS:
        return f"of {dtype}"
    return None


def _extent(tensor: Tensor, dimensions: tuple[int, ...]) -> str | None:
    shape = list(tensor.shape)
    if tensor.ndim not in dimensions:
        return f"of shape {shape}, where {' or '.join(map(str, dimensions))} dimensions are expected"
    stands_for, held = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if stands_for > LARGEST:
        return f"of shape {shape}: {stands_for / 2**30:,.0f} GiB"
    if stands_for > max(held, SMALL):
        return f"of shape {shape}: {stands_for / 2**20:,.0f} MiB, of which the file holds {held / 2**20:,.1f}"
    return None


def check_archive(path: Path) -> None:
    """Refuse a zip file that would unpack to more than a set can be.

    Raises:
        DataError: If it would.
    """
    refuse_larger(path, LARGEST)
