"""What pixels say of a data set: copies, what cannot be meant, whether it is what its name promises. No torch."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ddbench.core.errors import DataError
from ddbench.core.infos import Contents
from ddbench.core.keys import canonical, digest, short
from ddbench.core.words import plural
from ddbench.data.prepared.pooling import channel_statistics
from ddbench.data.prepared.splits import Indices
from ddbench.data.readers.raw import SIXTEEN_BITS, Labels, PartName, Pixels

SHARED = 0.05
"""Share of the test images that may be training images as well; above it, the copies must be asked for."""
DARKEST = 16
"""A largest pixel below this, of 255, is a mistake rather than a dark data set."""
_HOW = "; were they resized, edited, or stored with losses (JPEG)?"
_PIECE = 1 << 20
_BYTES = 16

Marks = npt.NDArray[np.void]
"""[N] 16 bytes each, the BLAKE2b hash of an image's pixels: equal for equal images."""


@dataclass(slots=True)
class Seen:
    """What is remembered of the images of one part while they pass by.

    Attributes:
        levels: [256] which pixel values occur.
        grey: Whether all images are the same in all channels.
        marks: Their hashes, one after the other.
    """

    levels: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(256, dtype=np.bool_))
    grey: bool = True
    marks: bytearray = field(default_factory=bytearray)

    def add(self, chunk: Pixels) -> None:
        """Look at images [n, C, H, W]."""
        for image in chunk:
            self.marks += mark(image)
        self.grey = self.grey and all(np.array_equal(chunk[:, 0], chunk[:, c]) for c in range(1, chunk.shape[1]))
        flat = chunk.reshape(-1)
        for start in range(0, len(flat), _PIECE):  # as an index, a pixel takes eight bytes
            self.levels[flat[start : start + _PIECE]] = True

    @property
    def hashes(self) -> Marks:
        """[N]."""
        return np.frombuffer(bytes(self.marks), dtype=f"V{_BYTES}")


def mark(image: Pixels) -> bytes:
    """The hash of one image's pixels."""
    return hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=_BYTES).digest()


def refuse_meaningless(seen: Mapping[PartName, Seen], levels: int, notes: Sequence[str] = ()) -> None:
    """Refuse pixels that cannot be meant.

    Args:
        seen: Each part.
        levels: Pixel value that maps to 1.0.
        notes: What the reader did to them.

    Raises:
        DataError: If the largest pixel of a part is below 16 of 255, or if all its images are the same.
    """
    for part, found in seen.items():
        largest, count = int(np.flatnonzero(found.levels).max(initial=0)), len(found.marks) // _BYTES
        if largest * 255 < DARKEST * levels:
            deep = next((note for note in notes if SIXTEEN_BITS in note), None)
            if deep is not None:
                raise DataError(
                    f"the largest pixel of all {part} images is {largest} of {levels}: that cannot be meant. {deep}; if"
                    " their values have 12 bits or fewer, scale them to 16 bits (multiply 12 bits by 16), or store 8"
                )
            raise DataError(
                f"the largest pixel of all {part} images is {largest} of {levels}: that cannot be meant. Were pixels"
                " divided by 255 twice, or cast to whole numbers while they were in [0, 1]? Store pixels as 0 … 255,"
                " or as floats in [0, 1]"
            )
        if count > 1 and found.marks[:_BYTES] * count == found.marks:
            raise DataError(f"all {count} {part} images are the same: that cannot be meant")


def looks(seen: Mapping[PartName, Seen], levels: int, channels: int) -> tuple[str, ...]:
    """What is odd about pixels, and may be meant."""
    values = np.flatnonzero(np.logical_or.reduce([found.levels for found in seen.values()]))
    notes = []
    if len(values) == 2:
        notes.append(f"pixels have two values only, {values[0]} and {values[1]}")
    for part, found in seen.items():
        largest = int(np.flatnonzero(found.levels).max(initial=0))
        if largest * 4 < levels:
            notes.append(f"the {part} images are dark: their largest pixel is {largest} of {levels}")
    if channels == 3 and all(found.grey for found in seen.values()):
        notes.append("all images are grey, stored as RGB")
    return tuple(notes)


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """Which images of a data set are equal to the bit.

    Attributes:
        first: [N] int64, for each image the position of the first one that equals it (its own, where none does).
        labels: [N] int64.
        sizes: Images of each part, in the order in which they stand.
    """

    first: Indices
    labels: Labels
    sizes: Mapping[PartName, int]

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return not np.array_equal(self.first, np.arange(len(self.first)))

    def of(self, part: PartName) -> Indices:
        """``first`` of the images of a part; empty for a part that is not there."""
        start = 0
        for name, size in self.sizes.items():
            if name == part:
                return self.first[start : start + size]
            start += size
        return self.first[:0]

    def shared(self, part: PartName, others: Sequence[PartName]) -> int:
        """How many images of a part are images of the others, too."""
        return int(np.isin(self.of(part), np.concatenate([self.of(other) for other in others])).sum())

    def notes(self) -> tuple[str, ...]:
        """What a reader of the table must know of them."""
        lines = []
        for part, others in _PAIRS:
            if count := self.shared(part, others):
                known = " or ".join(_WORD[other] for other in others if self.shared(part, (other,)))
                also = f"are also {known} images" if count != 1 else f"is also a {known} image"
                lines.append(f"{count} of {self.sizes[part]} {_WORD[part]} images {also}")
        pairs = np.unique(np.stack([self.first, self.labels]), axis=1)
        _, counts = np.unique(pairs[0], return_counts=True)
        if several := int((counts > 1).sum()):
            occur = "images occur" if several != 1 else "image occurs"
            lines.append(f"{several} {occur} under two labels or more")
        return tuple(lines)

    def refuse_shared(self) -> None:
        """Refuse a test part that training has seen.

        Raises:
            DataError: If more than 5 % of the test images are training or validation images.
        """
        count, total = self.shared("test", ("train", "val")), self.sizes.get("test", 0)
        if count > SHARED * total:
            raise DataError(
                f"{self.notes()[0]}, to the pixel: such a test part does not measure what is new. Remove the copies;"
                " or, if they are meant, prepare the data once with `ddbench data prepare … --allow-copies`, which"
                " takes them with a note"
            )


_PAIRS: tuple[tuple[PartName, tuple[PartName, ...]], ...] = (("test", ("train", "val")), ("val", ("train",)))
_WORD: dict[PartName, str] = {"train": "training", "val": "validation", "test": "test"}


def copies_of(seen: Mapping[PartName, Seen], labels: Labels) -> Copies:
    """Copies among all images.

    Args:
        seen: Each part, in the order in which they stand.
        labels: [N] of all parts.
    """
    hashes = np.concatenate([found.hashes for found in seen.values()])
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    sizes = {part: len(found.hashes) for part, found in seen.items()}
    return Copies(first[inverse.reshape(-1)].astype(np.int64), labels, sizes)


def part_digest(hashes: Marks, labels: Labels) -> str:
    """Hash of the images and labels of a part, whatever their order.

    SHA-256 of the sorted rows (BLAKE2b hash of the pixels, label as one little-endian int64).
    """
    rows = np.empty(len(hashes), dtype=[("mark", f"V{_BYTES}"), ("label", "<i8")])
    rows["mark"], rows["label"] = hashes, labels
    return hashlib.sha256(np.sort(rows.view(f"V{_BYTES + 8}")).tobytes()).hexdigest()


def difference(
    contents: Contents,
    images: Pixels,
    labels: Labels,
    sizes: Mapping[PartName, int],
    levels: int,
    seen: Mapping[PartName, Seen] | None = None,
) -> str | None:
    """In what a data set differs from what it should hold, in words; None: in nothing.

    Args:
        contents: What it should hold.
        images: uint8 [N, C, H, W], the parts one after the other.
        labels: [N].
        sizes: Images of each part, in the order in which they stand.
        levels: Pixel value that maps to 1.0.
        seen: What is known of the images; None: they are read.
    """
    if set(sizes) != set(contents.counts):
        return f"it has the parts {', '.join(sizes)}, not {', '.join(contents.counts)}"
    starts = dict(zip(sizes, itertools.accumulate([0, *sizes.values()]), strict=False))
    own: dict[PartName, Indices] = {part: np.arange(starts[part], starts[part] + sizes[part]) for part in sizes}
    found = (_other_counts(part, np.bincount(labels[where]), contents.counts[part]) for part, where in own.items())
    if (why := next(filter(None, found), None)) is not None:
        return why
    return _other_statistics(contents, images, own, levels) or _other_images(contents, images, labels, own, seen)


def _other_counts(part: PartName, found: npt.NDArray[np.intp], known: Sequence[int]) -> str | None:
    if found.sum() != sum(known):
        return f"its {part} part has {found.sum():,} images, not {sum(known):,}"
    if len(found) != len(known):
        return f"its {part} part has {len(found)} classes, not {len(known)}"
    c = next((c for c, count in enumerate(known) if found[c] != count), None)
    return (
        None if c is None else f"its {part} part has {plural(f'{found[c]:,}', 'image')} of class {c}, not {known[c]:,}"
    )


def _other_statistics(contents: Contents, images: Pixels, own: Mapping[PartName, Indices], levels: int) -> str | None:
    for part, where in own.items():
        if part not in contents.mean:
            continue
        known = (contents.mean[part], contents.std[part])
        if images.shape[1] != len(known[0]):
            return f"its images have {plural(images.shape[1], 'channel')}, not {len(known[0])}"
        for what, a, b in zip(("mean", "std"), channel_statistics(images, where, levels), known, strict=True):
            if max(abs(x - y) for x, y in zip(a, b, strict=True)) > contents.tolerance:
                values = f"{_numbers(a)}, not {_numbers(b)}"
                return f"numbers of images agree, but the {what} of the {part} pixels is {values}{_HOW}"
    return None


def _other_images(
    contents: Contents,
    images: Pixels,
    labels: Labels,
    own: Mapping[PartName, Indices],
    seen: Mapping[PartName, Seen] | None,
) -> str | None:
    for part, where in own.items():
        if part in contents.digests:
            hashes = seen[part].hashes if seen is not None else _marks(images, where)
            if part_digest(hashes, labels[where]) != contents.digests[part]:
                return f"numbers of images agree, but pixels or labels of the {part} part are others{_HOW}"
    return None


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6f}" for value in values)


def _marks(images: Pixels, where: Indices) -> Marks:
    marks = bytearray()
    for position in where:
        marks += mark(images[position])
    return np.frombuffer(bytes(marks), dtype=f"V{_BYTES}")


def seal(folder: Path, contents: Contents) -> None:
    """Leave a word that a folder was checked against ``contents``, so that it is not read whole again."""
    with suppress(OSError):
        (folder / _seal(contents)).touch()


def is_sealed(folder: Path, contents: Contents) -> bool:
    """Whether such a word is there."""
    return (folder / _seal(contents)).exists()


@lru_cache(maxsize=32)
def _seal_of(text: str) -> str:
    return f"checked-{short(digest(text))}"


def _seal(contents: Contents) -> str:
    facts = [contents.counts, contents.digests, contents.mean, contents.std, contents.tolerance]
    return _seal_of(canonical(facts))
