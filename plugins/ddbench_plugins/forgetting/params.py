"""Hyper-parameters of forgetting: the proxy net's, and which images are kept. No torch."""

from ddbench.blocks.dynamics_params import ScoreParams


class ForgettingParams(ScoreParams):
    """Forgetting has none of its own."""
