"""Hyper-parameters of DC. No torch."""

from typing import Literal

from pydantic import Field

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.params import GradientMatchingParams, too_few_images


class DCParams(GradientMatchingParams):
    """Hyper-parameters of DC; defaults follow the authors' script at ipc 1."""

    init: Literal["noise", "real"] = Field(
        default="noise", description="start from N(0, 1) noise [normalised units], or from random's real images"
    )

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """Budgets that real images cannot initialise."""
        return too_few_images(cell, data) if self.init == "real" else None
