"""Hyper-parameters of GraNd. No torch."""

from typing import Literal

from pydantic import Field

from ddbench import ArtifactSpec, CellSpec
from ddbench.blocks.dynamics_params import EarlyParams


class GraNdParams(EarlyParams):
    """In which parameters gradients are taken."""

    gradient: Literal["all", "last_layer"] = Field(
        default="all", description="parameters that gradients are taken in: all, or those of the last linear layer"
    )

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """As the base; none of untrained networks, which only need to be built."""
        return super().artifacts(cell) if self.looked_at else {}
