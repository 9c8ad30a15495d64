"""Hyper-parameters of RaT-BPTT. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.bptt_params import BPTTParams
from ddbench.blocks.params import START, images_per_stored


class RaTBPTTParams(BPTTParams):
    """Hyper-parameters of RaT-BPTT; defaults follow the authors' CIFAR-10 settings at ipc 10."""

    effort: ClassVar[tuple[str, ...]] = (*BPTTParams.effort, "total", "window")

    iterations: NonNegativeInt = Field(default=60_000, description="outer steps, each with fresh students")
    total: PositiveInt = Field(default=200, description="updates of a student, at most")
    window: PositiveInt = Field(
        default=60, description="updates that the gradient goes through, the last a student makes"
    )
    random_window: bool = Field(
        default=True,
        description="whether students make a random number of updates before the window, or all that remain",
    )
    n_per_class: PositiveInt = Field(
        default=10, description="synthetic images of a class per update of a student; all where it has fewer"
    )
    lr_inner: float = Field(default=1e-3, gt=0, description="Adam learning rate of a student [per update]")
    batch_real: PositiveInt = Field(default=5000, description="real images of the outer loss; all where they are fewer")
    lr_img: float = Field(default=1e-3, gt=0, description="Adam learning rate on pixels [normalised units]")
    clip: float = Field(
        default=2.0, gt=0, description="largest norm of the gradient in pixels [running means of this norm]"
    )
    clip_decay: float = Field(default=0.9, ge=0, lt=1, description="decay of that running mean [per outer step]")
    learn_labels: bool = Field(default=False, description="whether soft labels are learned, too")
    lr_labels: float = Field(default=1e-3, gt=0, description="Adam learning rate on logits of learned labels")
    augment: Literal["none", "flip_rotate"] = Field(
        default="flip_rotate",
        description="of synthetic batches and the real one; flip_rotate: mirrored where that keeps a class, or rotated",
    )
    init: Literal["sphere", "real", "noise", "kcenter", "kmeans"] = Field(  # type: ignore[assignment]
        default="sphere", description=f"{START}; sphere: noise of norm 1 in every image, as the authors' code"
    )

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, and windows longer than the training."""
        if self.window > self.total:
            return f"the window of {self.window} updates is longer than the training of {self.total}: raise total"
        return super().unsupported(cell, data)

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """As the base, with the learning rate that the recipe names, and learned labels."""
        labels = n * images_per_stored(self.parametrisation, self.factor) * data.classes if self.learn_labels else 0
        return (super().stored_bytes(n, data) or 0) + 4 * (labels + 1)
