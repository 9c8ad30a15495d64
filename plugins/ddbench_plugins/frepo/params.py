"""Hyper-parameters of FRePo. No torch."""

from pydantic import Field, PositiveInt

from ddbench.blocks.regression_params import FeatureRegressionParams


class FRePoParams(FeatureRegressionParams):
    """Hyper-parameters of FRePo; defaults follow the authors' CIFAR-10 settings."""

    pool: PositiveInt = Field(default=10, description="M, networks in the pool")
    max_age: PositiveInt = Field(default=100, description="K, updates after which a network of the pool starts anew")
    lr_net: float = Field(default=3e-4, gt=0, description="Adam learning rate of a network [per update]")
    batch_net: PositiveInt = Field(
        default=1000, description="synthetic images per update of a network; all where there are fewer"
    )
