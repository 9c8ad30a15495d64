"""Laws about a data set: what its reader returns, that its parts are apart, and that cells can use it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ddbench.core.api import DatasetRecord
from ddbench.core.errors import DataError
from ddbench.core.plugin.loader import import_target
from ddbench.core.specs import DataSpec
from ddbench.data.describe import describe
from ddbench.data.prepared.decode import checked_chunks
from ddbench.data.prepared.on_disk import Prepared
from ddbench.data.prepared.prepare import prepare
from ddbench.data.prepared.sources import Source
from ddbench.data.readers.raw import Labels, RawDataset, check, malformed
from ddbench.data.space.split import open_splits
from ddbench.models import build_model
from ddbench.testing import compare
from ddbench.testing.member import MEMBER_CHECKS, MemberBench

SHARED = 0.1
"""Share of a part's images that may stand in another part as well: real data sets hold a few duplicates."""
DARK = 16
"""A largest pixel below levels / DARK is a mistake rather than a dark data set."""


@dataclass(frozen=True, slots=True)
class PartRead:
    """One part, as it was read.

    Attributes:
        labels: [N].
        images: sha256 of each image.
        largest: Largest pixel.
        channels: C.
    """

    labels: Labels
    images: list[bytes]
    largest: int
    channels: int


@dataclass
class DatasetBench(MemberBench[DatasetRecord]):
    """Reads and decodes one data set.

    Attributes:
        files: Folder with the files that its reader reads.
    """

    files: Path | None = None

    def raw(self) -> RawDataset:
        """What the reader returns, asked anew.

        Raises:
            AssertionError: If that is no sound :class:`RawDataset`.
        """
        found = import_target(self.info.reader)(self.files or Path())
        assert isinstance(found, RawDataset), f"the reader returns a {type(found).__name__}, not a ddbench.RawDataset"
        problem = malformed(found)
        assert problem is None, problem
        try:
            check(found)
        except DataError as error:
            raise AssertionError(str(error)) from error
        return found

    def read(self) -> tuple[dict[str, PartRead], RawDataset]:
        """Every part, read anew."""
        raw = self.raw()
        found = {}
        try:
            for name, (stream, labels) in raw.parts().items():
                hashes, largest = [], 0
                for chunk in checked_chunks(stream):
                    hashes += [hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest() for image in chunk]
                    largest = max(largest, int(chunk.max(initial=0)))
                found[str(name)] = PartRead(labels, hashes, largest, stream.shape[1])
        except DataError as error:
            raise AssertionError(str(error)) from error
        finally:
            raw.close()
        return found, raw

    @cached_property
    def first(self) -> tuple[dict[str, PartRead], RawDataset]:
        """The first reading, remembered."""
        return self.read()

    @cached_property
    def prepared(self) -> Prepared:
        """The decoded copy, of what its reader returns as it should."""
        _ = self.first
        return prepare(Source(self.info.name, record=self.info), files=self.files)


def record_is_complete(bench: DatasetBench) -> None:
    """The record says where the files come from, and its constants fit the images."""
    info = bench.info
    assert info.embedded or info.files or info.download, (
        "neither embedded, nor files, nor a download: nobody can get it"
    )
    assert not (info.embedded and info.files), "embedded means that the reader needs no files, and yet files are named"
    if info.download is not None:
        assert callable(import_target(info.download)), f"download {info.download!r} is no function"
    channels = next(iter(bench.first[0].values())).channels
    for name, values in (("mean", info.mean), ("std", info.std)):
        assert values is None or len(values) == channels, f"{name} has {values}, the images have {channels} channels"
        assert values is None or all(0 < value < 1 for value in values), f"{name} {values} is not of pixels in [0, 1]"


def reader_returns_what_it_promises(bench: DatasetBench) -> None:
    """The reader returns a RawDataset: uint8 [N, C, H, W], integer labels in [0, K), K names."""
    assert bench.first[0]["train"].images, "there are no training images"


def reading_is_deterministic(bench: DatasetBench) -> None:
    """Read twice, the images and labels are the same, in the same order, whatever the global generators hold."""
    with compare.global_seeds(1):
        first, one = bench.read()
    with compare.global_seeds(2):
        second, two = bench.read()
    assert first.keys() == second.keys(), f"once it has the parts {list(first)}, once {list(second)}"
    for name, part in first.items():
        assert part.images == second[name].images, f"the {name} images differ between two readings"
        assert np.array_equal(part.labels, second[name].labels), f"the {name} labels differ between two readings"
    assert one.class_names == two.class_names, "the class names differ between two readings"


def files_are_left_alone(bench: DatasetBench) -> None:
    """Reading changes nothing among the user's files."""
    if bench.files is None:
        return
    before = compare.tree(bench.files)
    bench.read()
    changed = sorted(set(before.items()) ^ set(compare.tree(bench.files).items()))
    assert not changed, f"the reader changes {changed[0][0]}: write into a TemporaryDirectory (RawDataset.scratch)"


def levels_fit_the_pixels(bench: DatasetBench) -> None:
    """`levels` is the pixel value that means white: nothing is brighter, and something comes near."""
    parts, raw = bench.first
    largest = max(part.largest for part in parts.values())
    assert largest <= raw.levels, f"levels is {raw.levels}, and the largest pixel is {largest}"
    assert largest >= raw.levels / DARK, (
        f"the largest pixel is {largest} of {raw.levels} levels: were images in [0, 1] cast to uint8?"
    )


def every_class_has_images(bench: DatasetBench) -> None:
    """Each class has an image in every part that the source has."""
    parts, raw = bench.first
    for name, part in parts.items():
        counts = np.bincount(part.labels, minlength=len(raw.class_names))
        empty = np.flatnonzero(counts == 0)
        assert not len(empty), f"class {empty[0]} ({raw.class_names[empty[0]]}) has no image in the {name} part"


def parts_are_apart(bench: DatasetBench) -> None:
    """Images of one part are no copies of another part's."""
    parts = list(bench.first[0].items())
    for i, (name, part) in enumerate(parts):
        for other, rest in parts[i + 1 :]:
            both = set(part.images) & set(rest.images)
            copies = sum(count for image, count in Counter(rest.images).items() if image in both)
            assert copies <= SHARED * len(rest.images), (
                f"{copies} of {len(rest.images)} {other} images are in {name}, too"
            )


def splits_are_disjoint(bench: DatasetBench) -> None:
    """After decoding, train, val and test hold no image twice, and train and test are not empty."""
    prepared = bench.prepared
    splits = {name: np.load(prepared.folder / f"{name}.npy") for name in ("train", "val", "test")}
    every = np.concatenate(list(splits.values()))
    assert len(np.unique(every)) == len(every), "an image stands in two splits"
    assert len(splits["train"]) and len(splits["test"]), (
        f"splits have {', '.join(f'{n} {len(s)}' for n, s in splits.items())}"
    )


def cells_can_use_it(bench: DatasetBench) -> None:
    """It opens like any other data set, and its usual network takes its images."""
    spec = DataSpec(name=bench.info.name, revision=bench.prepared.revision)
    info = describe(bench.prepared, spec)
    train, _ = open_splits(spec, device="cpu", known=bench.registries.datasets)
    import torch

    images = train.images(torch.arange(min(8, len(train))))
    assert bool(images.isfinite().all()), "preprocessed images hold infinite values or NaN"
    model = build_model(
        info.default_arch, channels=info.channels, classes=info.classes, size=info.size, seed=0,
        families=bench.registries.architectures,
    ).eval()  # fmt: skip
    assert model(images).shape == (len(images), info.classes)


DATASET_CHECKS: tuple[Any, ...] = (
    *MEMBER_CHECKS,
    reader_returns_what_it_promises,
    record_is_complete,
    reading_is_deterministic,
    files_are_left_alone,
    levels_fit_the_pixels,
    every_class_has_images,
    parts_are_apart,
    splits_are_disjoint,
    cells_can_use_it,
)
