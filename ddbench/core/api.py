"""What plugin authors import: records to register, base classes to subclass, protocols to rely on. Imports no torch.

Symbols: n condensed images, N training images, K classes, [n, C, H, W] an image batch in the declared preprocessing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from ddbench.core.evaluation import EvalInputs, EvalProtocol, Predictor, State
from ddbench.core.images import Images
from ddbench.core.infos import (
    ALL_AXES,
    ArchInfo,
    ArtifactKind,
    Contents,
    DatasetRecord,
    MethodInfo,
    Paper,
    ProtocolInfo,
    Standing,
)
from ddbench.core.sets import CondensedSet, Preprocess, Recipe, Selection, StorageBytes
from ddbench.core.specs import ArtifactSpec, Budget, CellSpec, DatasetInfo, PlannedEvaluation, StudentInfo

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ddbench.core.profiles import Profile

__all__ = [
    "ALL_AXES", "ArchInfo", "ArtifactKind", "ArtifactSpec", "Budget", "CellSpec", "CondensedSet", "Contents",
    "DatasetInfo", "DatasetRecord", "DistillationParams", "EvalInputs", "EvalProtocol", "Images", "Limits",
    "Method", "MethodInfo", "Paper", "Params", "PlannedEvaluation", "Predictor", "Preprocess", "ProtocolInfo",
    "ProtocolParams", "Recipe", "RunContext", "Selection", "Selector", "Standing", "State", "StorageBytes",
    "StudentInfo",
]  # fmt: skip


ClassCounts: TypeAlias = Literal["exact", "at_most", "total", "total_at_most"]
"""How a selection keeps to the budget.

``exact``: each class has as many images as the budget gives it; ``at_most``: or fewer; ``total``: all classes together
have as many as the budget gives them together; ``total_at_most``: or fewer.
"""


class Params(BaseModel):
    """Base of all hyper-parameters: frozen, no unknown fields, each described with its unit; imports no torch.

    Attributes:
        effort: Names of the parameters that say how much work is done, more of it by larger numbers: tables tell where
            these are below those of the preset of profile ``paper``.
        without_statistics: Why no cell has a network that keeps running statistics (:class:`ArchInfo`); empty: it may.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    effort: ClassVar[tuple[str, ...]] = ()
    without_statistics: ClassVar[str] = ""

    @property
    def steps(self) -> int:
        """How often :meth:`Method.step` is called."""
        return 1

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """What must exist before the cell runs, by the name ``ctx.artifact`` will use. Pure."""
        return {}

    def architectures(self, cell: CellSpec) -> tuple[str, ...]:
        """Names of the networks besides the cell's own that ``ctx.build_model`` will be asked for. Pure.

        Who registered them enters the cell's key; a network of another plugin that is not named here is refused.
        """
        return ()

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """Why this cell cannot run, shown in plan and table; None when it can. Pure."""
        return None

    def opens(self, name: str, cell: CellSpec, data: DatasetInfo) -> float:
        """Which share of what building an artifact took is for what the method can open of it, in [0, 1]. Pure.

        The cell is charged for that share; the rest is told apart. It decides no result, and is in no key.

        Args:
            name: One that :meth:`artifacts` declares.
            cell: The cell.
            data: Facts about the data set.
        """
        return 1.0

    @property
    def keeps_best_snapshot(self) -> bool:
        """Whether the core keeps the snapshot that is best on val, instead of the set after the last step."""
        return False

    @property
    def chooses_on_val(self) -> bool:
        """Whether images of val decide which set is kept; the contract finds methods that look without saying so."""
        return self.keeps_best_snapshot

    @property
    def own_student(self) -> bool:
        """Whether its set is made for one network in one initial state, which it holds (``Recipe.initial``).

        Under protocols that follow recipes such a set, and the rows trained by its recipe, have one student of the
        cell's own network for each repetition, and stand outside of ranks and verdicts; other protocols skip the row.
        Needs ``arch`` among the axes.
        """
        return False

    @property
    def made_for(self) -> str:
        """The predictor that its sets are made for (``ntk-fc1``), told under others; empty: networks."""
        return ""

    @property
    def centred_labels(self) -> bool:
        """Whether its sets' labels are centred (``CondensedSet.label_space``), so that they are no probabilities.

        Protocols that learn these are then left out of the plan, before anything is condensed.
        """
        return False

    @property
    def recipe_learns_centred(self) -> bool:
        """Whether the recipe of sets with centred labels learns these (``mse``); else recipes are not followed."""
        return True

    @property
    def class_counts(self) -> ClassCounts:
        """How a selection keeps to the budget; the contract holds its sets against that."""
        return "exact"

    def images_seen(self, n: int) -> int:
        """How many images students see of a set of ``n``; more where one that is stored decodes to several. Pure."""
        return n

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """Bytes of a set of ``n`` images, without hard labels, for ``random@bytes``; None: real images. Pure."""
        return None

    def stored_pixels(self, n: int, data: DatasetInfo) -> int | None:
        """How many of its pixels a byte each could hold, for ``random@uint8``; None where there are none. Pure."""
        return None


class DistillationParams(Params):
    """What every distiller has: a number of outer steps, and which state of the set is reported.

    A subclass that gives ``iterations`` a default keeps 0 allowed: the row "(0 steps)" is planned with it.

    Attributes:
        continues: Whether a run of more ``iterations`` begins exactly like one of fewer (no schedule looks at their
            number): then it goes on where the longest finished one ended, instead of starting over.
    """

    effort: ClassVar[tuple[str, ...]] = ("iterations",)
    continues: ClassVar[bool] = False

    iterations: NonNegativeInt = Field(description="outer steps; 0: the initialisation itself")
    selection: Literal["last", "val"] = Field(
        default="last", description="report the set after the last step, or the snapshot that is best on val"
    )

    @property
    def keeps_best_snapshot(self) -> bool:
        """As ``selection`` says."""
        return self.selection == "val"

    @property
    def steps(self) -> int:
        """Once per outer step, unless a method cuts these into several."""
        return self.iterations

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """Pixels as float32."""
        pixels = self.stored_pixels(n, data)
        return None if pixels is None else 4 * pixels

    def stored_pixels(self, n: int, data: DatasetInfo) -> int | None:
        """All pixels of ``n`` images."""
        return n * data.image_bytes


class ProtocolParams(Params):
    """Base of a protocol's params: fully resolved for one evaluation, and part of its key.

    With its defaults it is what a protocol needs that iterates nothing.
    """

    updates: PositiveInt = Field(default=1, description="updates of the student, for forecasts; 1: nothing is iterated")
    lr: tuple[float, ...] = Field(
        default=(0.01,), min_length=1, description="learning rates; more than one: the best on val is used"
    )
    learned_lr: bool = Field(default=False, description="also try the learning rate that the set itself learned")
    recipe_of: str | None = Field(default=None, description="native: condense key of the set whose recipe is used")

    @classmethod
    def resolve(
        cls, defaults: Mapping[str, Any], *, n: int, data: DatasetInfo, student: StudentInfo, profile: Profile
    ) -> Self:
        """The params of one evaluation; here ``defaults`` as they are. Pure.

        Args:
            defaults: ``ProtocolInfo.defaults``.
            n: Images of the budget (not of a decoded set); for ``full``, all of train and val.
            data: Facts about the data set.
            student: Facts about the student: its canonical architecture, or the name of a predictor.
            profile: Bounds on updates, and learning rates.
        """
        return cls(**defaults)

    # A method's params are asked about a cell, a protocol's about an evaluation of its set.
    def artifacts(self, evaluation: PlannedEvaluation) -> dict[str, ArtifactSpec]:  # type: ignore[override]
        """What must exist before the evaluation runs, by the name ``EvalInputs.artifact`` will use. Pure."""
        return {}

    def unsupported(self, evaluation: PlannedEvaluation, data: DatasetInfo) -> str | None:  # type: ignore[override]
        """Why this evaluation cannot run, shown in plan and table; None when it can. Pure, equal for all seeds."""
        return None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that stop a cell without changing what it computes."""

    timeout_s: float | None = None


class RunContext(Protocol):
    """Everything a method may touch; no attribute of it reaches the test split."""

    dataset: DatasetInfo
    budget: Budget
    arch: str
    device: torch.device
    step: int
    limits: Limits
    generator: torch.Generator

    @property
    def initial(self) -> CondensedSet | None:
        """The set of another row that this one starts from; None for nearly all (``MethodInfo.takes_initial``)."""
        ...

    @property
    def train(self) -> Images:
        """Training images: all that a set may be made from."""
        ...

    @property
    def val(self) -> Images:
        """Validation images."""
        ...

    @property
    def per_class(self) -> tuple[int, ...]:
        """Images of each class under the budget, K numbers."""
        ...

    @property
    def ipc(self) -> int:
        """Images per class; raises UsageError when class counts differ."""
        ...

    def seed(self, *use: str) -> int:
        """A seed that is the same for every method, architecture, budget and preprocessing: paired comparisons."""
        ...

    def private_seed(self, *use: str) -> int:
        """A seed of this method's own."""
        ...

    def build_model(self, arch: str | None = None, *, seed: int) -> nn.Module:
        """A freshly initialised network on the device (``arch`` None: the cell's); the only way to a net."""
        ...

    def artifact(self, name: str) -> Path:
        """Folder of an artifact that ``Params.artifacts`` declared."""
        ...

    def score(self, condensed: CondensedSet) -> float:
        """Accuracy on val [%] under the small fixed protocol ``val``; charged to the cell."""
        ...

    def progress(self, done: int, total: int, what: str = "") -> None:
        """Report how far a long stage inside ``prepare``, ``step`` or an artifact has come."""
        ...

    def warn(self, text: str) -> None:
        """A sentence for the record and the table's footnotes."""
        ...


P = TypeVar("P", bound=Params)


class Method(Generic[P]):
    """A method under construction: ``prepare``, then ``step`` until ``done``, then ``finalise``.

    The core owns the loop, the clock, checkpoints, snapshots and progress. After a kill the core calls ``prepare`` and
    then ``load_state_dict``; generators of the context are restored by the core.
    """

    def __init__(self, params: P) -> None:
        self.params = params

    def prepare(self, ctx: RunContext) -> None:
        """Set up the state; deterministic given the context."""

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One bounded outer iteration; returns what the progress bar shows (a NaN in it fails the cell)."""
        raise NotImplementedError(f"{type(self).__name__} has no step()")

    def done(self, ctx: RunContext) -> bool:
        """Whether the loop ends; the default counts to ``params.steps``."""
        return ctx.step >= self.params.steps

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The set as it stands. Pure: may be called after any step."""
        raise NotImplementedError(f"{type(self).__name__} has no finalise()")

    def diagnostics(self, ctx: RunContext) -> Mapping[str, float]:
        """Numbers about the run for the record (shown with ``--details``): asked for once, after the last step."""
        return {}

    def state_dict(self) -> State:
        """All that ``step`` changes."""
        raise NotImplementedError(f"{type(self).__name__} has no state_dict()")

    def load_state_dict(self, state: State) -> None:
        """Restore what ``state_dict`` returned."""
        raise NotImplementedError(f"{type(self).__name__} has no load_state_dict()")


class Selector(Method[P]):
    """A method that keeps real images; a subclass implements only :meth:`select`."""

    selection: Selection | None = None

    def select(self, ctx: RunContext) -> Selection:
        """Choose the images."""
        raise NotImplementedError(f"{type(self).__name__} has no select()")

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """Select, in one step.

        Raises:
            TypeError: If :meth:`select` returns no :class:`Selection`.
        """
        found = self.select(ctx)
        if not isinstance(found, Selection):
            raise TypeError(f"{type(self).__name__}.select returned a {type(found).__name__}, not a Selection")
        self.selection = found
        return {}

    def done(self, ctx: RunContext) -> bool:
        """After one step."""
        return ctx.step >= 1

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The chosen images with their own labels."""
        if self.selection is None:
            raise RuntimeError("finalise before the first step: nothing is selected yet")
        indices = self.selection.indices.cpu().long()
        size = StorageBytes(
            images=len(indices) * ctx.dataset.image_bytes,
            labels=len(indices),
            weights=0 if self.selection.weights is None else 4 * len(indices),
        )
        aux = {} if self.selection.scores is None else {"scores": self.selection.scores.cpu()}
        return CondensedSet(
            images=None,
            labels=ctx.train.labels[indices.to(ctx.train.labels.device)].cpu(),
            label_space="hard",
            preprocess=ctx.train.preprocess,
            recipe=Recipe(),
            storage=size,
            indices=indices,
            weights=None if self.selection.weights is None else self.selection.weights.detach().float().cpu(),
            aux=aux,
        )

    def state_dict(self) -> State:
        """The selection, once made."""
        chosen = self.selection
        return {} if chosen is None else {"indices": chosen.indices, "weights": chosen.weights, "scores": chosen.scores}

    def load_state_dict(self, state: State) -> None:
        """Restore the selection."""
        self.selection = Selection(**state) if state else None
