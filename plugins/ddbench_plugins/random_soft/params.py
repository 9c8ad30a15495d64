"""Hyper-parameters of random_soft. No torch."""

from pydantic import Field, PositiveInt

from ddbench.blocks.params import PoolParams


class RandomSoftParams(PoolParams):
    """The pool whose labels are used; as a control it takes over the pool of the method that it stands beside."""

    snapshots: PositiveInt = Field(
        default=5, description="equally spaced snapshots of the experts, the best of which on val gives the labels"
    )
