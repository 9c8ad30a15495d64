"""Hyper-parameters of NCFM. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from ddbench.blocks.distribution_params import PairedParams


class NCFMParams(PairedParams):
    """Hyper-parameters of NCFM; defaults follow the authors' configurations for CIFAR-10."""

    effort: ClassVar[tuple[str, ...]] = (*PairedParams.effort, "frequencies")

    batch_real: PositiveInt = Field(
        default=1024, description="real images per class and step; all where a class has fewer"
    )
    distance: Literal["mean", "mmd", "cf"] = Field(
        default="cf",
        description="of features, by class: means; Gaussian kernels; characteristic functions of rows of length 1",
    )
    lr_img: float = Field(default=1e-3, gt=0, description="AdamW learning rate on pixels [in units of 0 … 1]")
    decay: NonNegativeFloat = Field(default=5e-4, description="AdamW weight decay of pixels [in units of 0 … 1]")
    shared_state: bool = Field(
        default=False,
        description="one AdamW for all classes (authors' code in one process); else one each (in a process each)",
    )
    pair_batch: PositiveInt = Field(default=128, description="images per update of a pair's network")
    patience: PositiveInt = Field(default=500, description="steps without a better loss after which the rate is halved")
    student_passes: PositiveInt = Field(default=2000, description="passes over the set of students under native")
