"""Hyper-parameters of GraNd. No torch."""

from typing import Literal

from pydantic import Field, PositiveInt

from ddbench import ArtifactSpec, CellSpec, DatasetInfo
from ddbench.blocks.dynamics_params import ScoreParams, first_tenth, kept_epochs


class GraNdParams(ScoreParams):
    """When gradients are taken, in which parameters, and of how many networks."""

    nets: PositiveInt = Field(default=5, description="networks whose gradients' lengths are averaged")
    epoch: int = Field(
        default=-1, ge=-1, description="k, epochs of training before it; 0: untrained networks; -1: a tenth of all"
    )
    gradient: Literal["all", "last_layer"] = Field(
        default="all", description="parameters that gradients are taken in: all, or those of the last linear layer"
    )

    @property
    def looked_at(self) -> int:
        """Up to k."""
        return first_tenth(self.epochs) if self.epoch < 0 else self.epoch

    @property
    def other_nets(self) -> int:
        """All but the first."""
        return self.nets - 1

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """As the base; none of untrained networks, which only need to be built."""
        return super().artifacts(cell) if self.looked_at else {}

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, and epochs after which no network is kept."""
        if self.looked_at not in (kept := kept_epochs(self.epochs)):
            return f"epoch {self.epoch}: networks are kept after epochs {', '.join(map(str, kept))}"
        return super().unsupported(cell, data)
