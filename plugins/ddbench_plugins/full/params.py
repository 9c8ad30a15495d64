"""Hyper-parameters of full. No torch."""

from ddbench import Params


class FullParams(Params):
    """Full has none."""
