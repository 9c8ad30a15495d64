"""Hyper-parameters of DM. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench.blocks.params import StartParams


class DMParams(StartParams):
    """Hyper-parameters of DM; defaults follow the authors' CIFAR-10 script."""

    effort: ClassVar[tuple[str, ...]] = ("iterations", "batch_real")

    iterations: NonNegativeInt = Field(default=20_000, description="outer steps, each with a fresh random net")
    lr_img: float = Field(default=1.0, gt=0, description="SGD learning rate on pixels [normalised units]")
    momentum: float = Field(default=0.5, ge=0, lt=1, description="SGD momentum on pixels")
    batch_real: PositiveInt = Field(
        default=256, description="real images per class and step; all where a class has fewer"
    )
    augment: Literal["dsa", "none"] = Field(
        default="dsa", description="transformation that both sides of a class share in a step"
    )
