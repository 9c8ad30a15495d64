"""Hyper-parameters shared by methods: the proxy net behind ``features``, and its users. Imports no torch."""

from __future__ import annotations

from pydantic import Field, PositiveInt

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


def too_few_images(cell: CellSpec, data: DatasetInfo) -> str | None:
    """Why real images cannot fill the cell's budget; None when they can."""
    present = [count for count in data.counts if count]
    if cell.budget.ipc is not None and present and cell.budget.ipc > min(present):
        return f"the smallest class has {min(present)} training images"
    return None
