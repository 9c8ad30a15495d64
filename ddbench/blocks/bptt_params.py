"""Hyper-parameters of methods that learn images by how well students do that were trained on them. Imports no torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench.blocks.params import StartParams


class BPTTParams(StartParams):
    """What such methods share: the real batch, the students, and the augmentation of both."""

    effort: ClassVar[tuple[str, ...]] = ("iterations", "batch_real", "n_nets")
    without_statistics: ClassVar[str] = (
        "a training is differentiated in parameters alone, without batch norm's statistics; only -in and -nn"
    )

    iterations: NonNegativeInt = Field(default=20_000, description="outer steps, each with fresh students")
    batch_real: PositiveInt = Field(default=1024, description="real images of the outer loss; all where they are fewer")
    n_nets: PositiveInt = Field(default=1, description="students whose gradients an outer step averages")
    lr_img: float = Field(default=0.01, gt=0, description="learning rate of the outer optimiser on pixels")
    augment: Literal["none", "flip_rotate"] = Field(
        default="none",
        description="of synthetic batches and the real one; flip_rotate: mirrored where that keeps a class, or rotated",
    )
