"""Hyper-parameters of LD. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench import CellSpec, DatasetInfo, DistillationParams
from ddbench.blocks.params import too_few_images


class LDParams(DistillationParams):
    """Hyper-parameters of LD; defaults follow the authors' MNIST settings."""

    effort: ClassVar[tuple[str, ...]] = ("iterations", "batch_real")
    continues: ClassVar[bool] = True
    without_statistics: ClassVar[str] = (
        "batch norm's statistics are no part of a gradient step; only -in and -nn are supported"
    )

    iterations: NonNegativeInt = Field(default=20_000, description="outer steps, one for each batch of real images")
    variant: Literal["second_order", "ridge"] = Field(
        default="second_order", description="labels learn through a network's SGD step, or through a ridge regression"
    )
    batch_real: PositiveInt = Field(default=1024, description="real images per step; all where there are fewer")
    batch_syn: NonNegativeInt = Field(
        default=0, description="images with learned labels per step; 0: 10 of up to 20, 25 of up to 50, 50 of more"
    )
    lr_labels: float = Field(default=1e-3, gt=0, description="Adam learning rate of the labels [probability]")
    lr_inner: float = Field(
        default=0.01, gt=0, description="second_order: the SGD step that is looked through [per update]"
    )
    lr_net: float = Field(default=1e-3, gt=0, description="Adam learning rate of the network [per update]")
    ridge: float = Field(default=1.0, gt=0, description="ridge: λ of the regression [squared features]")
    mix: float = Field(default=0.01, gt=0, le=1, description="ridge: weight of a batch's own solution in W")
    lr_scale: float = Field(default=0.01, gt=0, description="ridge: Adam learning rate of the logits' scale a")
    patience: NonNegativeInt = Field(
        default=0,
        description="g, steps of the moving mean of the error, and without a lower one before the network starts anew; "
        "0: 50, of more than 100 images 200, from 49 classes on 100",
    )

    def batch(self, n: int) -> int:
        """Images with learned labels per step, of ``n``."""
        return min(n, self.batch_syn or (10 if n <= 20 else 25 if n <= 50 else 50))

    def gap(self, n: int, classes: int) -> int:
        """G, for ``n`` images of so many classes."""
        return self.patience or (100 if classes >= 49 else 200 if n > 100 else 50)

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """Classes that have too few images."""
        return too_few_images(cell, data)

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """Real images, a float32 for each class of each, and the recipe's learning rate."""
        return n * (data.image_bytes + 4 * data.classes) + 4

    def stored_pixels(self, n: int, data: DatasetInfo) -> int | None:
        """No pixel is stored as float32."""
        return None
