"""Hyper-parameters of CRAIG: the proxy net's. No torch."""

from ddbench.blocks.dynamics_params import BalanceParams
from ddbench.blocks.params import FeatureSelectorParams


class CRAIGParams(BalanceParams, FeatureSelectorParams):
    """CRAIG has none of its own."""
