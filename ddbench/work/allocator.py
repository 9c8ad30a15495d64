"""What becomes of memory that is freed: kept for the next step, or given back to the system. glibc only. No torch."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Literal

from ddbench.core.settings import keeps_memory

STEADY = 32 * 2**20
"""Bytes from which a block is mapped by itself, where memory is given back; fixed, because left alone it drifts."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # malloc.h
_LARGEST = 2**31 - 1

Freed = Literal["kept", "returned", ""]
"""What an allocator was told to do with freed memory; empty: there is nothing to tell it."""


def keep_freed() -> Freed:
    """Keep what is freed, unless ``$DDBENCH_KEEP_MEMORY`` is ``0``; repeating the call changes nothing.

    A training step frees blocks of tens of MB. glibc maps such blocks one by one and unmaps them at once, so that the
    kernel clears the same pages again in every step: 40 to 46 % of the time of a step at 28 or 32 pixels. Sums are the
    same either way. Where memory is given back, the size from which blocks are mapped is fixed, because the heap
    fragments while it drifts: peak memory of 80 equal steps was then twice that of 10.

    Returns:
        What this allocator does now.
    """
    if not keeps_memory():
        return "returned" if _set(_MMAP_THRESHOLD, STEADY) else ""
    return "kept" if _set(_MMAP_MAX, 0) and _set(_TRIM_THRESHOLD, _LARGEST) else ""


def give_back() -> None:
    """Give back what is kept and unused: between nodes, so that one does not pay for the memory of another."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no "this process" library
        ctypes.CDLL(None).malloc_trim(0)


def _set(name: int, value: int) -> bool:
    """Whether the allocator took a setting: musl and others have no ``mallopt``, and a sandbox may refuse it."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        return bool(ctypes.CDLL(None).mallopt(name, value))
    return False
