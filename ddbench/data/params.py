"""Parameters of the artifact kinds of ``ddbench.data``. No torch."""

from __future__ import annotations

from pydantic import Field

from ddbench.api import Params


class ZCAParams(Params):
    """How the whitening matrices are fitted."""

    eps: float = Field(default=0.1, gt=0, description="added to every eigenvalue of the covariance of [0, 1] pixels")
