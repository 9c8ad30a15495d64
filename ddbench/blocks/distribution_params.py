"""Hyper-parameters of methods that match distributions of features, and of their networks. No torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationInfo, field_validator

from ddbench.blocks.params import StartParams
from ddbench.core.api import Params
from ddbench.core.specs import TUNE, ArtifactSpec, CellSpec, DatasetInfo


class PairsParams(Params):
    """How the pairs (first, trained) of DANCE and NCFM are trained: SGD × 0.2 at 2/3 and 5/6, IDC's augmentation."""

    pairs: PositiveInt = Field(default=20, description="networks, each kept as it began and as it ended")
    epochs: PositiveInt = Field(default=60, description="passes over the training images")
    lr: float = Field(default=0.01, gt=0, description="learning rate at the start [per update]")
    batch: PositiveInt = Field(default=64, description="images per update")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="SGD momentum")
    decay: float = Field(default=5e-4, ge=0, description="SGD weight decay")
    cutmix: float = Field(default=0.5, ge=0, le=1, description="share of the batches that are CutMixed")


class DistributionParams(StartParams):
    """What IDM, DANCE and NCFM share: what is stored, the distance of features, and how classes take turns."""

    effort: ClassVar[tuple[str, ...]] = ("iterations", "batch_real")

    parametrisation: Literal["pixels", "multi-formation", "upsampled"] = Field(
        default="multi-formation",
        description="what is stored: canvases of factor × factor small images; the images; images of side / factor",
    )
    iterations: NonNegativeInt = Field(
        default=20_000, description="outer steps, in each of which all classes have turns"
    )
    batch_real: PositiveInt = Field(
        default=256, description="real images per class and step; all where a class has fewer"
    )
    lr_img: float = Field(default=0.2, gt=0, description="learning rate on pixels")
    shared_state: bool = Field(
        default=True,
        description="one optimiser for all classes, whose momentum moves them at every turn; else one each",
    )
    distance: Literal["mean", "mmd", "cf"] = Field(
        default="mean",
        description="of features, by class: means; Gaussian kernels; characteristic functions of rows of length 1",
    )
    frequencies: PositiveInt = Field(default=4096, description="cf: random frequencies per class and step")
    amplitude: NonNegativeFloat = Field(default=0.5, description="cf: α, weight of the difference in amplitude")
    phase: NonNegativeFloat = Field(default=0.5, description="cf: β, weight of the difference in phase")

    @field_validator("phase")
    @classmethod
    def _something_is_compared(cls, value: float, info: ValidationInfo) -> float:
        if not value and not info.data.get("amplitude", 1):
            raise ValueError("is 0, as amplitude is: every set would be as good as any other")
        return value


class PairedParams(DistributionParams):
    """What DANCE and NCFM share: pairs of networks, pixels in 0 … 1, and a calibration under the trained network."""

    effort: ClassVar[tuple[str, ...]] = ("iterations", "batch_real", "pairs", "pair_epochs")
    without_statistics: ClassVar[str] = (
        "batch norm's statistics are not part of what lies between two networks; only -in and -nn are supported"
    )

    batch_syn: NonNegativeInt = Field(default=0, description="decoded images per class and turn, at most; 0: all")
    network: Literal["between", "first", "trained"] = Field(
        default="between",
        description="what features come from: a random point between a pair's ends, or always one of these",
    )
    calibration: bool = Field(
        default=True, description="whether a second pass lowers the cross entropy under the pair's trained network"
    )
    pairs: PositiveInt = Field(default=20, description="pairs (first, trained) of networks")
    pair_epochs: PositiveInt = Field(default=60, description="passes of a pair's network over the training images")
    pair_batch: PositiveInt = Field(default=64, description="images per update of a pair's network")
    pair_seed: Literal["shared", "per_rep"] = Field(
        default="shared", description="the same pairs for all repetitions, or (strictly independent) others for each"
    )

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """The pairs, repetition 0's for all unless ``pair_seed`` says otherwise, and never while tuning; features."""
        r = cell.r if self.pair_seed == "per_rep" or cell.data.split == TUNE else 0
        trained = PairsParams(pairs=self.pairs, epochs=self.pair_epochs, batch=self.pair_batch).model_dump()
        seed = {"master": cell.master, "r": r}
        pairs = ArtifactSpec(kind="pairs", data=cell.data, arch=cell.arch, params=trained, seed=seed)
        return {"pairs": pairs} | super().artifacts(cell)

    def opens(self, name: str, cell: CellSpec, data: DatasetInfo) -> float:
        """Of the pairs all, unless no step is made, or none looks at a trained network."""
        unused = self.iterations == 0 or (self.network == "first" and not self.calibration)
        return 0.0 if name == "pairs" and unused else super().opens(name, cell, data)

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the base, and whitened images."""
        if not cell.data.preprocess.startswith("meanstd"):
            return "pixels are kept within 0 … 1, which whitened ones are not"
        return super().unsupported(cell, data)

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """As the base, with the learning rate that the set's recipe names."""
        found = super().stored_bytes(n, data)
        return None if found is None else found + 4
