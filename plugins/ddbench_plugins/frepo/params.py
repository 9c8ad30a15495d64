"""Hyper-parameters of FRePo. No torch."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench import CellSpec, DatasetInfo
from ddbench.blocks.params import StartParams, images_per_stored


class FRePoParams(StartParams):
    """Hyper-parameters of FRePo; defaults follow the authors' CIFAR-10 settings."""

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
    networks: Literal["pool", "fresh"] = Field(
        default="pool", description="networks that age in a pool, or a fresh random one each step"
    )
    pool: PositiveInt = Field(default=10, description="M, networks in the pool")
    max_age: PositiveInt = Field(default=100, description="K, updates after which a network of the pool starts anew")
    lr_net: float = Field(default=3e-4, gt=0, description="Adam learning rate of a network [per update]")
    batch_net: PositiveInt = Field(
        default=1000, description="synthetic images per update of a network; all where there are fewer"
    )
    pool_norm: Literal["bn", "in", "nn"] = Field(
        default="bn", description="norm of the networks that images are learned by, in place of the cell's"
    )

    def network(self, arch: str) -> str:
        """The cell's own network, by its canonical name, with the other norm."""
        return f"{arch.rpartition('-')[0]}-{self.pool_norm}"

    def architectures(self, cell: CellSpec) -> tuple[str, ...]:
        """Those of the pool."""
        return (self.network(cell.arch),)

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """As the base, with a float32 for each class of every image that the stored ones decode to."""
        labels = n * images_per_stored(self.parametrisation, self.factor) * data.classes
        return (super().stored_bytes(n, data) or 0) + 4 * labels


class FRePoFreshParams(FRePoParams):
    """FRePo without a pool: nothing is trained, and ``pool``, ``max_age``, ``lr_net`` and ``batch_net`` say nothing."""

    networks: Literal["pool", "fresh"] = Field(
        default="fresh", description="networks that age in a pool, or a fresh random one each step"
    )
