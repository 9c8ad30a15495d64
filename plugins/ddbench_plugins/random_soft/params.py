"""Hyper-parameters of random_soft. No torch."""

from pydantic import Field, PositiveInt

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.params import PoolParams, too_few_images


class RandomSoftParams(PoolParams):
    """The pool whose labels are used; as a control it takes over the pool of the method that it stands beside."""

    snapshots: PositiveInt = Field(
        default=5,
        description="equally spaced snapshots of the experts, the best of which on val gives the labels; 1: the last",
    )

    @property
    def chooses_on_val(self) -> bool:
        """Where there is a choice."""
        return self.snapshots > 1

    @property
    def steps(self) -> int:
        """One snapshot per step."""
        return self.snapshots

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As :class:`PoolParams`, and a choice on val where there is none."""
        if self.snapshots > 1 and not data.n_val:
            return "there is no val to choose the experts' snapshot on: set random_soft.snapshots=1 for the last one"
        return super().unsupported(cell, data) or too_few_images(cell, data)
