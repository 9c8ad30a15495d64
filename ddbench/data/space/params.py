"""Parameters of the artifact kinds of ``ddbench.data``, and what their building takes. No torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ddbench.core.api import Params


class ZCAParams(Params):
    """How the whitening matrices are fitted: three things in the literature go by the name of ZCA."""

    variant: Literal["kornia", "frepo", "kip"] = Field(
        default="kornia",
        description="kornia: centred pixels in [0, 1], covariance / (n − 1); frepo: standardised per channel, centred, "
        "covariance / n; kip: standardised, then each image centred and divided by its norm, second moment / n",
    )
    eps: float = Field(
        default=0.1, gt=0, description="added to every eigenvalue; kornia: as it is, else times the mean eigenvalue"
    )


DENSE = 16_384
"""D = C·H·W up to which a whitening is a matrix [D, D] in any case, whatever the number of images."""


def is_thin(count: int, size: int) -> bool:
    """Whether a whitening is kept as a multiple of the identity and a thin factor [D, n], instead of as a matrix.

    Never by what memory there is: results follow from the data alone.

    Args:
        count: n, images that it is fitted on.
        size: D, numbers of an image.
    """
    return size > DENSE and count < size


def fitting_mb(count: int, size: int) -> float:
    """Largest memory that fitting takes beside the images as they are stored, an upper bound [MB].

    Args:
        count: n, images that it is fitted on.
        size: D, numbers of an image.
    """
    if is_thin(count, size):  # rows, factor and a copy, float32; four matrices of images; what is float64 at a time
        return (12 * count * size + 4 * 8 * count**2) / 2**20 + 200
    return 6 * 8 * size**2 / 2**20  # covariance, its eigenvectors, LAPACK's two, and their product
