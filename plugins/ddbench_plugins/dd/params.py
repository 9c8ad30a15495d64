"""Hyper-parameters of DD. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench import DatasetInfo
from ddbench.blocks.bptt_params import BPTTParams
from ddbench.blocks.params import START


class DDParams(BPTTParams):
    """Hyper-parameters of DD; defaults follow the authors' MNIST settings."""

    continues: ClassVar[bool] = False  # the outer rate looks at the number of iterations
    effort: ClassVar[tuple[str, ...]] = (*BPTTParams.effort, "epochs")

    iterations: NonNegativeInt = Field(default=23_600, description="outer steps; the authors': 400 passes over train")
    epochs: PositiveInt = Field(default=3, description="E, passes of a student over the ordered batches")
    lr_init: float = Field(
        default=0.02, gt=0, le=50, description="every step size of the student at first [per update]"
    )
    lr_img: float = Field(
        default=0.01, gt=0, description="Adam learning rate on pixels [normalised units] and on raw step sizes"
    )
    halvings: NonNegativeInt = Field(
        default=9, description="how often that rate is halved, after equal shares of the iterations"
    )
    fixed_init: bool = Field(
        default=False, description="whether all students start from one network, whose parameters the set then carries"
    )
    init: Literal["noise", "real", "kcenter", "kmeans"] = Field(default="noise", description=START)
    parametrisation: Literal["pixels"] = Field(default="pixels", description="images are stored batch by batch")
    augment: Literal["none"] = Field(default="none", description="steps are tied to their batches as they are")

    @property
    def own_student(self) -> bool:
        """Whether sets carry a network's initial state, so that students of other kinds cannot use them as made."""
        return self.fixed_init

    def updates(self, n: int, data: DatasetInfo) -> int:
        """T = K E, steps of a student on ``n`` images in batches of one image a class."""
        return -(-n // sum(count > 0 for count in data.counts)) * self.epochs

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """As the base, with a step size for each step; not known with a network's initial state among them."""
        pixels = super().stored_bytes(n, data)
        return None if self.fixed_init or pixels is None else pixels + 4 * self.updates(n, data)
