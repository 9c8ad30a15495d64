"""Unpickle NumPy arrays in plain containers, and nothing else: no file can make this run code."""

from __future__ import annotations

import pickle
from typing import IO, Any

import numpy as np
from numpy._core import multiarray

from ddbench.core.errors import DataError


def _encode(text: str, encoding: str) -> bytes:
    """Python 3 writes bytes at protocol 2 as latin-1 text; no other codec is needed."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec {encoding!r} is not allowed")
    return text.encode("latin1")


def _bytes(*nothing: object) -> bytes:
    """How protocol 2 spells empty bytes."""
    if nothing:
        raise pickle.UnpicklingError("bytes with arguments are not allowed")
    return b""


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _bytes,
    ("builtins", "bytes"): _bytes,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed: only arrays, numbers and text are") from None


def load_arrays(file: IO[bytes], where: str) -> Any:
    """Unpickle arrays, numbers, text, lists and dicts (Python 2's strings become bytes).

    Raises:
        DataError: If the file is damaged, or holds anything else.
    """
    try:
        return _ArrayUnpickler(file, encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(f"{where}: not loaded: {error}") from error
