"""Hyper-parameters of IDC. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.params import GradientMatchingParams


class IDCParams(GradientMatchingParams):
    """Hyper-parameters of IDC; defaults follow the authors' settings for MNIST-like data at ipc 10."""

    effort: ClassVar[tuple[str, ...]] = (*GradientMatchingParams.effort, "batch_syn", "net_images")
    without_statistics: ClassVar[str] = (
        "batch norm's statistics would move with every class that is matched; only -in and -nn are supported"
    )

    parametrisation: Literal["pixels", "multi-formation", "upsampled"] = Field(
        default="multi-formation", description="what is stored; pixels: the authors' IDC-I"
    )
    iterations: NonNegativeInt = Field(default=2000, description="K, fresh networks")
    outer_steps: PositiveInt = Field(default=100, description="T, matchings of every class per network")
    batch_real: PositiveInt = Field(default=64, description="real images per class and matching")
    batch_syn: PositiveInt = Field(default=128, description="decoded images per class and matching, at most")
    lr_img: float = Field(default=1e-4, gt=0, description="SGD learning rate on pixels [in units of 0 … 1]")
    metric: Literal["l1", "mse"] = Field(
        default="l1", description="distance of two gradients: sum of absolute or of squared differences"
    )
    cutout: bool = Field(default=True, description="whether batches that are matched are cut out as well")
    batch_net: PositiveInt = Field(default=64, description="real images per update of the network")
    net_images: NonNegativeInt = Field(
        default=500, description="real images that train the network between two matchings, rounded up to whole batches"
    )
    momentum_net: float = Field(default=0.9, ge=0, lt=1, description="SGD momentum of the network")
    decay_net: float = Field(default=5e-4, ge=0, description="SGD weight decay of the network")
    cutmix: float = Field(default=0.5, ge=0, le=1, description="share of the network's batches that are CutMixed")

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, whitened images, and nets without convolutions."""
        if cell.arch.startswith("mlp"):
            return "the distance compares gradients of convolutions, and an mlp has none"
        if not cell.data.preprocess.startswith("meanstd"):
            return "pixels are kept within 0 … 1, which whitened ones are not"
        return super().unsupported(cell, data)
