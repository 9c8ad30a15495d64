"""Parameters of the artifact kinds of ``ddbench.data``. No torch."""

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
