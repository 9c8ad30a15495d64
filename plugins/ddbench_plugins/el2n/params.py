"""Hyper-parameters of EL2N. No torch."""

from typing import Literal

from pydantic import Field, PositiveInt

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.dynamics_params import EARLY, ScoreParams, first_tenth, kept_epochs


class EL2NParams(ScoreParams):
    """When errors are measured, and by how many networks."""

    nets: PositiveInt = Field(default=5, description="networks whose errors are averaged; first_ten: one is used")
    epoch: int = Field(
        default=-1, ge=-1, description="k, epochs of training before it; 0: untrained networks; -1: a tenth of all"
    )
    window: Literal["epoch", "first_ten"] = Field(
        default="epoch", description="errors after epoch k, or summed over the first ten epochs as training went on"
    )

    @property
    def looked_at(self) -> int:
        """Up to k, or the tenth epoch."""
        if self.window == "first_ten":
            return min(EARLY, self.epochs)
        return first_tenth(self.epochs) if self.epoch < 0 else self.epoch

    @property
    def other_nets(self) -> int:
        """All but the first."""
        return 0 if self.window == "first_ten" else self.nets - 1

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, and epochs after which no network is kept."""
        if self.window == "first_ten" and self.epochs < EARLY:
            return f"window first_ten needs {EARLY} epochs, and there are {self.epochs}: raise epochs"
        if self.looked_at not in (kept := kept_epochs(self.epochs)):
            return f"epoch {self.epoch}: networks are kept after epochs {', '.join(map(str, kept))}"
        return super().unsupported(cell, data)
