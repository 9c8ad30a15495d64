"""Hyper-parameters of KIP. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench import CellSpec, DatasetInfo, DistillationParams
from ddbench.blocks.kernel_names import KernelParams
from ddbench.blocks.params import too_few_images


class KIPParams(KernelParams, DistillationParams):
    """Hyper-parameters of KIP; defaults follow the authors' notebook for fully connected kernels."""

    effort: ClassVar[tuple[str, ...]] = ("iterations", "batch_real")
    continues: ClassVar[bool] = True

    iterations: NonNegativeInt = Field(default=1000, description="outer steps, each with a new batch of real images")
    learn_labels: bool = Field(default=False, description="whether labels are learned, too; else onehot − 1/C")
    lr: float = Field(default=0.04, gt=0, description="Adam learning rate of images [normalised units] and of labels")
    batch_real: PositiveInt = Field(
        default=500, description="real images per class and step; all where a class has fewer"
    )
    init: Literal["real", "noise"] = Field(
        default="real", description="first images: random's; N(0, 1) noise [normalised units]"
    )

    @property
    def centred_labels(self) -> bool:
        """Learned ones are."""
        return self.learn_labels

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """Budgets that real images cannot initialise, and kernels that are too large."""
        short = too_few_images(cell, data) if self.init == "real" else None
        return short or super().unsupported(cell, data)

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """As the base, with learned labels."""
        return (super().stored_bytes(n, data) or 0) + (4 * n * data.classes if self.learn_labels else 0)
