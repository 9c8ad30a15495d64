"""Hyper-parameters of least confidence: the proxy net's, and which images are kept. No torch."""

from pydantic import Field

from ddbench.blocks.dynamics_params import BALANCE, Balance, ScoreParams


class LeastConfidenceParams(ScoreParams):
    """All of them are those of every score; each class gives its share, as in DeepCore."""

    balance: Balance = Field(default="per_class", description=BALANCE)
