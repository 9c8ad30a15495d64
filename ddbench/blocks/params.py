"""Hyper-parameters shared by methods: the proxy net behind ``features``, and its users. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ddbench.api import Params
from ddbench.specs import ArtifactSpec, CellSpec, DatasetInfo


class FeaturesParams(Params):
    """How the proxy net is trained whose embeddings become features.

    SGD with momentum .9 (Nesterov) and weight decay 5e-4 at a constant rate, without augmentation: DeepCore's recipe
    with the learning rate of the ConvNets.
    """

    epochs: PositiveInt = Field(default=10, description="passes of the proxy net over the training images")
    lr: float = Field(default=0.01, gt=0, description="learning rate of the proxy net [per update]")
    batch: PositiveInt = Field(default=256, description="images per update of the proxy net")


class FeatureSelectorParams(FeaturesParams):
    """Base for selectors that look at features; equal values share one proxy net across methods and budgets."""

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """The features of the cell's training images under the cell's architecture."""
        return {
            "features": ArtifactSpec(
                kind="features",
                data=cell.data,
                arch=cell.arch,
                params=self.model_dump(include=set(FeaturesParams.model_fields)),
                seed={"master": cell.master, "r": cell.r},
            )
        }

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """A class cannot give more real images than it has."""
        return too_few_images(cell, data)


class ExpertsParams(Params):
    """How a pool of experts is trained: plain SGD (MTT) or adaptive GSAM (FTD, DATM), without momentum or decay."""

    experts: PositiveInt = Field(default=100, description="experts in the pool")
    epochs: PositiveInt = Field(default=50, description="passes over the training images; snapshots − 1 by default")
    lr: float = Field(default=0.01, gt=0, description="learning rate, constant [per update]")
    batch: PositiveInt = Field(default=256, description="images per update")
    snapshot_updates: NonNegativeInt = Field(default=0, description="updates between snapshots; 0: one epoch's worth")
    optimiser: Literal["sgd", "gsam"] = Field(default="sgd", description="plain SGD, or adaptive GSAM over SGD")
    rho: float = Field(default=0.01, ge=0, description="gsam: radius of the perturbation")
    alpha: float = Field(default=0.3, ge=0, description="gsam: weight of the orthogonal gradient")
    augment: Literal["dsa", "none"] = Field(default="dsa", description="augmentation of the experts' batches")
    storage: Literal["float32", "bfloat16"] = Field(default="float32", description="number format of stored snapshots")


def too_few_images(cell: CellSpec, data: DatasetInfo) -> str | None:
    """Why real images cannot fill the cell's budget; None when they can."""
    present = [count for count in data.counts if count]
    if cell.budget.ipc is not None and present and cell.budget.ipc > min(present):
        return f"the smallest class has {min(present)} training images"
    return None
