"""Hyper-parameters of facility location: the proxy net's. No torch."""

from ddbench.blocks.dynamics_params import BalanceParams
from ddbench.blocks.params import FeatureSelectorParams


class FacilityLocationParams(BalanceParams, FeatureSelectorParams):
    """Facility location has none of its own."""
