"""Hyper-parameters of DSA. No torch."""

from typing import Literal

from pydantic import Field

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.params import GradientMatchingParams, too_few_images


class DSAParams(GradientMatchingParams):
    """Hyper-parameters of DSA; defaults follow the authors' README at ipc 1."""

    init: Literal["real", "noise"] = Field(
        default="real", description="start from random's real images, or from N(0, 1) noise [normalised units]"
    )

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """Budgets that real images cannot initialise."""
        return too_few_images(cell, data) if self.init == "real" else None
