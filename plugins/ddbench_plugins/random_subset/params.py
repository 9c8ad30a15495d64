"""Hyper-parameters of random. No torch."""

from ddbench import CellSpec, DatasetInfo, Params
from ddbench.blocks.params import too_few_images


class RandomSubsetParams(Params):
    """Random has none."""

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """A class cannot give more real images than it has."""
        return too_few_images(cell, data)
