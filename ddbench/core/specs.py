"""Plain frozen records that say what is to be computed: budgets, data, cells, artifacts, evaluations. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ddbench.core.errors import UsageError


class Frozen(BaseModel):
    """A record: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Keyed(Frozen):
    """A record whose JSON stands in documents and keys: a field that came later is absent while empty or as by default.

    Attributes:
        LATER: Names of these fields.
    """

    LATER: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = serialise(self)
        usual = {name: field.default for name, field in type(self).model_fields.items() if name in self.LATER}
        return {name: value for name, value in found.items() if name not in usual or (value and value != usual[name])}


class Budget(Frozen):
    """The size of a condensed set: images per class, or a fraction of the training images.

    Attributes:
        ipc: Images per class, ≥ 1; where at least half of the classes have so many, the others give all they have.
        fraction: Share of train in (0, 1]; class c gets ``round(fraction · n_c)``, at least 1.
    """

    ipc: PositiveInt | None = None
    fraction: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _exactly_one(self) -> Budget:
        if (self.ipc is None) == (self.fraction is None):
            raise ValueError("a budget is either an ipc or a fraction")
        return self

    @property
    def place(self) -> tuple[bool, float]:
        """Where it stands in an ascending order: images per class before fractions."""
        return self.ipc is None, self.ipc or self.fraction or 0.0

    def resolve(self, counts: Sequence[int]) -> tuple[int, ...]:
        """Images of each class, for classes that have ``counts`` training images (a class without any gets none).

        More than a class has only where the budget does not fit: see :meth:`misfit`.
        """
        if self.ipc is not None:
            if self.misfit(counts) is None:
                return tuple(min(self.ipc, c) for c in counts)
            return tuple(self.ipc if c else 0 for c in counts)
        assert self.fraction is not None
        return tuple(max(1, round(self.fraction * c)) if c else 0 for c in counts)

    def misfit(self, counts: Sequence[int]) -> str | None:
        """Why classes of ``counts`` training images cannot give it, with the largest that they can; None: they can."""
        largest = largest_ipc(counts)
        if self.ipc is None or self.ipc <= largest:
            return None
        return f"ipc is at most {largest} here: at least half of the classes must have so many training images"

    @property
    def slug(self) -> str:
        """Name for folders, e.g. ``ipc10`` or ``frac0.1``."""
        return f"ipc{self.ipc}" if self.ipc is not None else f"frac{self.fraction:g}"

    @property
    def label(self) -> str:
        """Name for people, e.g. ``ipc 10`` or ``10 %``."""
        return f"ipc {self.ipc}" if self.ipc is not None else f"{100 * (self.fraction or 0):g} %"

    def key(self) -> dict[str, float]:
        """The part of a key that stands for this budget."""
        return {"ipc": self.ipc} if self.ipc is not None else {"fraction": self.fraction or 0.0}


TUNE: Final = "tune"
"""The split of ``ddbench tune``: its test part are training images that the view leaves out."""

Precision: TypeAlias = Literal["fp32", "bf16"]
"""What numbers a network is trained in: float32, or bfloat16 where its convolutions are computed."""

SplitName: TypeAlias = Literal["default", "paper", "tune"]
"""``default`` (train, val, test), ``paper`` (train ∪ val is train, no selection), or :data:`TUNE`."""


class DataSpec(Keyed):
    """Which images a cell sees; its fields but ``origin`` are the ``data`` part of every key.

    Attributes:
        name: Registered name, or the one the user gave (``cifar10-original``).
        revision: Content hash of the decoded images and labels, 16 hex digits.
        split: ``default``, ``paper`` or ``tune`` (:data:`SplitName`).
        view: Named transforms of the splits in canonical form, or None.
        preprocess: Preprocessing id (``meanstd``, ``meanstd-mtt``, ``zca-kornia``, ``zca-frepo``, ``zca-kip``).
        origin: Where the data set's record comes from (:class:`ddbench.core.plugin.registry.Origin`); "" for ddbench's
            own, and for images read from a path. It stands among the key's ``origins``.
    """

    LATER = ("origin",)

    name: str
    revision: str
    split: SplitName = "default"
    view: tuple[dict[str, Any], ...] | None = None
    preprocess: str = "meanstd"
    origin: str = ""


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """Facts about a data set after its view was applied.

    Attributes:
        name: As in :class:`DataSpec`.
        revision: As in :class:`DataSpec`.
        channels: 1 or 3.
        size: Height = width [pixels], after pooling.
        classes: K, also where a view keeps only some of the classes.
        class_names: K names.
        counts: Training images per class, K numbers.
        val_counts: Validation images per class, K numbers.
        n_test: Test images, or those that take their place under split ``tune``.
        default_arch: Canonical architecture name used when the user names none.
        flip: Whether a mirrored image still shows its class (False for digits).
        mean: Per-channel mean of pixels in [0, 1].
        std: Per-channel standard deviation of pixels in [0, 1].
        levels: Largest stored pixel value, which maps to 1.0 (255; 16 for digits).
        notes: What a reader of the table must know (how the split was made, converted images).
        licence: As in :class:`DatasetRecord`; None also for data that no record describes.
        dc_augmentation: As in :class:`DatasetRecord`; known while planning and condensing.
        pool: k, where a pixel is the mean of k × k of the source's.
    """

    name: str
    revision: str
    channels: int
    size: int
    classes: int
    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    val_counts: tuple[int, ...]
    n_test: int
    default_arch: str
    flip: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    levels: int = 255
    notes: tuple[str, ...] = ()
    licence: str | None = None
    dc_augmentation: str | None = None
    pool: int = 1

    @property
    def n_train(self) -> int:
        """Training images."""
        return sum(self.counts)

    @property
    def n_val(self) -> int:
        """Validation images."""
        return sum(self.val_counts)

    @property
    def image_bytes(self) -> int:
        """Bytes of a real image: one for each of its C·H·W values."""
        return self.channels * self.size**2


@dataclass(frozen=True, slots=True)
class StudentInfo:
    """Facts about a student.

    Attributes:
        name: Canonical architecture, or the name of a predictor of a protocol's own.
        dc_augmentation: What the architecture's family declares (:class:`ddbench.ArchInfo`).
    """

    name: str
    dc_augmentation: str | None = None


class ArtifactSpec(Keyed):
    """An expensive shared input that must exist before a cell runs.

    Attributes:
        kind: Registered artifact kind, e.g. ``features``.
        data: What it is computed from (usually the cell's).
        arch: Canonical architecture name, or None.
        params: The kind's parameters; validated against its params type at plan time.
        seed: ``{"master": …, "r": …}``; r = 0 for artifacts that repetitions share.
        origins: Where the ``artifact`` kind and the ``arch`` come from, as far as they are not ddbench's own; the plan
            fills it in.
        precision: What its networks are trained in; the plan fills it in, too.
    """

    LATER = ("origins", "precision")

    kind: str
    data: DataSpec
    arch: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    seed: dict[str, int] = Field(default_factory=dict)
    origins: dict[str, str] = Field(default_factory=dict)
    precision: Precision = "fp32"


class CellSpec(Keyed):
    """One point of the grid: method(params) × data × budget × condensing arch × repetition.

    Repetitions that are never reported, but chosen by, have negative numbers: r = −1, −2.

    ``origins`` says where the architectures come from that the method builds: ``arch`` where it is one of the method's
    axes, and the names of ``Params.architectures``; those of ddbench's own are left out. ``initial`` is the key of the
    set of another row that it starts from; empty for nearly all.
    """

    LATER = ("origins", "initial")

    method: str
    method_version: int
    origin: str
    params: dict[str, Any]
    data: DataSpec
    budget: Budget
    arch: str
    master: int
    r: int
    origins: dict[str, str] = Field(default_factory=dict)
    initial: str = ""


class EvalSpec(Keyed):
    """One cell's set × protocol × student arch × student seed.

    Attributes:
        set: Condense key of the set, or the sha256 of an imported one.
        protocol: Registered id without version, e.g. ``hard``.
        protocol_version: Its version.
        protocol_params: Fully resolved parameters.
        arch: Canonical student architecture.
        master: Master seed.
        r: Repetition.
        e: Student within the repetition.
        origins: Where the ``protocol`` and the ``arch`` come from, as far as they are not ddbench's own.
        artifacts: Keys of the artifacts that the protocol declared, ascending.
        precision: What the student is trained in; it predicts in float32.
    """

    LATER = ("origins", "artifacts", "precision")

    set: str
    protocol: str
    protocol_version: int
    protocol_params: dict[str, Any]
    arch: str
    master: int
    r: int
    e: int
    origins: dict[str, str] = Field(default_factory=dict)
    artifacts: tuple[str, ...] = ()
    precision: Precision = "fp32"


def reported(r: int, split: SplitName) -> bool:
    """Whether a repetition stands in tables: those below 0 choose for the others, and are results where one tunes."""
    return r >= 0 or split == TUNE


@dataclass(frozen=True, slots=True)
class PlannedEvaluation:
    """What a protocol is asked about before anything runs.

    Attributes:
        spec: The evaluation; its artifacts are not known yet.
        cell: The cell whose set it is about, data among its fields.
        images: How many images its student sees, decoded ones counted; 0: nobody said.
    """

    spec: EvalSpec
    cell: CellSpec
    images: int = 0


SNAPSHOTS = 5
"""States of a set that may be looked back at, or chosen from on val."""


def snapshot_points(steps: int) -> tuple[int, ...]:
    """The steps after which a snapshot is kept: five, equally spaced, the last one included."""
    return tuple(sorted({math.ceil(steps * k / SNAPSHOTS) for k in range(1, SNAPSHOTS + 1)}))


def largest_ipc(counts: Sequence[int]) -> int:
    """The most images that at least half of the classes have, of those that have any of ``counts``; 0: none has."""
    have = sorted((c for c in counts if c), reverse=True)
    return have[(len(have) - 1) // 2] if have else 0


def ipc_of(per_class: Sequence[int]) -> int:
    """Images per class, when all non-empty classes have the same.

    Raises:
        UsageError: If the class counts differ.
    """
    sizes = {c for c in per_class if c}
    if len(sizes) != 1:
        raise UsageError(f"this budget has no single ipc: classes get between {min(sizes)} and {max(sizes)} images")
    return sizes.pop()
