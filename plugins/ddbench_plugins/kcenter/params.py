"""Hyper-parameters of k-center: the proxy net's. No torch."""

from ddbench.blocks.params import FeatureSelectorParams


class KCenterParams(FeatureSelectorParams):
    """K-center has none of its own."""
