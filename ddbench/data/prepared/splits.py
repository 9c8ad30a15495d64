"""Train, validation and test: which image is where. Made once, when a data set is prepared. No torch.

One function draws all stratified subsets (also those of views), because library splitters may leave a small class out
of the smaller part, and because its subsets are nested: the first m images it draws are among the first m + 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError
from ddbench.data.readers.raw import PARTS, Labels, PartName

Indices: TypeAlias = npt.NDArray[np.int64]

HOLDOUT = 0.1
"""Share of val, and of test, where the source does not say."""

NO_TEST, NO_VAL = "the source has no test split", "the source has no val split"
"""How notes on what was split off begin."""

_SEED = 0
"""Splits are part of a data set's definition: their seed never varies."""


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Positions in the data set of each split's images, ascending.

    Attributes:
        train: [n] int64.
        val: [n] int64.
        test: [n] int64.
        notes: How they were made, where the source did not say.
    """

    train: Indices
    val: Indices
    test: Indices
    notes: tuple[str, ...] = ()


def stratified(labels: Labels, size: int, generator: np.random.Generator) -> Indices:
    """Draw ``size`` of the images so that classes keep their shares.

    Images are drawn in a fixed order: first one of every class, then always one of the class that is furthest behind
    its share (Sainte-Laguë's rule). So every class is represented when ``size`` ≥ the number of classes, and with an
    equally seeded generator a smaller draw is a subset of a larger one.

    Args:
        labels: [N] int64.
        size: Number of images to draw, 0 … N.
        generator: Decides which images of a class come first.

    Returns:
        [size] positions in ``labels``, ascending.
    """
    shuffled = generator.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    classes, counts = np.unique(labels, return_counts=True)
    rank = np.concatenate([np.arange(n) for n in counts]) if len(classes) else np.arange(0)
    turn = np.where(rank == 0, 0.0, (rank + 0.5) / np.repeat(counts, counts))
    return np.sort(by_class[np.argsort(turn, kind="stable")[:size]]).astype(np.int64)


def make_splits(
    labels: Labels, parts: Mapping[PartName, int], class_names: Sequence[str], holdout: tuple[int, int] | None = None,
    copies: Indices | None = None,
) -> Splits:  # fmt: skip
    """Decide which image is in which split.

    The source's own val and test are kept. A missing val is 10 % of train; a missing test is 10 % of train as well (of
    the whole, before val was taken). All drawn parts are stratified and hold at least one image of every class.

    Args:
        labels: [N] int64, of the parts one after the other.
        parts: Sizes of the source's parts, in the order train, val, test.
        class_names: K names.
        holdout: Sizes of (val, test) where the source has neither, in place of 10 %.
        copies: [N] int64, for each image the position of the first one that equals it. Equal images of train stay on
            one side of what is drawn; a draw then counts them once. None: they are not looked at.

    Raises:
        DataError: If some class would be missing from a split.
    """
    starts = dict(zip(parts, np.cumsum([0, *parts.values()]), strict=False))
    given = {name: np.arange(starts[name], starts[name] + size, dtype=np.int64) for name, size in parts.items()}
    train, notes = given["train"], []
    missing: list[PartName] = [name for name in ("test", "val") if name not in given]
    first = np.arange(len(labels), dtype=np.int64) if copies is None else copies
    heads = train[first[train] == train]
    _require_enough(labels[heads], labels[train], class_names, missing)
    fallback = max(round(HOLDOUT * len(heads)), len(class_names))
    for name in missing:
        size = holdout[PARTS.index(name) - 1] if holdout else fallback
        chosen = heads[stratified(labels[heads], size, np.random.default_rng(_SEED))]
        heads = np.setdiff1d(heads, chosen, assume_unique=True)
        goes = np.isin(first[train], chosen)
        given[name], train = train[goes], train[~goes]
    splits = Splits(train, given["val"], given["test"])
    notes += _lacking(splits, labels, class_names)
    if missing:
        drawn = [part for part in PARTS if part == "train" or part in missing]
        sizes = "/".join(str(len(getattr(splits, part))) for part in drawn)
        what = NO_TEST if "test" in missing else NO_VAL
        share = f"{what}: stratified {sizes} images ({'/'.join(drawn)}), fixed seed"
        notes.append(share + "; all results are conditional on this one split" * ("test" in missing))
    return replace(splits, notes=tuple(notes))


def _require_enough(labels: Labels, whole: Labels, class_names: Sequence[str], missing: Sequence[str]) -> None:
    """Say which class is too small before sharing it out: of its images (``whole``) count those that are no copies."""
    needed = 1 + len(missing)
    counts, sizes = (np.bincount(found, minlength=len(class_names)) for found in (labels, whole))
    for name, count, size in zip(class_names, counts.tolist(), sizes.tolist(), strict=True):
        if count < needed:
            uses = " and ".join(["train", *reversed(missing)]) if len(missing) < 2 else "train, val and test"
            copies = f", {size - count} of them copies of others" * bool(size > count)
            different = " different ones" * bool(copies)
            raise DataError(
                f"class {name!r} has {_images(size)}{copies}; needs ≥ {needed}{different} (one each for {uses})"
            )


def _images(count: int) -> str:
    return f"{count} training image{'s' * (count != 1)}"


def _lacking(splits: Splits, labels: Labels, class_names: Sequence[str]) -> list[str]:
    """A word on classes that val or test lack, as the source has them.

    Raises:
        DataError: If train lacks one.
    """
    notes = []
    for part in PARTS:
        counts = np.bincount(labels[getattr(splits, part)], minlength=len(class_names))
        absent = [name for name, count in zip(class_names, counts, strict=True) if not count]
        if absent and part == "train":
            raise DataError(f"class {absent[0]!r} has no image in the train split")
        if absent:
            names = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" * (len(absent) > 5))
            notes.append(f"no {'validation' if part == 'val' else part} image is of {names}")
    return notes
