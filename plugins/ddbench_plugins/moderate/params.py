"""Hyper-parameters of moderate. No torch."""

from pydantic import Field

from ddbench.blocks.dynamics_params import BALANCE, Balance, BalanceParams, DynamicsSelectorParams


class ModerateParams(BalanceParams, DynamicsSelectorParams):
    """Who competes; all images, as the authors have it."""

    balance: Balance = Field(default="global", description=BALANCE)
