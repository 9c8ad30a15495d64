"""Hyper-parameters of DM. No torch."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench import CellSpec, DatasetInfo, DistillationParams
from ddbench.blocks.params import too_few_images


class DMParams(DistillationParams):
    """Hyper-parameters of DM; defaults follow the authors' CIFAR-10 script."""

    iterations: NonNegativeInt = Field(default=20_000, description="outer steps, each with a fresh random net")
    lr_img: float = Field(default=1.0, gt=0, description="SGD learning rate on pixels [normalised units]")
    momentum: float = Field(default=0.5, ge=0, lt=1, description="SGD momentum on pixels")
    batch_real: PositiveInt = Field(
        default=256, description="real images per class and step; all where a class has fewer"
    )
    init: Literal["real", "noise"] = Field(
        default="real", description="start from random's real images, or from N(0, 1) noise [normalised units]"
    )
    augment: Literal["dsa", "none"] = Field(
        default="dsa", description="transformation that both sides of a class share in a step"
    )

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """Budgets that real images cannot initialise."""
        return too_few_images(cell, data) if self.init == "real" else None
