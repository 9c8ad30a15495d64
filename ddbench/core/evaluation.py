"""How sets are evaluated: what protocols implement, and what these are given. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ddbench.core.images import Images
from ddbench.core.sets import CondensedSet, Recipe
from ddbench.core.specs import DatasetInfo

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

State: TypeAlias = "Mapping[str, Any]"
"""Nested dict/list of Tensor | int | float | str | bool | None."""

Predictor: TypeAlias = "Callable[[Tensor], Tensor]"
"""Images [n, C, H, W] → logits [n, K]."""


class EvalInputs(Protocol):
    """What an evaluation recipe may use besides the set: real data without the test split, and the core's services.

    Attributes:
        params: The protocol's resolved params.
        lr: The learning rate to use, one of ``params.lr`` or the set's own.
        recipe: The recipe that ``native`` follows, else None.
        recipe_images: Images of the set that it came with, else None.
        dataset: Facts about the data.
        device: Where to train.
    """

    params: Any
    lr: float
    recipe: Recipe | None
    recipe_images: int | None
    dataset: DatasetInfo
    device: torch.device

    @property
    def train(self) -> Images:
        """Real training images (what a set's ``indices`` point into)."""
        ...

    @property
    def val(self) -> Images | None:
        """Validation images; None when they are part of the training set (references)."""
        ...

    def artifact(self, name: str) -> Path:
        """Folder of an artifact that ``ProtocolParams.artifacts`` declared."""
        ...

    def resume(self) -> State | None:
        """The state of an interrupted training, or None."""
        ...

    def tick(self, done: int, total: int, state: Callable[[], State]) -> None:
        """Call after every update: progress, checkpoints, interruption and time limits."""
        ...

    def note(self, name: str, value: Any) -> None:
        """Put a number beside the metrics of the record (train accuracy, flip rate)."""
        ...


class EvalProtocol(ABC):
    """An evaluation recipe: trains a fresh student on a condensed set."""

    @abstractmethod
    def fit(
        self, condensed: CondensedSet, make_model: Callable[[int], nn.Module], seed: int, artifacts: EvalInputs
    ) -> Predictor:
        """Train a student.

        Args:
            condensed: The set.
            make_model: seed → freshly initialised student; where a recipe is followed, with its ``norm``, and from the
                state that it starts from.
            seed: The student's seed; every draw derives from it.
            artifacts: Real data (never test), parameters and services.

        Returns:
            The predictor. Networks that it runs must be in eval mode.
        """
