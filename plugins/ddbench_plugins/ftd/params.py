"""Hyper-parameters of FTD. No torch."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench.blocks.params import STEP_SIZE, StepSize, TrajectoryParams


class FTDParams(TrajectoryParams):
    """Hyper-parameters of FTD; defaults follow the paper's table 7 for CIFAR-10 at ipc 10."""

    iterations: NonNegativeInt = Field(default=5000, description="outer steps, each with one segment of one expert")
    expert_optimiser: Literal["sgd", "gsam"] = Field(
        default="gsam", description="adaptive GSAM towards flat minima, or plain SGD"
    )
    syn_steps: PositiveInt = Field(default=30, description="N, updates of the student")
    lr_init: StepSize = Field(default=0.001, description=STEP_SIZE)
    ema: float = Field(
        default=0.9995, ge=0, lt=1, description="d of the average X̄ ← d X̄ + (1 − d) X that is reported; 0: X itself"
    )
