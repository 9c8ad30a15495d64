"""Hyper-parameters of frepo_fresh. No torch."""

from ddbench.blocks.regression_params import FeatureRegressionParams


class FRePoFreshParams(FeatureRegressionParams):
    """Those of FRePo without its pool."""
