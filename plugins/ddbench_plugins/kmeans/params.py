"""Hyper-parameters of k-means medoids. No torch."""

from pydantic import Field, PositiveInt

from ddbench.blocks.params import FeatureSelectorParams


class KMeansMedoidsParams(FeatureSelectorParams):
    """The proxy net's, and how hard k-means tries."""

    n_init: PositiveInt = Field(default=4, description="k-means++ starts per class, the best of which counts")
    max_iter: PositiveInt = Field(default=100, description="Lloyd iterations per start at most")
