"""What a reader returns: a data set as its source holds it, before splits are made. No torch.

Symbols: N images, [N, C, H, W] an image batch, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError
from ddbench.core.words import plural

Pixels: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int64]
PartName: TypeAlias = Literal["train", "val", "test"]
PARTS: tuple[PartName, ...] = ("train", "val", "test")
SIXTEEN_BITS = "16 bits a channel"
"""What notes call images of which 8 bits were kept."""


@dataclass(frozen=True, slots=True)
class ImageStream:
    """Images that are decoded while they are consumed, so that a large set never has to fit into memory.

    Attributes:
        shape: (N, C, H, W) of all chunks together.
        chunks: Starts an iteration over uint8 arrays [n, C, H, W] in order.
    """

    shape: tuple[int, int, int, int]
    chunks: Callable[[], Iterator[Pixels]]


@dataclass(frozen=True, slots=True, eq=False)
class RawDataset:
    """A data set as its source holds it.

    Images are uint8 [N, C, H, W] with C in {1, 3} and H = W, as one array or as an :class:`ImageStream`; labels are
    int64 [N] in [0, K).

    Attributes:
        train_images: Training images.
        train_labels: Their labels.
        class_names: K names; label c is called ``class_names[c]``.
        test_images: Test images, None when the source has no test split.
        test_labels: Their labels.
        val_images: Validation images, None when the source has no validation split.
        val_labels: Their labels.
        levels: Largest pixel value, which maps to 1.0.
        holdout: How many images of train become (val, test) when the source has no test split; None: 10 % each.
        notes: What a reader of the table must know about the decoding.
        scratch: Unpacked files that the streams read; deleted when decoding has ended.
    """

    train_images: Pixels | ImageStream
    train_labels: Labels
    class_names: tuple[str, ...]
    test_images: Pixels | ImageStream | None = None
    test_labels: Labels | None = None
    val_images: Pixels | ImageStream | None = None
    val_labels: Labels | None = None
    levels: int = 255
    holdout: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    scratch: TemporaryDirectory[str] | None = None

    def parts(self) -> dict[PartName, tuple[ImageStream, Labels]]:
        """The parts that the source has, in the order train, val, test."""
        found: dict[PartName, tuple[ImageStream, Labels]] = {}
        for name in PARTS:
            images, labels = getattr(self, f"{name}_images"), getattr(self, f"{name}_labels")
            if images is not None and labels is not None:
                found[name] = (images if isinstance(images, ImageStream) else stream_of(images), labels)
        return found

    def close(self) -> None:
        """Delete unpacked files."""
        if self.scratch is not None:
            self.scratch.cleanup()


def stream_of(images: Pixels, size: int = 4096) -> ImageStream:
    """An array [N, C, H, W] as a stream of at most ``size`` images a chunk."""
    if images.ndim != 4:
        raise DataError(f"images must be [N, C, H, W], not of shape {images.shape}")
    count, channels, height, width = images.shape
    return ImageStream(
        (count, channels, height, width), lambda: (images[start : start + size] for start in range(0, count, size))
    )


def malformed(raw: RawDataset) -> str | None:
    """What of a reader's answer is not of the type that :class:`RawDataset` promises, in words; None: nothing."""
    for name in PARTS:
        images, labels = getattr(raw, f"{name}_images"), getattr(raw, f"{name}_labels")
        if images is None and labels is None and name != "train":
            continue
        if images is None or labels is None:
            return f"{name}_{'images' if images is None else 'labels'} is missing"
        if not isinstance(images, ImageStream) and not _is_array(images, "u", 4, itemsize=1):
            return f"{name}_images is {_kind(images)}, not a numpy array of uint8 [N, C, H, W] or a ddbench.ImageStream"
        if not _is_array(labels, "iu", 1):
            return f"{name}_labels is {_kind(labels)}, not a numpy array of integers [N]"
    for field in ("class_names", "notes"):
        texts = getattr(raw, field)
        if not (isinstance(texts, tuple | list) and all(isinstance(text, str) for text in texts)):
            return f"{field} is {repr(texts)[:80]}, not a tuple of texts"
    if not (isinstance(raw.levels, int) and 1 <= raw.levels <= 255):
        return f"levels is {raw.levels!r}, not an integer in 1 … 255"
    return None


def _is_array(found: object, kinds: str, ndim: int, itemsize: int | None = None) -> bool:
    """Whether it is a numpy array of such numbers (``u``: unsigned, ``i``: signed) in so many dimensions."""
    if not isinstance(found, np.ndarray) or found.dtype.kind not in kinds or found.ndim != ndim:
        return False
    return itemsize in (None, found.dtype.itemsize)


def _kind(found: object) -> str:
    return f"{found.dtype} {list(found.shape)}" if isinstance(found, np.ndarray) else type(found).__name__


def check(raw: RawDataset) -> None:
    """Refuse a data set that no method could use.

    Raises:
        DataError: If there are fewer than two classes, images are empty, not square, of differing shapes or neither
            grey nor RGB, or if labels do not count the images or are not in [0, K).
    """
    classes = len(raw.class_names)
    if classes < 2:
        raise DataError(f"a data set needs at least 2 classes, this one has {classes}")
    if len(set(raw.class_names)) != classes:
        raise DataError("two classes have the same name")
    parts = raw.parts()
    shape = parts["train"][0].shape[1:]
    if shape[0] not in (1, 3):
        raise DataError(f"images must have 1 or 3 channels, these have {shape[0]}")
    if shape[1] != shape[2]:
        raise DataError(f"images must be square, these are {shape[1]} high and {shape[2]} wide")
    for name, (images, labels) in parts.items():
        if images.shape[1:] != shape:
            raise DataError(f"{name} images have shape {images.shape[1:]}, but train images have {shape}")
        if len(labels) == 0:
            raise DataError(f"the {name} part holds no images")
        if len(labels) != images.shape[0]:
            raise DataError(
                f"the {name} part has {plural(images.shape[0], 'image')} but {plural(len(labels), 'label')}"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise DataError(
                f"labels must be in 0..{classes - 1}, the {name} part has {labels.min()}..{labels.max()}"
                + (" (a label of -1 usually means that the source keeps its labels secret)" if labels.min() < 0 else "")
            )
