"""Hyper-parameters of IDM. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from ddbench.blocks.distribution_params import DistributionParams


class IDMParams(DistributionParams):
    """Hyper-parameters of IDM; defaults follow the authors' command line for CIFAR-10 at ipc 10."""

    effort: ClassVar[tuple[str, ...]] = (*DistributionParams.effort, "networks", "net_steps")

    lr_img: float = Field(default=0.2, gt=0, description="SGD learning rate on pixels [normalised units]")
    momentum: float = Field(default=0.5, ge=0, lt=1, description="SGD momentum on pixels")
    ce_weight: NonNegativeFloat = Field(
        default=0.5, description="λ; the cross entropy weighs λ times the network's accuracy on its batches [%]"
    )
    augment: Literal["dsa", "none"] = Field(
        default="dsa", description="transformation that both sides of a class share in a step"
    )
    networks: PositiveInt = Field(default=100, description="most networks in the queue")
    push_every: PositiveInt = Field(default=30, description="steps from one fresh network to the next")
    trained: NonNegativeInt = Field(default=2, description="networks of the queue that are trained after each step")
    net_steps: NonNegativeInt = Field(default=10, description="updates of each of these")
    lr_net: float = Field(default=0.01, gt=0, description="SGD learning rate of the networks [per update]")
    batch_net: PositiveInt = Field(default=256, description="real images per update of a network")
    momentum_net: float = Field(default=0.9, ge=0, lt=1, description="SGD momentum of the networks")
    decay_net: float = Field(default=5e-4, ge=0, description="SGD weight decay of the networks")
