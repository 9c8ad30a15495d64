"""Hyper-parameters of DATM. No torch."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.params import START, TrajectoryParams


class DATMParams(TrajectoryParams):
    """Hyper-parameters of DATM; defaults follow the authors' CIFAR-10 settings at ipc 10, without growth."""

    iterations: NonNegativeInt = Field(default=10_000, description="outer steps, each with one segment of one expert")
    expert_optimiser: Literal["sgd", "gsam"] = Field(
        default="gsam", description="adaptive GSAM towards flat minima, or plain SGD"
    )
    expert_epochs: PositiveInt = Field(default=100, description="passes of an expert over the training images")
    syn_steps: PositiveInt = Field(default=80, description="N, updates of the student")
    first_max_start: NonNegativeInt = Field(
        default=0, description="T, bound of the starts at first, from which it grows to T⁺; 0: T⁺ all the time"
    )
    growth_steps: PositiveInt = Field(default=1000, description="K, outer steps in which the bound grows from T to T⁺")
    init: Literal["real", "correct", "noise", "kcenter", "kmeans"] = Field(
        default="correct", description=f"{START}; correct: the first that an expert classifies correctly"
    )
    labels: Literal["learned", "fixed", "hard"] = Field(
        default="learned", description="logits of the experts, learned with the images or kept; or hard labels"
    )
    lr_label: NonNegativeFloat = Field(default=2.0, description="SGD learning rate on label logits")
    momentum_label: float = Field(default=0.9, ge=0, lt=1, description="SGD momentum on label logits")
    gate: NonNegativeFloat = Field(
        default=1.0, description="skip steps whose loss exceeds this (or is no number) and count them; 0: never"
    )

    @property
    def soft_labels(self) -> bool:
        """Logits, learned or kept."""
        return self.labels != "hard"

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, and windows that cannot grow."""
        if self.first_max_start and not self.min_start < self.first_max_start <= self.max_start:
            return (
                f"the window cannot grow: first_max_start {self.first_max_start} must lie above min_start "
                f"{self.min_start} and not above max_start {self.max_start}"
            )
        return super().unsupported(cell, data)
