"""Hyper-parameters of GLISTER. No torch."""

from pydantic import Field, NonNegativeFloat

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.dynamics_params import BalanceParams, DynamicsSelectorParams


class GLISTERParams(BalanceParams, DynamicsSelectorParams):
    """The proxy net's, and how far a step on the picked images goes."""

    eta: NonNegativeFloat = Field(
        default=0.0, description="η, learning rate of the step on the picked images; 0: that of the proxy net at first"
    )

    @property
    def step_size(self) -> float:
        """η."""
        return self.eta or self.lr

    @property
    def chooses_on_val(self) -> bool:
        """Gains are measured there."""
        return True

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, and data without validation images (of a class that gives images)."""
        if not any(data.val_counts):
            return "gains are measured on validation images, and there are none (--split paper)"
        wanted = zip(cell.budget.resolve(data.counts), data.val_counts, data.class_names, strict=True)
        bare = [name for n, have, name in wanted if n and not have]
        if bare and self.balance == "per_class":
            return f"gains are measured on a class's validation images, and class {bare[0]} has none: balance=global"
        return super().unsupported(cell, data)
