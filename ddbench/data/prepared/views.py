"""Views: the same data set with pooled pixels, fewer classes, fewer training images or wrong training labels. No torch.

A view is null or a list of named transforms in canonical order: pool → classes → train_size → label_flips. K and the
numbers of the classes stay the parent's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from ddbench.core.errors import UsageError, in_words, shown_value
from ddbench.core.keys import canonical
from ddbench.core.specs import TUNE, Frozen, SplitName
from ddbench.data.prepared.on_disk import Prepared, open_folder
from ddbench.data.prepared.splits import Indices, stratified
from ddbench.data.readers.raw import Labels, PartName

Count: TypeAlias = Annotated[int, Field(strict=True, ge=0)]
View: TypeAlias = "tuple[dict[str, Any], ...] | None"


class Pool(Frozen):
    """Each pixel is the mean of k × k of the source's, rounded to a stored level, in every split.

    Attributes:
        k: Side of the squares, which must divide the side of the images.
    """

    name: Literal["pool"] = "pool"
    k: Count = Field(gt=1)


class Classes(Frozen):
    """Only these classes, in every split.

    Attributes:
        classes: Their numbers, ascending.
    """

    name: Literal["classes"] = "classes"
    classes: tuple[Count, ...] = Field(min_length=1)


class TrainSize(Frozen):
    """A stratified subset of train; val shrinks in proportion, test stays whole.

    Attributes:
        size: Number of training images.
        seed: Which subset; subsets of one seed are nested.
    """

    name: Literal["train_size"] = "train_size"
    size: Count = Field(gt=0)
    seed: Count = 0


class LabelFlips(Frozen):
    """A part of the labels of train replaced by another class, drawn uniformly.

    Attributes:
        fraction: Which part, in (0, 1].
        seed: Which labels; those of a smaller fraction are among those of a larger one.
    """

    name: Literal["label_flips"] = "label_flips"
    fraction: float = Field(gt=0, le=1, strict=True)
    seed: Count = 0


Transform: TypeAlias = Annotated[Pool | Classes | TrainSize | LabelFlips, Field(discriminator="name")]
_TRANSFORM: TypeAdapter[Pool | Classes | TrainSize | LabelFlips] = TypeAdapter(Transform)
_VALUE = {"pool": "k", "classes": "classes", "train_size": "size", "label_flips": "fraction"}
"""The transforms in canonical order, with the field that the shorthand's value stands for."""
SHORTHAND = (*_VALUE, "seed")
"""What the shorthand may hold."""
TUNE_IMAGES, TUNE_PER_CLASS = 5000, 10
"""Largest number of images that configurations are scored on, and the least for each class."""
SEEDED = {"train_size", "label_flips"}


def canonical_view(view: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> View:
    """The one form of a view that enters keys.

    Args:
        view: None; the shorthand ``{"train_size": 10000}`` with any of ``pool``, ``classes``, ``train_size``,
            ``label_flips`` and ``seed`` (default 0); or a list of ``{"name": …, …}``. Flips of fraction 0 and pools of
            1 × 1 are no transform.

    Returns:
        ``{"name": "pool", "k": …}``, ``{"name": "classes", "classes": […]}``,
        ``{"name": "train_size", "size": …, "seed": …}`` and ``{"name": "label_flips", "fraction": …, "seed": …}`` as
        far as present, in this order; None when empty.

    Raises:
        UsageError: If a key is unknown, a value impossible, or a transform is given twice.
    """
    if not view:
        return None
    if not isinstance(view, Mapping | Sequence) or isinstance(view, str):
        raise UsageError(f"view: {view!r} is neither a mapping nor a list of transforms")
    items = _expand(view) if isinstance(view, Mapping) else list(view)
    transforms: dict[str, dict[str, Any]] = {}
    for item in items:
        if not isinstance(item, Mapping):
            raise UsageError(f"view: {item!r} is not a transform such as {{'name': 'train_size', 'size': 1000}}")
        if _changes_nothing(item):
            continue
        transform = _validated(item)
        if transform["name"] in transforms:
            raise UsageError(f"view: {transform['name']} is given twice")
        transforms[transform["name"]] = transform
    return tuple(transforms[name] for name in _VALUE if name in transforms) or None


def _changes_nothing(item: Mapping[str, Any]) -> bool:
    name = item.get("name")
    flips, pool = (item.get(field) for field in ("fraction", "k"))
    return (name == "label_flips" and flips == 0) or (name == "pool" and type(pool) is int and pool == 1)


def _expand(view: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The shorthand as a list of transforms."""
    if "name" in view:
        return [dict(view)]
    odd = sorted(set(view) - set(SHORTHAND))
    if odd:
        raise UsageError(f"view: unknown key {odd[0]!r}; known: {', '.join(SHORTHAND)}")
    seeded = {"seed": view["seed"]} if "seed" in view else {}
    if seeded and not set(view) & SEEDED:
        raise UsageError("view: a seed without train_size or label_flips")
    return [
        {"name": name, field: view[name], **(seeded if name in SEEDED else {})}
        for name, field in _VALUE.items()
        if name in view
    ]


def _validated(item: Mapping[str, Any]) -> dict[str, Any]:
    try:
        transform = _TRANSFORM.validate_python(dict(item))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"view: {where or 'transform'}: {in_words(first)} (got {shown_value(first['input'])})"
        ) from error
    if isinstance(transform, Classes):
        return {"name": "classes", "classes": sorted(set(transform.classes))}
    return transform.model_dump()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Images of one split, with the labels that the view gives them.

    Attributes:
        indices: [n] int64 positions in the prepared images, ascending.
        labels: [n] int64.
    """

    indices: Indices
    labels: Labels

    def keep(self, positions: Indices) -> Part:
        """The images at ``positions`` [m]."""
        return Part(self.indices[positions], self.labels[positions])


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Train, validation and test after split and view."""

    train: Part
    val: Part
    test: Part

    @property
    def whole(self) -> Part:
        """Train ∪ val, in the order of the source."""
        return join(self.train, self.val)


def join(first: Part, second: Part) -> Part:
    """The images of two disjoint parts, in the order of the source."""
    indices = np.concatenate([first.indices, second.indices])
    return Part(indices, np.concatenate([first.labels, second.labels])).keep(np.argsort(indices, kind="stable"))


def seen(prepared: Prepared, view: View) -> Prepared:
    """The data set with the pixels that a view shows.

    Raises:
        UsageError: If the view pools squares that do not fill the images.
    """
    k = next((item["k"] for item in canonical_view(view) or () if item["name"] == "pool"), 1)
    return prepared if k == 1 else prepared.pooled(k)


def parts_of(prepared: Prepared, split: SplitName, view: View) -> Parts:
    """What :func:`apply_view` gives, drawn once for the nodes of a process that see one view after another.

    The arrays must not be written to. Arguments and errors as :func:`apply_view`.
    """
    return _drawn(prepared.folder, split, canonical(view))


@lru_cache(maxsize=4)
def _drawn(folder: Path, split: SplitName, view: str) -> Parts:
    """A folder's name is the hash of its content."""
    parts = apply_view(open_folder(folder), split=split, view=json.loads(view))
    for part in (parts.train, parts.val, parts.test):
        part.indices.setflags(write=False)
        part.labels.setflags(write=False)
    return parts


def apply_view(prepared: Prepared, *, split: SplitName = "default", view: View = None) -> Parts:
    """Which images, with which labels, a cell sees; :func:`seen` says with which pixels.

    Args:
        prepared: The data set.
        split: ``default``; ``paper``: train ∪ val becomes train, and val is empty; or ``tune``: train and val are those
            of ``default``, test is drawn from the training images that the view leaves out, and the data set's own test
            part is not read.
        view: A view, canonical or not; applied after the split.

    Raises:
        UsageError: If the view asks for what the data set does not have, or leaves too little to tune on.
    """
    labels = np.asarray(prepared.labels)
    sources: tuple[PartName, ...] = ("train", "val", "train" if split == TUNE else "test")
    parts = Parts(*(Part(indices, labels[indices]) for indices in map(prepared.split, sources)))
    if split == "paper":
        parts = Parts(parts.whole, parts.val.keep(np.arange(0)), parts.test)
    for item in canonical_view(view) or ():
        transform = _TRANSFORM.validate_python(item)
        if isinstance(transform, Classes):
            parts = _only(parts, transform, prepared)
        elif isinstance(transform, TrainSize):
            parts = _shrink(parts, transform, prepared.name)
        elif isinstance(transform, LabelFlips):
            parts = replace(parts, train=_flip(parts.train, transform))
    return replace(parts, test=_left_out(parts, prepared.name)) if split == TUNE else parts


def _left_out(parts: Parts, name: str) -> Part:
    """A stratified draw from ``parts.test`` (all training images of the view's classes) of those not in train or val.

    Raises:
        UsageError: If there are fewer than :data:`TUNE_PER_CLASS` for each class.
    """
    whole, classes = parts.test, len(np.unique(parts.test.labels))
    needed = TUNE_PER_CLASS * classes
    left = whole.keep(np.flatnonzero(~np.isin(whole.indices, parts.whole.indices)))
    if len(left.indices) < needed:
        limit = len(whole.indices) - needed + 1
        advice = f"give the view a train_size below {limit}" if limit > classes else f"{name} has too few"
        raise UsageError(f"tuning needs training images that the view leaves out: {advice} (see `ddbench tune --help`)")
    size = min(TUNE_IMAGES, len(left.indices))
    return left.keep(stratified(left.labels, size, np.random.default_rng([0, 3])))


def _only(parts: Parts, view: Classes, prepared: Prepared) -> Parts:
    if max(view.classes) >= prepared.meta.classes:
        raise UsageError(
            f"view: classes: {prepared.name} has classes 0..{prepared.meta.classes - 1}, not {max(view.classes)}"
        )
    kept = [
        part.keep(np.flatnonzero(np.isin(part.labels, view.classes))) for part in (parts.train, parts.val, parts.test)
    ]
    return Parts(*kept)


def _shrink(parts: Parts, view: TrainSize, name: str) -> Parts:
    """Draw from train and, at the same ratio, from val; a smaller draw is a subset of a larger one."""
    train, val = parts.train, parts.val
    present = len(np.unique(train.labels))
    if view.size > len(train.indices):
        raise UsageError(f"view: train_size {view.size}: the largest possible for {name} is {len(train.indices)}")
    if view.size < present:
        raise UsageError(f"view: train_size {view.size}: {name} needs at least one image for each of {present} classes")
    n_val = round(len(val.indices) * view.size / len(train.indices))
    n_val = min(len(val.indices), max(n_val, len(np.unique(val.labels))))
    return Parts(
        train.keep(stratified(train.labels, view.size, np.random.default_rng([view.seed, 0]))),
        val.keep(stratified(val.labels, n_val, np.random.default_rng([view.seed, 1]))),
        parts.test,
    )


def _flip(train: Part, view: LabelFlips) -> Part:
    """Give ``round(fraction · n)`` images another one of the classes that are present."""
    classes, position = np.unique(train.labels, return_inverse=True)
    if len(classes) < 2:
        raise UsageError("view: label_flips need at least 2 classes")
    count = len(train.labels)
    generator = np.random.default_rng([view.seed, 2])
    chosen = generator.permutation(count)[: round(view.fraction * count)]
    # Shifts are drawn for all images, so that a larger fraction gives the same wrong labels to the images it shares.
    shift = generator.integers(1, len(classes), size=count)
    labels = train.labels.copy()
    labels[chosen] = classes[(position[chosen] + shift[chosen]) % len(classes)]
    return Part(train.indices, labels)
