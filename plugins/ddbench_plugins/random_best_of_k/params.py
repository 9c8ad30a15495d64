"""Hyper-parameters of random_best_of_k. No torch."""

from pydantic import Field, PositiveInt

from ddbench import CellSpec, DatasetInfo, Params
from ddbench.blocks.params import too_few_images


class RandomBestOfKParams(Params):
    """How many sets there are to choose from; 1 is ``random``."""

    k: PositiveInt = Field(default=5, description="random sets, of which the best on val is kept")

    @property
    def chooses_on_val(self) -> bool:
        """Where there is a choice."""
        return self.k > 1

    @property
    def steps(self) -> int:
        """One per set."""
        return self.k

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """A class cannot give more real images than it has, and there must be something to choose by."""
        if self.k > 1 and not data.n_val:
            return "there is no val to choose a set on (--split paper)"
        return too_few_images(cell, data)
