"""Hyper-parameters of TESLA. No torch."""

from typing import Literal

from pydantic import Field, NonNegativeInt

from ddbench.blocks.params import TrajectoryParams


class TESLAParams(TrajectoryParams):
    """Hyper-parameters of TESLA; ``lr_img`` is half of what the authors' code is given, whose gradient is half too."""

    iterations: NonNegativeInt = Field(default=10_000, description="outer steps, each with one segment of one expert")
    lr_img: float = Field(default=500.0, gt=0, description="SGD learning rate on pixels [normalised units]")
    gradients: Literal["exact", "unrolled", "tesla"] = Field(
        default="tesla", description="tesla: θ_i as a constant; exact and unrolled are MTT's gradient"
    )
    labels: Literal["hard", "teacher"] = Field(
        default="hard", description="hard; teacher: softmax of the target expert's logits, anew in every step"
    )

    @property
    def soft_labels(self) -> bool:
        """What the last target expert says."""
        return self.labels == "teacher"
