"""Hyper-parameters of DeepFool. No torch."""

from pydantic import Field, PositiveInt

from ddbench.blocks.dynamics_params import BALANCE, Balance, ScoreParams


class DeepFoolParams(ScoreParams):
    """How far images are pushed."""

    iterations: PositiveInt = Field(default=50, description="steps to the boundary, at most, of each image")
    overshoot: float = Field(
        default=0.02, ge=0, description="how much further than it was moved an image is put [share of the way]"
    )
    balance: Balance = Field(default="per_class", description=BALANCE)
