"""Hyper-parameters of CCS. No torch."""

from pydantic import Field, PositiveInt

from ddbench.blocks.dynamics_params import (
    BALANCE,
    MARGINS,
    Balance,
    DroppingParams,
    Margins,
)


class CCSParams(DroppingParams):
    """How much of the hardest is dropped, and how finely hardness is graded."""

    strata: PositiveInt = Field(default=50, description="grades of hardness, at most as many as images are kept")
    of: Margins = Field(default="logits", description=MARGINS)
    balance: Balance = Field(default="global", description=BALANCE)
