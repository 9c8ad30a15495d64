"""Hyper-parameters of DANCE. No torch."""

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench.blocks.distribution_params import PairedParams


class DANCEParams(PairedParams):
    """Hyper-parameters of DANCE; defaults follow the authors' code for 32-pixel data at ipc 10."""

    iterations: NonNegativeInt = Field(
        default=10_000, description="outer steps, in each of which all classes have turns"
    )
    batch_real: PositiveInt = Field(
        default=128, description="real images per class and step; all where a class has fewer"
    )
    batch_syn: NonNegativeInt = Field(default=200, description="decoded images per class and turn, at most; 0: all")
    lr_img: float = Field(default=0.1, gt=0, description="SGD learning rate on pixels [in units of 0 … 1]")
    momentum: float = Field(default=0.5, ge=0, lt=1, description="SGD momentum on pixels")
