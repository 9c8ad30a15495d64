"""What the numbers in a file mean: the space of images, the kind of labels. Where a file does not say it, a flag does.

Nothing is guessed: uint8 is pixels; floats are what their layout's authors store, or what a flag says; whitened spaces
need a flag, because they depend on the run that made the set.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ddbench.core.errors import DataError
from ddbench.core.specs import DatasetInfo
from ddbench.core.words import plural
from ddbench.data.exchange.files import Flags, LabelSpace
from ddbench.data.exchange.layouts import Stored
from ddbench.data.prepared.contents import DARKEST
from ddbench.data.space.ids import ZCA
from ddbench.data.space.pixels import outside
from ddbench.data.space.visible import unstandardise

SPACES = "--preprocess meanstd, meanstd-mtt, zca-kornia, zca-frepo or zca-kip"
NORMALISED = ("dc", "mtt", "datm", "ddranking")
"""Layouts whose authors' scripts store images as their networks see them."""
LOGITS = ("datm", "ddranking")
"""Layouts whose soft labels go through a softmax in their authors' losses."""
WHITENED = "images were whitened by the run that made them, whose matrices are unknown; those of ddbench are used"
UNDONE = "MTT undid their whitening (--zca) before it wrote them"
DECODED = (
    "each stored image is taken as one; IDC, DREAM, DANCE and NCFM may store several in one (their --factor): decode"
    " such a set before importing it"
)


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """A set whose numbers are understood.

    Attributes:
        stored: With images uint8 or float32 [n, C, H, W], labels int64 [n] or float32 [n, K], their space, and the
            recipe.
        pixels: Whether images are pixels (uint8, or floats in [0, 1]) that are still to be preprocessed.
        found: What was found, a line each.
        warnings: What a reader of the table must know.
    """

    stored: Stored
    pixels: bool
    found: tuple[str, ...]
    warnings: tuple[str, ...]


def space_of(stored: Stored, flags: Flags, where: str) -> str:
    """The preprocessing that a set is evaluated in.

    Raises:
        DataError: If neither the file, nor its layout, nor a flag says it, or if they contradict each other.
    """
    declared = None if stored.preprocess is None else stored.preprocess.id
    if declared is not None and flags.preprocess not in (None, declared):
        raise DataError(
            f"{where}: lives in {declared} space, as its own file says: leave out --preprocess {flags.preprocess}; a "
            "set is evaluated in its own space alone"
        )
    if declared is not None or flags.preprocess is not None:
        return declared or str(flags.preprocess)
    if stored.unwhitened:
        return "zca-kornia"
    if _are_pixels(stored, flags) or stored.layout == "dc":
        return "meanstd"
    if stored.layout in NORMALISED:
        raise DataError(
            f"{where}: files of MTT, DATM and DD-Ranking hold images as their networks saw them, and do not say how: "
            "--preprocess zca-kornia says that the run whitened them (--zca), "
            f"{'meanstd-mtt or ' if stored.images.shape[1] == 3 else ''}meanstd that it did not"
        )
    if flags.range is None:
        raise DataError(f"{where}: {_ambiguous(stored.images)}")
    raise DataError(f"{where}: its values are normalised, and the file does not say how: {SPACES} says it")


def _are_pixels(stored: Stored, flags: Flags) -> bool:
    return stored.images.dtype == torch.uint8 or flags.range in ("01", "255")


def _ambiguous(images: Tensor) -> str:
    return (
        f"float images between {float(images.min()):.3g} and {float(images.max()):.3g} are pixels or normalised: say "
        "which with --range 01, --range 255, or --range normalised and the space (--preprocess meanstd …)"
    )


def settle(stored: Stored, info: DatasetInfo, flags: Flags, preprocess: str, where: str) -> Settled:
    """Check a set against its data set, and settle what its numbers are.

    Args:
        stored: The set as its file holds it.
        info: The data set under ``preprocess``.
        flags: What the user says.
        preprocess: From :func:`space_of`.
        where: The file, for messages.

    Raises:
        DataError: If the set does not fit the data set, holds numbers that are not finite, or is ambiguous.
    """
    images = _shaped(stored.images, info, where)
    if not bool(torch.isfinite(images.float()).all()):
        raise DataError(f"{where}: not all pixels are finite")
    labels, space = _labels(stored, info, flags, len(images), where)
    weights, classes = _beside(stored, info, where)
    initial = stored.initial
    if initial is not None and (initial.ndim != 1 or not bool(initial.isfinite().all())):
        raise DataError(f"{where}: the initial state has shape {list(initial.shape)} or is not finite")
    pixels, images, about = _images(stored, images, info, flags, preprocess, where)
    notes = [*stored.warnings]
    if not pixels and preprocess in ZCA and stored.preprocess is None:
        notes.append(WHITENED)
    if not pixels and stored.layout in NORMALISED and preprocess not in ZCA:
        notes.append(f"images are taken to be normalised with mean {_listed(info.mean)}, std {_listed(info.std)}")
    if stored.layout == "pair":
        notes.append(DECODED)
    if space == "hard" and (spread := _spread(labels, info)):
        notes.append(spread)
    if len(images) > 1 and bool((images == images[0]).all()):
        notes.append(f"all {len(images)} images are the same")
    made = replace(
        stored, images=images.contiguous(), labels=labels, label_space=space, weights=weights, classes=classes
    )  # fmt: skip
    found = (about, _label_facts(labels, space, info), *stored.notes)
    if initial is not None:
        found += (f"students start from an initial state of {len(initial):,} parameters (of its network: --archs)",)
    if stored.recipe.lr is not None:
        found += (f"learned learning rate {stored.recipe.lr:g}",)
    return Settled(made, pixels, found, tuple(notes))


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _shaped(images: Tensor, info: DatasetInfo, where: str) -> Tensor:
    """As [n, C, H, W]; also from [n, H, W] and [n, H, W, C]."""
    wanted, shape = (info.channels, info.size, info.size), tuple(images.shape)
    if shape[1:] == wanted:
        found = images
    elif shape[1:] == wanted[1:] and info.channels == 1:
        found = images[:, None]
    elif shape[1:] == (*wanted[1:], info.channels):
        found = images.permute(0, 3, 1, 2)
    else:
        coloured = info.channels == 1 and shape[1:] in ((3, *wanted[1:]), (*wanted[1:], 3))
        raise DataError(
            f"{where}: images have shape {list(shape[1:])}, those of {info.name} {list(wanted)}"
            + ": they are coloured, as their three channels differ" * coloured
        )
    if not len(images):
        raise DataError(f"{where}: holds no images")
    return found


def _images(
    stored: Stored, images: Tensor, info: DatasetInfo, flags: Flags, preprocess: str, where: str
) -> tuple[bool, Tensor, str]:
    """Whether images are pixels, the images, and a line about them."""
    low, high = float(images.min()), float(images.max())
    if images.dtype == torch.uint8:
        if flags.range not in (None, "255"):
            raise DataError(f"{where}: images are uint8, so pixels that count to 255: leave out --range {flags.range}")
        if high <= info.levels < 255:
            raise DataError(
                f"{where}: the largest pixel is {high:.0f}: in files pixels count to 255, those of {info.name} to "
                f"{info.levels}; scale them to 255, or store floats in [0, 1] with --range 01"
            )
        _refuse_other_range(low, high, 255.0, where, "Scale the images to 255")
        two = low == 0 and bool(((images == 0) | (images == 255)).all())
        return True, images, f"8-bit pixels, {'0 and 255 alone' if two else f'{low:.0f} to {high:.0f}'}"
    images = images.float()
    if stored.preprocess is not None:
        declared = stored.preprocess
        if flags.range in ("01", "255"):
            raise DataError(f"{where}: in {declared.id} space, as its own file says: leave out --range {flags.range}")
        if declared.matrices is None and (declared.mean, declared.std) != (info.mean, info.std):
            raise DataError(
                f"{where}: normalised with mean {_listed(declared.mean)}, std {_listed(declared.std)}; {info.name} "
                f"under {declared.id} has {_listed(info.mean)}, {_listed(info.std)}"
            )
        return False, images, f"in {declared.id} space, as its file says"
    if stored.unwhitened:
        return True, images, _unwhitened(images, flags, where)
    if flags.range in ("01", "255"):
        top = 1.0 if flags.range == "01" else 255.0
        _refuse_other_range(low, high, top, where)
        return True, images / top, f"pixels in [0, {top:.0f}], found {low:.3g} to {high:.3g}"
    if flags.range is None and stored.layout not in NORMALISED:
        raise DataError(f"{where}: {_ambiguous(images)}")
    if flags.range is None and low >= 0:
        raise DataError(
            f"{where}: values from {low:.3g} to {high:.3g} look like pixels, though files of this layout hold "
            "normalised images: --range 01, 255 or normalised settles it"
        )
    found = f"in {preprocess} space, {low:.3g} to {high:.3g}, mean {float(images.mean()):.3g}"
    found += f", sd {float(images.std()):.3g}"
    if preprocess in ZCA:
        return False, images, found
    undone = torch.from_numpy(unstandardise(images.numpy(), info.mean, info.std))
    span = f"{float(undone.min()):z.2f} to {float(undone.max()):z.2f}"
    return False, images, f"{found}; as pixels {span}, {outside(undone):.1f} % outside [0, 1]"


_DIVIDED = "Were pixels divided by 255 twice, or is their range another one (--range)?"


def _refuse_other_range(low: float, high: float, top: float, where: str, advice: str = "") -> None:
    """Refuse values that are no pixels up to ``top``, with an advice in place of the one on ``--range``."""
    if low < 0 or high > top or (top == 255 and high <= 1):
        more = f". {advice}" * bool(advice)
        raise DataError(f"{where}: values from {low:.3g} to {high:.3g} are not pixel values in [0, {top:.0f}]{more}")
    if high * 255 < DARKEST * top:
        raise DataError(
            f"{where}: the largest pixel is {255 * high / top:.3g} of 255: that cannot be meant. {advice or _DIVIDED}"
        )


def _unwhitened(images: Tensor, flags: Flags, where: str) -> str:
    """A line about pixels whose whitening was undone."""
    if flags.range not in (None, "01"):
        raise DataError(f"{where}: {UNDONE}, so they are pixels around [0, 1]: leave out --range {flags.range}")
    span = f"pixels from {float(images.min()):.3g} to {float(images.max()):.3g}"
    return f"{span}, {outside(images):.1f} % outside [0, 1]: {UNDONE}"


def _labels(stored: Stored, info: DatasetInfo, flags: Flags, n: int, where: str) -> tuple[Tensor, LabelSpace]:
    labels = stored.labels
    if labels.ndim == 2 and labels.shape[1] == 1 and info.classes != 1:
        labels = labels[:, 0]
    if len(labels) != n:
        raise DataError(f"{where}: {plural(n, 'image')}, {plural(len(labels), 'label')}")
    if not bool(torch.isfinite(labels.double()).all()):
        raise DataError(f"{where}: not all labels are finite")
    if labels.ndim == 1:
        if flags.labels not in (None, "hard"):
            raise DataError(f"{where}: one label an image is a class: leave out --labels {flags.labels}")
        return _classes(labels, info, where), "hard"
    if labels.ndim != 2 or labels.shape[1] != info.classes:
        raise DataError(
            f"{where}: labels have shape {list(labels.shape)}; {info.name} has {info.classes} classes, so [{n}] or "
            f"[{n}, {info.classes}]"
        )
    soft, given = labels.float(), flags.labels or stored.label_space
    simplex = bool((soft >= 0).all()) and torch.allclose(soft.sum(1), torch.ones(n), atol=1e-3)
    if given == "hard":
        raise DataError(f"{where}: labels of shape {list(labels.shape)} are soft: --labels probs, logits or centred")
    if given == "probs" and not simplex:
        raise DataError(f"{where}: the labels are no probabilities: not all rows are ≥ 0 with sum 1")
    if given is not None:
        return soft, given  # type: ignore[return-value]
    if simplex:
        return soft, "probs"
    if stored.layout in LOGITS:
        return soft, "logits"
    raise DataError(f"{where}: soft labels that are no probabilities: --labels logits or centred says what they are")


def _classes(labels: Tensor, info: DatasetInfo, where: str) -> Tensor:
    whole = labels.long()
    if labels.is_floating_point() and not bool((whole == labels).all()):
        raise DataError(f"{where}: labels are not whole numbers, and there is one an image")
    if not 0 <= int(whole.min()) <= int(whole.max()) < info.classes:
        from_one = int(whole.min()) == 1 and int(whole.max()) == info.classes
        raise DataError(
            f"{where}: labels from {int(whole.min())} to {int(whole.max())}; {info.name} has 0 … {info.classes - 1}"
            + ": labels count from 0, so subtract 1" * from_one
        )
    return whole


def _beside(stored: Stored, info: DatasetInfo, where: str) -> tuple[Tensor | None, Tensor | None]:
    """Weights and class slots, which only our own exports have."""
    weights, classes = stored.weights, stored.classes
    if weights is not None and (weights.shape != (len(stored.images),) or not bool(torch.isfinite(weights).all())):
        raise DataError(f"{where}: weights have shape {list(weights.shape)} or are not finite")
    if weights is not None and not (bool((weights >= 0).all()) and bool((weights > 0).any())):
        raise DataError(f"{where}: weights are negative, or all 0: they are factors of the images' losses")
    if classes is not None:
        if classes.shape != (len(stored.images),):
            raise DataError(f"{where}: classes have shape {list(classes.shape)}")
        classes = _classes(classes, info, where)
    return weights, classes


def _label_facts(labels: Tensor, space: str, info: DatasetInfo) -> str:
    """``hard labels, 10 images of each of 10 classes``."""
    if space != "hard":
        confident = float(functional.softmax(labels, 1).amax(1).mean()) if space == "logits" else None
        return f"{space} of {info.classes} classes" + (f", mean top probability {confident:.2f}" if confident else "")
    spread = _spread(labels, info)
    return f"hard labels, {spread or f'{len(labels) // info.classes} of each of {info.classes} classes'}"


def _spread(labels: Tensor, info: DatasetInfo) -> str:
    """How many classes have how many images; nothing where all have equally many."""
    sizes = Counter(torch.bincount(labels, minlength=info.classes).tolist())
    if len(sizes) == 1:
        return ""
    return "class counts differ: " + ", ".join(
        f"{sizes[size]} class{'es' * (sizes[size] != 1)} with {size}" for size in sorted(sizes)
    )
