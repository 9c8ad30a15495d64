"""Hyper-parameters of DSA. No torch."""

from ddbench.blocks.params import GradientMatchingParams


class DSAParams(GradientMatchingParams):
    """Hyper-parameters of DSA; defaults follow the authors' README at ipc 1."""
