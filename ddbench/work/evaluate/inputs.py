"""What a student's training is given, and how networks are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddbench.core.api import ArchInfo, Recipe, State
from ddbench.core.errors import NodeFailureError, PluginError
from ddbench.core.plugin.registry import Registry
from ddbench.core.specs import DatasetInfo
from ddbench.data.space.split import Split
from ddbench.models import build_model


@dataclass(slots=True)
class Inputs:
    """The inputs of one student's training (:class:`ddbench.core.api.EvalInputs`).

    Attributes:
        recipe_images: As in :class:`ddbench.core.api.EvalInputs`.
        notes: Filled by ``note``.
        resumed: What ``resume`` returns.
        on_tick: Called by ``tick``.
    """

    params: Any
    lr: float
    recipe: Recipe | None
    train: Split
    val: Split | None
    dataset: DatasetInfo
    device: torch.device
    folders: Mapping[str, Path] = field(default_factory=dict)
    recipe_images: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    resumed: State | None = None
    on_tick: Callable[[int, int, Callable[[], State]], None] = lambda done, total, state: None

    def artifact(self, name: str) -> Path:
        """Folder of a declared artifact.

        Raises:
            PluginError: If ``ProtocolParams.artifacts`` did not declare it.
        """
        return declared_folder(self.folders, name, "ProtocolParams")

    def resume(self) -> State | None:
        """The state of an interrupted training, or None."""
        return self.resumed

    def tick(self, done: int, total: int, state: Callable[[], State]) -> None:
        """After every update."""
        self.on_tick(done, total, state)

    def note(self, name: str, value: Any) -> None:
        """Put a number beside the metrics."""
        self.notes[name] = value


def declared_folder(folders: Mapping[str, Path], name: str, params: str) -> Path:
    """Folder of the artifact ``name``; PluginError where the class ``params`` did not declare it."""
    if name not in folders:
        declared = ", ".join(folders) or "none"
        raise PluginError(f"artifact {name!r} was not declared by {params}.artifacts (declared: {declared})")
    return folders[name]


def start_from(model: nn.Module, state: Tensor, arch: str) -> None:
    """Set all parameters of a network.

    Args:
        model: Changed in place.
        state: float32 [P], its parameters flattened, in their order.
        arch: What it is called, for messages.

    Raises:
        NodeFailureError: If it has another number of parameters.
    """
    parameters = list(model.parameters())
    sizes = [one.numel() for one in parameters]
    if list(state.shape) != [sum(sizes)]:
        raise NodeFailureError(
            "failed",
            f"the set's initial state has shape {list(state.shape)}, {arch} has {sum(sizes)} parameters: it is a state "
            "of another network",
        )
    for one, values in zip(parameters, torch.split(state, sizes), strict=True):
        one.data.copy_(values.view_as(one))


def network(
    arch: str, dataset: DatasetInfo, device: torch.device, seed: int, families: Registry[ArchInfo]
) -> nn.Module:
    """A freshly initialised network for a data set, on the device."""
    info = dataset
    model = build_model(
        arch, channels=info.channels, classes=info.classes, size=info.size, seed=seed, families=families
    )
    return model.to(device)
