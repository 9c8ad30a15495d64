"""Hyper-parameters of DSA. No torch."""

from ddbench.blocks.params import CondensationParams


class DSAParams(CondensationParams):
    """Hyper-parameters of DSA; defaults follow the authors' README at ipc 1."""
