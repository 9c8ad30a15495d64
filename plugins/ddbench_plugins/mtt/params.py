"""Hyper-parameters of MTT. No torch."""

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench.blocks.params import STEP_SIZE, StepSize, TrajectoryParams


class MTTParams(TrajectoryParams):
    """Hyper-parameters of MTT; defaults follow the authors' CIFAR-10 settings at ipc 10."""

    iterations: NonNegativeInt = Field(default=5000, description="outer steps, each with one segment of one expert")
    syn_steps: PositiveInt = Field(default=30, description="N, updates of the student")
    lr_init: StepSize = Field(default=0.001, description=STEP_SIZE)
