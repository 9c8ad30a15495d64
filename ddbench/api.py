"""What plugin authors import: records to register, base classes to subclass, protocols to rely on. Imports no torch.

Symbols: n condensed images, N training images, K classes, [n, C, H, W] an image batch in the declared preprocessing.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from ddbench.errors import PluginError
from ddbench.specs import ArtifactSpec, Budget, CellSpec, DatasetInfo, Frozen

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ddbench.data.split import Split

ALL_AXES: frozenset[str] = frozenset({"budget", "arch", "seed"})

State: TypeAlias = "Mapping[str, Any]"
"""Nested dict/list of Tensor | int | float | str | bool | None."""

Predictor: TypeAlias = "Callable[[Tensor], Tensor]"
"""Images [n, C, H, W] → logits [n, K]."""


# ---------------------------------------------------------------------------------------------- what is registered


@dataclass(frozen=True, slots=True)
class Paper:
    """Where a method was published."""

    title: str
    venue: str
    year: int
    url: str


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """A method, as a plugin registers it; its classes are named, not imported.

    Attributes:
        name: What users type; ``^[a-z][a-z0-9_]*$``.
        kind: ``distillation`` optimises pixels, ``selection`` keeps real images, ``reference`` is the yardstick.
        target: ``"module:Class"`` of the :class:`Method`.
        params: ``"module:Class"`` of the :class:`Params`; that module must not import torch.
        summary: One line for ``ddbench list methods``.
        paper: Where it was published, or None.
        version: Bumped when results may change; part of the key.
        axes: Of budget, arch and seed, what the result depends on.
        controls: Control methods planned beside this one with ``--controls``.
        presets: Package-relative YAML: (dataset, budget, profile) → overrides, each with its source.

    Raises:
        PluginError: If a field is malformed.
    """

    name: str
    kind: Literal["distillation", "selection", "reference"]
    target: str
    params: str
    summary: str
    paper: Paper | None = None
    version: int = 1
    axes: frozenset[str] = ALL_AXES
    controls: tuple[str, ...] = ()
    presets: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise PluginError(f"method name {self.name!r} must match ^[a-z][a-z0-9_]*$")
        if self.kind not in ("distillation", "selection", "reference"):
            raise PluginError(f"method {self.name!r}: kind {self.kind!r} is none of distillation, selection, reference")
        for what, target in (("target", self.target), ("params", self.params)):
            if not re.fullmatch(r"[\w.]+:\w+", target):
                raise PluginError(f'method {self.name!r}: {what} {target!r} is not of the form "module:Class"')
        if not self.axes <= ALL_AXES:
            raise PluginError(f"method {self.name!r}: unknown axes {sorted(self.axes - ALL_AXES)}")


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """A data set that ddbench can read by name.

    Attributes:
        name: What users type.
        reader: ``"module:function"``: ``reader(folder: Path) -> RawDataset`` reads the user's files.
        summary: One line for ``ddbench data list``.
        files: File names expected in ``ddbench data prepare NAME --from DIR``.
        download: ``"module:function"``: ``download(folder: Path) -> None`` fetches ``files``; None without a source.
        download_mb: Size of the download [MB].
        flip: Whether a mirrored image still shows its class.
        mean: Per-channel constants of ``meanstd``; None: computed from train.
        std: As ``mean``.
        embedded: True when the reader needs no files.
    """

    name: str
    reader: str
    summary: str
    files: tuple[str, ...] = ()
    download: str | None = None
    download_mb: int = 0
    flip: bool = True
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class ArchInfo:
    """A family of architectures with one name grammar: ``<base>[-wWIDTH][-NORM]``.

    Attributes:
        name: Family name (``convnet``).
        bases: Base names (``convnet1`` … ``convnet5``).
        target: ``"module:function"``: ``build(name: ArchName, *, channels, classes, size)``; a module with ``.embed``.
        summary: One line for ``ddbench list archs``.
        width: Width when the name gives none.
        norms: Allowed norm suffixes, the default first.
    """

    name: str
    bases: tuple[str, ...]
    target: str
    summary: str
    width: int = 128
    norms: tuple[str, ...] = ("in", "bn", "nn")


@dataclass(frozen=True, slots=True)
class ProtocolInfo:
    """An evaluation recipe.

    Attributes:
        name: Id without version, e.g. ``hard``; shown as ``hard@1``.
        version: Bumped when results may change; part of the key.
        target: ``"module:Class"`` of the :class:`EvalProtocol`.
        params: ``"module:Class"`` of its params type, with ``resolve(defaults, n, data, profile) -> params``.
        summary: One line for ``ddbench list protocols``.
        defaults: What distinguishes this protocol; the rest follows from the params type.
    """

    name: str
    version: int
    target: str
    params: str
    summary: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArtifactKind:
    """A kind of shared input.

    Attributes:
        name: Kind, e.g. ``features``.
        version: ``kind_version`` of the key; bumped when the content may change.
        params: ``"module:Class"`` of its params type.
        build: ``"module:function"``: ``build(ctx: RunContext, folder: Path, params) -> None`` writes into ``folder``.
        summary: One line for ``ddbench list artifacts``.
    """

    name: str
    version: int
    params: str
    build: str
    summary: str


# ------------------------------------------------------------------------------------------------- hyper-parameters


class Params(BaseModel):
    """Base of all hyper-parameters: frozen, no unknown fields, each described with its unit; imports no torch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """What must exist before the cell runs, by the name ``ctx.artifact`` will use. Pure."""
        return {}

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """Why this cell cannot run, shown in plan and table; None when it can. Pure."""
        return None


class DistillationParams(Params):
    """What every distiller has: a number of outer steps, and which state of the set is reported."""

    iterations: PositiveInt = Field(description="outer steps")
    selection: Literal["last", "val"] = Field(
        default="last", description="report the set after the last step, or the snapshot that is best on val"
    )


# ------------------------------------------------------------------------------------------------ the condensed set


class Preprocess(Frozen):
    """The space that images live in; sets from different spaces never mix.

    Attributes:
        id: ``meanstd``, ``meanstd-mtt``, ``zca-kornia`` …
        mean: Per-channel mean of pixels in [0, 1]; empty for ZCA.
        std: Per-channel standard deviation; empty for ZCA.
        matrices: sha256 of the whitening matrices, None without whitening.
    """

    id: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    matrices: str | None = None


class Recipe(BaseModel):
    """How a set wants a student to be trained (``native@1``).

    Attributes:
        loss: ``ce`` on the set's labels (hard, probabilities, or softmax of logits), or ``mse`` to them.
        lr: Learning rate; None: the protocol's own.
        updates: Number of updates; None: the protocol's own.
        batch: Batch size; None: the protocol's own.
        momentum: SGD momentum.
        weight_decay: SGD weight decay.
        augmentation: ``dsa`` or ``none``.
        order: ``shuffled`` each epoch, or ``fixed``.
        teacher: Artifact name of a teacher that labels every batch, or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    loss: Literal["ce", "mse"] = "ce"
    lr: float | None = None
    updates: PositiveInt | None = None
    batch: PositiveInt | None = None
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augmentation: Literal["dsa", "none"] = "dsa"
    order: Literal["shuffled", "fixed"] = "shuffled"
    teacher: str | None = None


@dataclass(frozen=True, slots=True)
class StorageBytes:
    """What a set costs to keep [bytes]; real images count as uint8, synthetic ones as stored."""

    images: int
    labels: int = 0
    lrs: int = 0
    codes: int = 0
    decoder: int = 0
    teacher: int = 0

    @property
    def total(self) -> int:
        """All parts."""
        return self.images + self.labels + self.lrs + self.codes + self.decoder + self.teacher


@dataclass(frozen=True, slots=True, eq=False)
class CondensedSet:
    """The small training set a method makes.

    Attributes:
        images: [n, C, H, W] float32 in the declared preprocessing; None when ``indices`` says which real images.
        labels: [n] int64, or [n, K] float32.
        label_space: What ``labels`` are.
        preprocess: The space of ``images``.
        recipe: How the set wants a student to be trained.
        storage: What it costs to keep.
        indices: [n] int64 into train, when the images are real.
        weights: [n] float32 loss weights, or None.
        aux: What else belongs to the set (codes, bases, per-step lrs, orders).

    Raises:
        ValueError: If the parts do not fit each other.
    """

    images: Tensor | None
    labels: Tensor
    label_space: Literal["hard", "probs", "logits", "centred"]
    preprocess: Preprocess
    recipe: Recipe
    storage: StorageBytes
    indices: Tensor | None = None
    weights: Tensor | None = None
    aux: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.images is None) == (self.indices is None):
            raise ValueError("a condensed set has either images or indices of real images")
        n = len(self.labels)
        for name in ("images", "indices", "weights"):
            part = getattr(self, name)
            if part is not None and len(part) != n:
                raise ValueError(f"{name} has {len(part)} entries for {n} labels")
        if (self.label_space == "hard") != (self.labels.ndim == 1):
            raise ValueError(f"{self.label_space} labels cannot have shape {tuple(self.labels.shape)}")

    @classmethod
    def of_images(
        cls, images: Tensor, labels: Tensor, preprocess: Preprocess, recipe: Recipe | None = None
    ) -> CondensedSet:
        """A set of synthetic images with hard labels.

        Args:
            images: [n, C, H, W], detached and copied.
            labels: [n] int64 classes.
            preprocess: ``ctx.train.preprocess``.
            recipe: How the set wants a student to be trained.
        """
        pixels = images.detach().float().clone()
        size = StorageBytes(images=pixels.numel() * 4, labels=len(labels))
        return cls(pixels, labels.detach().clone(), "hard", preprocess, recipe or Recipe(), size)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which real images a selector keeps.

    Attributes:
        indices: [n] int64 into train, distinct.
        weights: [n] float32 loss weights, or None.
        scores: [N] float32, the score of every training image, or None.
    """

    indices: Tensor
    weights: Tensor | None = None
    scores: Tensor | None = None


# --------------------------------------------------------------------------------------- what a running method sees


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that stop a cell without changing what it computes."""

    timeout_s: float | None = None


class RunContext(Protocol):
    """Everything a method may touch; no attribute of it reaches the test split."""

    train: Split
    val: Split
    dataset: DatasetInfo
    budget: Budget
    arch: str
    device: torch.device
    step: int
    limits: Limits
    generator: torch.Generator

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
        """Accuracy on val [%] under the small fixed protocol ``val@1``; charged to the cell."""
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
        raise NotImplementedError

    def done(self, ctx: RunContext) -> bool:
        """Whether the loop ends; the default counts to ``params.iterations``."""
        return ctx.step >= int(self.params.iterations)  # type: ignore[attr-defined]

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The set as it stands. Pure: may be called after any step."""
        raise NotImplementedError

    def state_dict(self) -> State:
        """All that ``step`` changes."""
        raise NotImplementedError

    def load_state_dict(self, state: State) -> None:
        """Restore what ``state_dict`` returned."""
        raise NotImplementedError


class Selector(Method[P]):
    """A method that keeps real images; a subclass implements only :meth:`select`."""

    selection: Selection | None = None

    def select(self, ctx: RunContext) -> Selection:
        """Choose the images."""
        raise NotImplementedError

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """Select, in one step."""
        self.selection = self.select(ctx)
        return {}

    def done(self, ctx: RunContext) -> bool:
        """After one step."""
        return ctx.step >= 1

    def finalise(self, ctx: RunContext) -> CondensedSet:
        """The chosen images with their own labels."""
        if self.selection is None:
            raise RuntimeError("finalise before the first step: nothing is selected yet")
        indices = self.selection.indices.cpu().long()
        info = ctx.dataset
        size = StorageBytes(images=len(indices) * info.channels * info.size * info.size, labels=len(indices))
        aux = {} if self.selection.scores is None else {"scores": self.selection.scores.cpu()}
        return CondensedSet(
            images=None,
            labels=ctx.train.labels[indices.to(ctx.train.labels.device)].cpu(),
            label_space="hard",
            preprocess=ctx.train.preprocess,
            recipe=Recipe(),
            storage=size,
            indices=indices,
            weights=self.selection.weights,
            aux=aux,
        )

    def state_dict(self) -> State:
        """The selection, once made."""
        chosen = self.selection
        return {} if chosen is None else {"indices": chosen.indices, "weights": chosen.weights, "scores": chosen.scores}

    def load_state_dict(self, state: State) -> None:
        """Restore the selection."""
        self.selection = Selection(**state) if state else None


class EvalInputs(Protocol):
    """What an evaluation recipe may use besides the set: real data without the test split, and the core's services.

    Attributes:
        params: The protocol's resolved params.
        lr: The learning rate to use, one of ``params.lr`` or the set's own.
        recipe: The recipe that ``native`` follows, else None.
        train: Real training images (what a set's ``indices`` point into).
        val: Validation images; None when they are part of the training set (references).
        dataset: Facts about the data.
        device: Where to train.
    """

    params: Any
    lr: float
    recipe: Recipe | None
    train: Split
    val: Split | None
    dataset: DatasetInfo
    device: torch.device

    def artifact(self, name: str) -> Path:
        """Folder of an artifact."""
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
            make_model: seed → freshly initialised student.
            seed: The student's seed; every draw derives from it.
            artifacts: Real data (never test), parameters and services.
        """
