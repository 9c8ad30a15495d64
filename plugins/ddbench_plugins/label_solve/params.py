"""Hyper-parameters of Label Solve. No torch."""

from pydantic import Field, PositiveInt

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.kernel_names import KernelParams
from ddbench.blocks.params import too_few_images


class LabelSolveParams(KernelParams):
    """The kernel, and its ridge; there is nothing to tune."""

    rows: PositiveInt = Field(default=2048, description="real images at once, which decides memory and the last digits")

    @property
    def centred_labels(self) -> bool:
        """Solved for as regression targets."""
        return True

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """A class cannot give more real images than it has, and kernels that are too large."""
        return too_few_images(cell, data) or super().unsupported(cell, data)
