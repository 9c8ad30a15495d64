"""Hyper-parameters of graph cut. No torch."""

from pydantic import Field

from ddbench.blocks.dynamics_params import BalanceParams
from ddbench.blocks.params import FeatureSelectorParams


class GraphCutParams(BalanceParams, FeatureSelectorParams):
    """The proxy net's, and how much likeness to all weighs."""

    lam: float = Field(default=1.0, gt=0, description="λ, weight of the likeness to all against that of picks")
