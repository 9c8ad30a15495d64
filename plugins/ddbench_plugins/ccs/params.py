"""Hyper-parameters of CCS. No torch."""

from pydantic import Field, PositiveInt

from ddbench.blocks.dynamics_params import (
    BALANCE,
    MARGINS,
    Balance,
    BalanceParams,
    DynamicsSelectorParams,
    Margins,
)


class CCSParams(BalanceParams, DynamicsSelectorParams):
    """How much of the hardest is dropped, and how finely hardness is graded."""

    beta: float = Field(default=0.0, ge=0, lt=1, description="β, share of the training images dropped as the hardest")
    strata: PositiveInt = Field(default=50, description="grades of hardness, at most as many as images are kept")
    of: Margins = Field(default="logits", description=MARGINS)
    balance: Balance = Field(default="global", description=BALANCE)
