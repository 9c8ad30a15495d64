"""Hyper-parameters of EL2N. No torch."""

from typing import Literal

from pydantic import Field

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.dynamics_params import EARLY, EarlyParams


class EL2NParams(EarlyParams):
    """When errors are measured."""

    window: Literal["epoch", "first_ten"] = Field(
        default="epoch",
        description="errors after epoch k, or those of one network summed over its first ten epochs of training",
    )

    @property
    def looked_at(self) -> int:
        """Up to k, or the tenth epoch."""
        return min(EARLY, self.epochs) if self.window == "first_ten" else super().looked_at

    @property
    def other_nets(self) -> int:
        """All but the first, or none."""
        return 0 if self.window == "first_ten" else super().other_nets

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, and trainings that have no ten epochs."""
        if self.window == "first_ten" and self.epochs < EARLY:
            return f"window first_ten needs {EARLY} epochs, and there are {self.epochs}: raise epochs"
        return super().unsupported(cell, data)
