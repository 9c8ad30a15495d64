"""Hyper-parameters of TDDS. No torch."""

from pydantic import Field

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.dynamics_params import EARLY, ScoreParams


class TDDSParams(ScoreParams):
    """How much of training is looked at, and in which windows."""

    trajectory: int = Field(default=10, ge=3, description="T, epochs that are looked at, the first of training")
    window: int = Field(default=10, ge=3, description="J, epochs of a window")
    decay: float = Field(
        default=0.9, gt=0, le=1, description="weight of the last window; of each one before it 1 − decay times"
    )

    @property
    def looked_at(self) -> int:
        """T."""
        return min(self.trajectory, self.epochs)

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, windows longer than what is looked at, and epochs after which no network is kept."""
        if self.window > self.trajectory:
            return f"window {self.window} is longer than trajectory {self.trajectory}: lower it, or raise trajectory"
        if self.trajectory > (kept := min(EARLY, self.epochs)):
            raised = ", or raise epochs" if self.epochs < EARLY else ""
            return (
                f"trajectory {self.trajectory}: logits are kept of the first {EARLY} epochs, of {self.epochs} in all: "
                f"lower it (and window) to {kept}{raised}"
            )
        return super().unsupported(cell, data)
