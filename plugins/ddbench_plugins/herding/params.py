"""Hyper-parameters of herding: the proxy net's. No torch."""

from ddbench.blocks.params import FeatureSelectorParams


class HerdingParams(FeatureSelectorParams):
    """Herding has none of its own."""
