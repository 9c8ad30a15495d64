"""Hyper-parameters of BPTT with momentum. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench import DatasetInfo
from ddbench.blocks.bptt_params import BPTTParams
from ddbench.blocks.params import START


class MomentumParams(BPTTParams):
    """Hyper-parameters of BPTT; defaults follow the authors' CIFAR-10 settings at ipc 1."""

    effort: ClassVar[tuple[str, ...]] = (*BPTTParams.effort, "inner_steps")

    iterations: NonNegativeInt = Field(default=500_000, description="outer steps, each with fresh students")
    inner_steps: PositiveInt = Field(default=150, description="N, updates of a student")
    n_per_class: PositiveInt = Field(
        default=10, description="synthetic images of a class per update of a student; all where it has fewer"
    )
    lr_inner: float = Field(default=0.01, gt=0, description="SGD learning rate of a student [per update]")
    momentum_inner: float = Field(default=0.9, ge=0, lt=1, description="SGD momentum of a student")
    batch_real: PositiveInt = Field(
        default=64, description="real images per class of the outer loss; all where a class has fewer"
    )
    lr_img: float = Field(default=0.1, gt=0, description="SGD learning rate on pixels [normalised units]")
    momentum: float = Field(default=0.5, ge=0, lt=1, description="SGD momentum on pixels")
    clip: float = Field(default=2.0, gt=0, description="largest norm of the gradient in all pixels")
    init: Literal["xavier", "real", "noise", "kcenter", "kmeans"] = Field(  # type: ignore[assignment]
        default="xavier",
        description=f"{START}; xavier: uniform noise of width √(6 / (n + pixels)), as the authors' code",
    )

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """As the base, with the learning rate that the recipe names."""
        return (super().stored_bytes(n, data) or 0) + 4
