"""The file of a whitening: its mean and its matrix. No torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError

MATRICES = "matrices.safetensors"

Array: TypeAlias = npt.NDArray[np.float32]


def read_matrices(place: Path) -> tuple[Array, Array, str]:
    """What an artifact of kind ``zca`` holds: mean [D], W [D, D] and the sha256 of their file.

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
        return arrays["mean"], arrays["whiten"], hashlib.sha256(content).hexdigest()
    except Exception as error:
        raise DataError(f"{path}: cannot read whitening matrices: {type(error).__name__}: {error}") from error
