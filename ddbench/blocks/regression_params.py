"""Hyper-parameters of methods that regress real images on features of synthetic ones. Imports no torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench.blocks.params import StartParams, images_per_stored
from ddbench.core.specs import CellSpec, DatasetInfo


class FeatureRegressionParams(StartParams):
    """What FRePo's variants share; defaults follow the authors' CIFAR-10 settings."""

    effort: ClassVar[tuple[str, ...]] = ("iterations", "batch_real")
    continues: ClassVar[bool] = False  # the rate's schedule looks at the number of steps

    iterations: NonNegativeInt = Field(default=500_000, description="outer steps, each with one network")
    batch_real: PositiveInt = Field(default=1024, description="real images per step; all where there are fewer")
    lr: float = Field(
        default=3e-4, gt=0, description="LAMB learning rate of images and labels [share of their norm per step]"
    )
    lr_end: float = Field(default=0.1, ge=0, le=1, description="where its cosine ends, as a share of lr")
    ridge: float = Field(default=1e-6, gt=0, description="λ of the regression [mean diagonal of the kernel]")
    mirror: Literal["auto", "on", "off"] = Field(
        default="auto", description="append mirrored synthetic images; auto: colour images that keep their class so"
    )
    pool_norm: Literal["bn", "in", "nn"] = Field(
        default="bn", description="norm of the networks that images are learned by, in place of the cell's"
    )

    def network(self, arch: str) -> str:
        """The cell's own network, by its canonical name, with the other norm."""
        return f"{arch.rpartition('-')[0]}-{self.pool_norm}"

    @property
    def centred_labels(self) -> bool:
        """Labels are regression targets."""
        return True

    def architectures(self, cell: CellSpec) -> tuple[str, ...]:
        """Those that images are learned by."""
        return (self.network(cell.arch),)

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """As the base, with a label for every image that the stored ones decode to, and the recipe's learning rate."""
        labels = n * images_per_stored(self.parametrisation, self.factor) * data.classes
        return (super().stored_bytes(n, data) or 0) + 4 * (labels + 1)
