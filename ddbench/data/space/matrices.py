"""The file of a whitening: its mean and its matrix. No torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError

MATRICES = "matrices.safetensors"

Array: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Matrices:
    """A whitening (x − mean) W, W symmetric: a matrix, or rest · I − F Fᵀ.

    Attributes:
        sha256: Of their file.
        mean: [D].
        whiten: W [D, D]; None: it is kept thin.
        factor: F [D, n]; None likewise: it is a matrix.
        rest: What W multiplies rows by that F does not reach.
    """

    sha256: str
    mean: Array
    whiten: Array | None = None
    factor: Array | None = None
    rest: float = 0.0


def read_matrices(place: Path) -> Matrices:
    """What an artifact of kind ``zca`` holds.

    Args:
        place: The artifact's folder, or the file itself.

    Raises:
        DataError: If the file is missing or damaged.
    """
    from safetensors.numpy import load

    path = place / MATRICES if place.is_dir() else place
    try:
        content = path.read_bytes()
        arrays = load(content)
        sha256, mean = hashlib.sha256(content).hexdigest(), arrays["mean"]
        if "factor" in arrays:
            return Matrices(sha256, mean, factor=arrays["factor"], rest=float(arrays["rest"][0]))
        return Matrices(sha256, mean, whiten=arrays["whiten"])
    except Exception as error:
        raise DataError(f"{path}: cannot read whitening matrices: {type(error).__name__}: {error}") from error
