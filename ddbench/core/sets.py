"""The condensed set and what belongs to it: its space, its recipe, its size; and what a selector returns. No torch.

Symbols: n condensed images, N training images, K classes, [n, C, H, W] an image batch in the declared preprocessing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ddbench.core.specs import Frozen

if TYPE_CHECKING:
    from torch import Tensor


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


def other_space(of_set: Preprocess, of_data: Preprocess) -> str:
    """Why a set cannot be used on data of another space, with what tells two spaces of one id apart."""
    return (
        f"the set lives in {_space(of_set)}, the data here in {_space(of_data)}: other constants or matrices, so "
        "it was made with other training images (another revision, split or view)"
    )


def _space(preprocess: Preprocess) -> str:
    if preprocess.matrices is not None:
        return f"{preprocess.id} (matrices {preprocess.matrices[:8]})"
    return f"{preprocess.id} ({', '.join(f'{value:.4g}' for value in (*preprocess.mean, *preprocess.std))})"


AugmentationName: TypeAlias = Literal[
    "dsa", "none", "crop_flip", "dc_mnist", "crop_noise", "one_for_all", "flip_rotate", "composed"
]
"""What students of a recipe see: :func:`ddbench.blocks.augment.named` says what each name means."""

AUGMENTATIONS_1 = ("dsa", "none")
"""Those of schema 1."""


class Recipe(BaseModel):
    """How a set wants a student to be trained (``native``).

    A recipe that does not go together is refused, e.g. ``lrs`` beside a schedule.

    Attributes:
        schema_version: 2 where a field differs from its default that schema 1 lacks, else 1; found by itself.
        loss: ``ce`` on the set's labels (hard, probabilities, or softmax of logits), or ``mse`` to them.
        lr: Learning rate, > 0; None: the protocol's own.
        updates: Number of updates; None: as many as ``lrs``, else the protocol's number of passes over the set.
        batch: Batch size; None: the protocol's own.
        momentum: Of ``sgd`` alone, in [0, 1).
        weight_decay: Weight decay, ≥ 0: added to the gradient; of ``adamw`` and ``lamb``, to the step (decoupled).
        augmentation: By name (:func:`ddbench.blocks.augment.named`).
        order: ``shuffled`` each epoch, or ``fixed``: batches as they stand in the set, over and over.
        teacher: Artifact name of a teacher that labels every batch, or None.
        optimiser: What turns gradients into steps. From here on fields of schema 2.
        betas: Decay rates of both moments of ``adam``, ``adamw`` and ``lamb``, in [0, 1).
        schedule: ``step``: × 0.1 with a fresh optimiser (momentum, moments) after half of the updates; ``drops``: ×
            ``drop_factor`` after each share in ``drops``; ``cosine``: from ``lr`` to ``lr_end`` · ``lr``; ``constant``.
        drops: Shares of the updates, rising, in (0, 1); of ``drops`` alone.
        drop_factor: What each of them multiplies the rate by, > 0.
        lr_end: Where ``cosine`` ends, as a share of ``lr`` in [0, 1].
        warmup: So many updates first raise the rate linearly, the last of them to ``lr``; the schedule has the rest. Of
            a recipe that is cut (``native``) it is cut by the same share.
        lrs: The rate of each update, > 0, in place of ``lr`` and the schedule; again from the first where updates are
            more. ``lr`` is then what other protocols know of the set's rate.
        cutmix: Share of the batches that CutMix mixes, in [0, 1].
        norm: Suffix of the norm of students in place of that of the named network (``nn``: none); None: as named.
        initial: Whether students start from ``aux["initial"]`` of the set: float32 [P], the parameters of the network
            (with ``norm``), flattened, in their order. Its method says so in ``Params.own_student``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1, 2] = Field(default=1, alias="schema")
    loss: Literal["ce", "mse"] = "ce"
    lr: float | None = None
    updates: PositiveInt | None = None
    batch: PositiveInt | None = None
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augmentation: AugmentationName = "dsa"
    order: Literal["shuffled", "fixed"] = "shuffled"
    teacher: str | None = None
    optimiser: Literal["sgd", "adam", "adamw", "lamb"] = "sgd"
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["step", "drops", "cosine", "constant"] = "step"
    drops: tuple[float, ...] = ()
    drop_factor: float = 0.1
    lr_end: float = 0.0
    warmup: NonNegativeInt = 0
    lrs: tuple[float, ...] | None = None
    cutmix: float = Field(default=0.0, ge=0, le=1)
    norm: str | None = None
    initial: bool = False

    @model_validator(mode="before")
    @classmethod
    def _schema_of(cls, values: Any) -> Any:
        """Schema 2 where it is needed and no schema is named; a named one must be known, and have all fields."""
        if not isinstance(values, Mapping):
            return values
        named = {"schema", "schema_version"} & set(values)
        if not named:
            return {**values, "schema_version": 2} if _needs_2(values) else values
        schema = values[named.pop()]
        if schema not in SCHEMAS or isinstance(schema, bool):
            raise ValueError(f"a recipe of schema {schema!r}: this ddbench knows {' and '.join(map(str, SCHEMAS))}")
        later = sorted(SINCE_2 & set(values)) or ["augmentation"] * _needs_2(values)
        if schema == 1 and later:
            raise ValueError(f"a recipe of schema 1 has no {later[0]}{_of_2(later[0])}: that is schema 2")
        return values

    @model_validator(mode="after")
    def _goes_together(self) -> Recipe:
        problem = next(chain(self._impossible(), self._problems()), None)
        if problem is not None:
            raise ValueError(problem)
        return self

    @property
    def sgd_lr(self) -> float | None:
        """The rate that other trainings by SGD may try, too; None where ``lr`` is that of another optimiser."""
        return self.lr if self.optimiser == "sgd" else None

    @property
    def stored_rates(self) -> int:
        """How many rates are kept with the set: ``lrs``, else ``lr`` where there is one."""
        return len(self.lrs) if self.lrs is not None else int(self.lr is not None)

    def _impossible(self) -> Iterator[str]:
        """Numbers that no student can be trained by, whatever the schema."""
        if self.lr is not None and self.lr <= 0:  # one that is no number is the end of its method's run, and named so
            yield f"lr {self.lr:g} is no learning rate: it must be above 0"
        if not 0 <= self.momentum < 1:
            yield f"momentum {self.momentum:g} is not in [0, 1): updates would grow without end"
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            yield f"weight_decay {self.weight_decay:g} is no number of at least 0"

    def _problems(self) -> Iterator[str]:
        """What does not go together; of schema 1 nothing: such recipes are as they were."""
        if not all(0 <= beta < 1 for beta in self.betas):
            yield f"betas {self.betas} are not both in [0, 1)"
        if (self.schedule == "drops") != bool(self.drops):
            yield f"schedule {self.schedule!r} with drops {self.drops}: schedule 'drops' has some, others have none"
        if not all(a < b for a, b in zip((0.0, *self.drops), (*self.drops, 1.0), strict=True)):
            yield f"drops {self.drops} are not shares of the updates that rise within (0, 1)"
        if not (math.isfinite(self.drop_factor) and self.drop_factor > 0):
            yield f"drop_factor {self.drop_factor:g} is no number above 0"
        if not 0 <= self.lr_end <= 1:
            yield f"lr_end {self.lr_end:g} is no share of lr in [0, 1]"
        if self.lr_end and self.schedule != "cosine":
            yield f"lr_end is of schedule 'cosine', not of {self.schedule!r}"
        if self.updates is not None and self.warmup > self.updates:
            yield f"a warm-up of {self.warmup} updates is longer than all {self.updates} of them"
        if self.lrs is not None:
            if not self.lrs:
                yield "lrs is empty: give the rate of each update, or None"
            if not all(math.isfinite(lr) and lr > 0 for lr in self.lrs):
                yield "lrs are not all finite and above 0"
            if self.warmup or self.schedule in ("drops", "cosine"):
                yield "lrs are the rates of all updates: they go with no warm-up, no drops and no cosine"

    @model_serializer(mode="wrap")
    def _as_its_schema(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Recipes of schema 1 as they were written before there was another."""
        written: dict[str, Any] = handler(self)
        if self.schema_version > 1:
            return written
        if _needs_2(vars(self)):  # changed by model_copy, which validates nothing
            return {name: 2 if name in ("schema", "schema_version") else value for name, value in written.items()}
        return {name: value for name, value in written.items() if name not in SINCE_2}


SINCE_2 = frozenset(
    ["optimiser", "betas", "schedule", "drops", "drop_factor", "lr_end", "warmup", "lrs", "cutmix", "norm", "initial"]
)
"""Fields that schema 1 of a recipe lacks."""

SCHEMAS: tuple[int, ...] = get_args(Recipe.model_fields["schema_version"].annotation)
"""Those that can be read."""


def _needs_2(values: Mapping[str, Any]) -> bool:
    """Whether a field says something that schema 1 cannot."""

    def plain(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    usual = {name: Recipe.model_fields[name].default for name in SINCE_2}
    later = any(plain(values[name]) != usual[name] for name in SINCE_2 & set(values))
    return later or values.get("augmentation", "dsa") not in AUGMENTATIONS_1


def _of_2(field: str) -> str:
    return " of such a name" if field == "augmentation" else ""


@dataclass(frozen=True, slots=True)
class StorageBytes:
    """What a set costs to keep [bytes]; real images count as uint8, synthetic ones as stored.

    ``lrs``: 4 bytes a rate; ``initial``: 4 bytes a parameter of the state that students start from.
    """

    images: int
    labels: int = 0
    lrs: int = 0
    codes: int = 0
    decoder: int = 0
    teacher: int = 0
    weights: int = 0
    initial: int = 0

    @property
    def total(self) -> int:
        """All parts."""
        return sum(getattr(self, part) for part in self.__dataclass_fields__)


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
        weights: [n] float32 loss weights ≥ 0, or None; only their ratios matter.
        aux: What else belongs to the set (codes, bases). ``classes``, [n] int64, says which class each image of a
            soft-labelled set stands for: protocols with hard labels use it before the arg max. ``initial``, [P]
            float32, is the state that students of a recipe with ``initial`` start from.

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
        cls,
        images: Tensor,
        labels: Tensor,
        preprocess: Preprocess,
        recipe: Recipe | None = None,
        *,
        classes: Tensor | None = None,
        codes: Tensor | None = None,
        initial: Tensor | None = None,
    ) -> CondensedSet:
        """A set of synthetic images with hard labels, or with logits as soft ones.

        Args:
            images: [n, C, H, W], detached and copied.
            labels: [n] int64 classes, or [n, K] float logits.
            preprocess: ``ctx.train.preprocess``.
            recipe: How the set wants a student to be trained; its learned rates are stored as well.
            classes: [n] int64, the class that each image of a soft-labelled set stands for.
            codes: What is stored instead of the images and decodes to them; counted in place of them.
            initial: [P] float32, the state that students start from (``Recipe.initial``).

        Raises:
            ValueError: If images are no real floats, or the parts do not fit each other.
        """
        if not images.is_floating_point():
            raise ValueError(f"images are {images.dtype}, not real floats")
        pixels, targets = images.detach().float().clone(), labels.detach().clone()
        soft, recipe = targets.is_floating_point(), recipe or Recipe()
        size = StorageBytes(
            images=pixels.numel() * 4 if codes is None else 0,
            labels=targets.numel() * (4 if soft else 1),
            lrs=recipe.stored_rates * 4,
            codes=0 if codes is None else codes.numel() * 4,
            initial=0 if initial is None else initial.numel() * 4,
        )
        extra = {"classes": classes, "codes": codes, "initial": initial}
        aux = {name: part.detach().clone() for name, part in extra.items() if part is not None}
        return cls(pixels, targets, "logits" if soft else "hard", preprocess, recipe, size, aux=aux)

    def __len__(self) -> int:
        return len(self.labels)

    def copy(self) -> CondensedSet:
        """The same set in memory of its own."""
        parts: dict[str, Any] = {
            name: None if (part := getattr(self, name)) is None else part.detach().clone()
            for name in ("images", "labels", "indices", "weights")
        }
        aux = {name: part.detach().clone() for name, part in self.aux.items()}
        return replace(self, **parts, storage=replace(self.storage), aux=aux)


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which real images a selector keeps.

    Attributes:
        indices: [n] int64 into train, distinct.
        weights: [n] float32 loss weights ≥ 0, or None; only their ratios matter.
        scores: [N] float32, the score of every training image, or None.
    """

    indices: Tensor
    weights: Tensor | None = None
    scores: Tensor | None = None
