"""Hyper-parameters shared by methods: the proxy net behind ``features``, and its users. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from ddbench.core.api import DistillationParams, Params
from ddbench.core.specs import TUNE, ArtifactSpec, CellSpec, DatasetInfo


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
        return features_artifact(cell, self)

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """A class cannot give more real images than it has."""
        return too_few_images(cell, data)


def features_artifact(cell: CellSpec, params: FeaturesParams) -> dict[str, ArtifactSpec]:
    """The features of the cell's training images under the cell's architecture, as a declaration."""
    return {
        "features": ArtifactSpec(
            kind="features",
            data=cell.data,
            arch=cell.arch,
            params=params.model_dump(include=set(FeaturesParams.model_fields)),
            seed={"master": cell.master, "r": cell.r},
        )
    }


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
    source: str = Field(default="", description="which imported pool this is; empty: one that ddbench trains")

    def between(self, n_train: int) -> int:
        """Updates from one snapshot to the next.

        Args:
            n_train: Training images.
        """
        return self.snapshot_updates or -(-n_train // self.batch)


START = (
    "first images: random's; N(0, 1) noise [normalised units]; those that k-center or k-means picks by the features of "
    "a proxy net"
)
"""Description of ``init``."""


class StartParams(DistillationParams):
    """Base for distillers of images: what these start from and how they are stored; ``init`` may get more choices."""

    continues: ClassVar[bool] = True

    init: Literal["real", "noise", "kcenter", "kmeans"] = Field(default="real", description=START)
    parametrisation: Literal["pixels", "multi-formation", "upsampled"] = Field(
        default="pixels",
        description="what is stored: the images; canvases of factor × factor small ones; images of side / factor",
    )
    factor: int = Field(default=2, ge=2, description="side of a stored small image: side / factor; not for pixels")

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """The features that k-center and k-means look at."""
        return features_artifact(cell, FeaturesParams()) if self.init in ("kcenter", "kmeans") else {}

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """Budgets that real images cannot initialise, and sides that the factor does not divide."""
        if self.parametrisation != "pixels" and data.size % self.factor:
            return f"{self.parametrisation} of factor {self.factor} needs a side that it divides, not {data.size}"
        times = images_per_stored(self.parametrisation, self.factor)
        return None if self.init == "noise" else too_few_images(cell, data, times)

    def images_seen(self, n: int) -> int:
        """All that the stored ones decode to."""
        return n * images_per_stored(self.parametrisation, self.factor)

    def stored_pixels(self, n: int, data: DatasetInfo) -> int | None:
        """Those of what is stored."""
        smaller = self.factor**2 if self.parametrisation == "upsampled" else 1
        return n * data.image_bytes // smaller


def images_per_stored(parametrisation: str, factor: int) -> int:
    """How many images one stored image decodes to."""
    return factor**2 if parametrisation == "multi-formation" else 1


class GradientMatchingParams(StartParams):
    """What DC, DSA and IDC share: fresh networks, in each of which T matchings alternate with training the network."""

    effort: ClassVar[tuple[str, ...]] = ("iterations", "outer_steps", "batch_real")

    iterations: NonNegativeInt = Field(default=1000, description="K, fresh networks")
    outer_steps: PositiveInt = Field(default=1, description="T, matching steps per network")
    batch_real: PositiveInt = Field(
        default=256, description="real images per class and step; all where a class has fewer"
    )
    lr_img: float = Field(default=0.1, gt=0, description="SGD learning rate on pixels [normalised units]")
    momentum: float = Field(default=0.5, ge=0, lt=1, description="SGD momentum on pixels")
    lr_net: float = Field(default=0.01, gt=0, description="SGD learning rate of the network [per update]")
    batch_net: PositiveInt = Field(default=256, description="images per update of the network")

    @property
    def steps(self) -> int:
        """K · T matching steps."""
        return self.iterations * self.outer_steps


class CondensationParams(GradientMatchingParams):
    """What DC and DSA share: networks are trained on the synthetic images."""

    effort: ClassVar[tuple[str, ...]] = (*GradientMatchingParams.effort, "inner_epochs")

    inner_epochs: NonNegativeInt = Field(
        default=1, description="ζ, epochs of the network on the synthetic images between two matching steps"
    )


class PoolParams(Params):
    """Which pool of experts a method looks at; methods with equal values share it.

    Snapshots are counted, not epochs: with the default ``snapshot_updates`` they are the same.
    """

    without_statistics: ClassVar[str] = (
        "batch norm's statistics are no part of a trajectory; only -in and -nn are supported"
    )

    experts: PositiveInt = Field(default=100, description="experts in the pool")
    expert_epochs: PositiveInt = Field(default=50, description="passes of an expert over the training images")
    expert_lr: float = Field(default=0.01, gt=0, description="learning rate of the experts [per update]")
    expert_batch: PositiveInt = Field(default=256, description="images per update of the experts")
    expert_optimiser: Literal["sgd", "gsam"] = Field(
        default="sgd", description="plain SGD, or adaptive GSAM towards flat minima"
    )
    expert_rho: NonNegativeFloat = Field(default=0.01, description="gsam: radius of the perturbation")
    expert_alpha: NonNegativeFloat = Field(default=0.3, description="gsam: weight of the orthogonal gradient")
    snapshot_updates: NonNegativeInt = Field(default=0, description="updates between snapshots; 0: one epoch's worth")
    expert_storage: Literal["float32", "bfloat16"] = Field(
        default="float32", description="number format of stored snapshots"
    )
    expert_seed: Literal["shared", "per_rep"] = Field(
        default="shared", description="one pool for all repetitions, or (strictly independent) one for each"
    )
    expert_source: str = Field(
        default="", description="an imported pool, as `ddbench artifacts import` names it; empty: train the experts"
    )
    augment: Literal["dsa", "none"] = Field(
        default="dsa", description="augmentation of the experts' batches and of those of students that follow them"
    )

    @property
    def pool(self) -> ExpertsParams:
        """How the experts are trained; what does not matter there is left at its default, so that it splits no pool."""
        if self.expert_source:
            return ExpertsParams(experts=self.experts, epochs=self.expert_epochs, source=self.expert_source)
        flat = {"rho": self.expert_rho, "alpha": self.expert_alpha} if self.expert_optimiser == "gsam" else {}
        return ExpertsParams(
            experts=self.experts, epochs=self.expert_epochs, lr=self.expert_lr, batch=self.expert_batch,
            snapshot_updates=self.snapshot_updates, optimiser=self.expert_optimiser, augment=self.augment,
            storage=self.expert_storage, **flat,
        )  # fmt: skip

    def last_snapshot(self, n_train: int) -> int:
        """E, the number of an expert's last snapshot.

        Args:
            n_train: Training images.
        """
        if self.expert_source:
            return self.expert_epochs
        per_epoch = -(-n_train // self.expert_batch)
        return self.expert_epochs * per_epoch // (self.snapshot_updates or per_epoch)

    def last_opened(self, n_train: int) -> int:
        """The number of the last snapshot that the method may look at; here the experts' last.

        Args:
            n_train: Training images.
        """
        return self.last_snapshot(n_train)

    def opens(self, name: str, cell: CellSpec, data: DatasetInfo) -> float:
        """Of the experts the updates up to the last snapshot that the method may look at."""
        if name != "experts":
            return super().opens(name, cell, data)
        last = self.last_opened(data.n_train)
        if self.expert_source:
            return last / self.expert_epochs
        per_epoch = -(-data.n_train // self.expert_batch)
        return last * (self.snapshot_updates or per_epoch) / (self.expert_epochs * per_epoch)

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """The pool of experts; repetition 0's for all unless ``expert_seed`` says otherwise, and never while tuning."""
        r = cell.r if self.expert_seed == "per_rep" or cell.data.split == TUNE else 0
        seed = {} if self.expert_source else {"master": cell.master, "r": r}
        pool = self.pool.model_dump()
        return {"experts": ArtifactSpec(kind="experts", data=cell.data, arch=cell.arch, params=pool, seed=seed)}


def _step_size(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """One sentence for a wrong value, instead of one for each kind that it is not."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError("should be a positive number, or search") from None


StepSize = Annotated[PositiveFloat | Literal["search"], WrapValidator(_step_size)]
"""β₀ of a student: a number, or the best of a few by the matching loss that the first images have."""

STEP_SIZE = (
    "β₀, the student's learning rate at first [per update]; search: that of .01, .03, .1 and .3 with which the first "
    "images match best"
)
"""Description of ``lr_init``."""


class TrajectoryParams(PoolParams, StartParams):
    """What all trajectory-matching methods share: the experts, the segment that is matched, the student, the steps."""

    effort: ClassVar[tuple[str, ...]] = ("iterations", "experts", "expert_epochs", "syn_steps")

    syn_steps: PositiveInt = Field(default=50, description="N, updates of the student")
    match_snapshots: PositiveInt = Field(default=2, description="M, snapshots from the start to the target")
    min_start: NonNegativeInt = Field(default=0, description="T⁻, first snapshot to start from")
    max_start: PositiveInt = Field(default=20, description="T⁺, exclusive bound of the snapshots to start from")
    init: Literal["real", "correct", "noise", "kcenter", "kmeans"] = Field(  # type: ignore[assignment]
        default="real", description=f"{START}; correct: the first that an expert classifies correctly"
    )
    batch_syn: NonNegativeInt = Field(default=0, description="synthetic images per update of the student; 0: all")
    lr_img: float = Field(default=100.0, gt=0, description="SGD learning rate on pixels [normalised units]")
    momentum: float = Field(default=0.5, ge=0, lt=1, description="SGD momentum on pixels and on the learning rate")
    lr_lr: float = Field(default=1e-5, ge=0, description="SGD learning rate on the student's learning rate")
    lr_init: StepSize = Field(default=0.01, description=STEP_SIZE)
    gate: NonNegativeFloat = Field(
        default=0.0, description="skip steps whose loss exceeds this (or is no number) and count them; 0: never"
    )
    gradients: Literal["exact", "unrolled", "tesla"] = Field(
        default="exact", description="exact at constant memory; unrolled: the same, all graphs kept; tesla: approximate"
    )
    keep_mb: NonNegativeInt = Field(default=0, description="exact: memory for graphs that need no rebuilding [MB]")

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """The pool, and the features that images are chosen by."""
        return PoolParams.artifacts(self, cell) | StartParams.artifacts(self, cell)

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """As the bases, and windows that no expert reaches."""
        if self.max_start <= self.min_start:
            return f"the window is empty: max_start {self.max_start} must exceed min_start {self.min_start}"
        last, needed = self.last_snapshot(data.n_train), self.max_start - 1 + self.match_snapshots
        if needed > last:
            longer = "" if self.expert_source else f", or raise expert_epochs {self.expert_epochs}"
            return (
                f"max_start {self.max_start} with match_snapshots {self.match_snapshots} reaches snapshot {needed}, "
                f"and the experts' last is {last}: lower max_start{longer}"
            )
        return StartParams.unsupported(self, cell, data)

    @property
    def soft_labels(self) -> bool:
        """Whether the set has logits instead of classes: those of the experts at their end, at least at first."""
        return False

    def last_opened(self, n_train: int) -> int:
        """T⁺ − 1 + M, the last that a segment ends at; E where labels or first images come from the experts' end."""
        if self.soft_labels or self.init == "correct":
            return self.last_snapshot(n_train)
        return self.max_start - 1 + self.match_snapshots if self.iterations else 0

    def stored_bytes(self, n: int, data: DatasetInfo) -> int | None:
        """As the base, with the student's learning rate, and logits for every image that the stored ones decode to."""
        labels = n * images_per_stored(self.parametrisation, self.factor) * data.classes if self.soft_labels else 0
        return (StartParams.stored_bytes(self, n, data) or 0) + 4 * (labels + 1)


def too_few_images(cell: CellSpec, data: DatasetInfo, times: int = 1) -> str | None:
    """Why real images cannot give ``times`` for each one of the cell's budget; None when they can.

    A class that has fewer images than an ipc asks for gives all it has: ``times`` of these are more.
    """
    misfit = cell.budget.misfit(data.counts)
    if misfit is not None:
        return misfit
    wanted = cell.budget.resolve(data.counts)
    short = [(have, c) for c, have in enumerate(data.counts) if wanted[c] * times > have]
    if not short:
        return None
    have, c = min(short)
    return f"class {data.class_names[c]} has {have} training images, and {times} are needed for each one of the budget"
