"""Hyper-parameters of GradMatch. No torch."""

from typing import Literal

from pydantic import Field, NonNegativeFloat

from ddbench.blocks.dynamics_params import BalanceParams
from ddbench.blocks.params import FeatureSelectorParams


class GradMatchParams(BalanceParams, FeatureSelectorParams):
    """The proxy net's, and how much large weights cost."""

    lam: NonNegativeFloat = Field(default=1.0, description="λ, cost of the squared weights")

    @property
    def class_counts(self) -> Literal["at_most", "total_at_most"]:
        """Or fewer: images whose weight is 0 are dropped."""
        return "total_at_most" if self.balance == "global" else "at_most"
