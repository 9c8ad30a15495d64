"""Which test images a student was right about, as a line of text: one bit each, so that records can hold it."""

from __future__ import annotations

import base64
import binascii

import numpy as np
import numpy.typing as npt


def pack(hits: npt.ArrayLike) -> str:
    """Base64 of the bits, the first test image in the highest bit of the first byte; 10,000 take 1,668 characters.

    Args:
        hits: [T] truth values, in the order of the test split.
    """
    return base64.b64encode(np.packbits(np.asarray(hits, dtype=bool)).tobytes()).decode()


def unpack(text: str, n: int) -> npt.NDArray[np.float64]:
    """What :func:`pack` was given: [n], 1.0 where the student was right.

    Raises:
        ValueError: If the text is no such line of ``n`` images.
    """
    try:
        raw = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except binascii.Error as error:
        raise ValueError(f"correctness is not base64: {error}") from None
    if len(raw) != -(-n // 8):
        raise ValueError(f"correctness has {len(raw)} bytes, {n} images take {-(-n // 8)}")
    return np.unpackbits(raw, count=n).astype(np.float64)
