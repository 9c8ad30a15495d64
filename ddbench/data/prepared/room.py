"""What a data set will take, on disk and in memory, said and refused before anything is decoded. No torch."""

from __future__ import annotations

import math
import shutil
from contextlib import suppress
from pathlib import Path

from ddbench.core.errors import DataError, StoreError
from ddbench.core.memory import available_mb, in_words, total_mb
from ddbench.data.readers.raw import PartName, RawDataset

BYTES = 5
"""Of a pixel in a process that has a data set open: as uint8, and in the space of networks as float32."""
_TRAINING: tuple[PartName, ...] = ("train", "val")


def memory_mb(images: int, numbers: int) -> float:
    """Memory of images in a process that has all of them open [MB].

    Args:
        images: How many.
        numbers: Of one image: channels · height · width.
    """
    return BYTES * images * numbers / 2**20


def forecast(raw: RawDataset) -> tuple[float, float]:
    """What a data set will take at most: on disk, and in a process with its training images [MB]."""
    shapes = {part: images.shape for part, (images, _) in raw.parts().items()}
    disk = sum(math.prod(shape) for shape in shapes.values()) / 2**20
    training = sum(shapes[part][0] for part in _TRAINING if part in shapes)
    return disk, memory_mb(training, math.prod(shapes["train"][1:]))


def in_words_of(raw: RawDataset) -> str:
    """The forecast as a line for people."""
    disk, memory = forecast(raw)
    count = sum(images.shape[0] for images, _ in raw.parts().values())
    shape = "×".join(map(str, raw.parts()["train"][0].shape[1:]))
    free = available_mb()
    beside = "" if free is None else f" ({in_words(free)} are free)"
    return (
        f"{count:,} images of {shape}: {in_words(disk)} on disk, and {in_words(memory)} of memory in each process that"
        f" holds all training images{beside}"
    )


def refuse_too_large(raw: RawDataset, folder: Path) -> None:
    """Refuse what this machine has no room for.

    Args:
        raw: The data set.
        folder: Where its copy will lie.

    Raises:
        DataError: If its training images are larger than all memory.
        StoreError: If its copy is larger than what is free on the disk.
    """
    disk, memory = forecast(raw)
    total = total_mb()
    if total is not None and memory > total:
        raise DataError(
            f"its training images would take {in_words(memory)} of memory, and this machine has {in_words(total)}:"
            " make them smaller (--resize), or fewer"
        )
    with suppress(OSError):
        free = shutil.disk_usage(folder).free / 2**20
        if disk > free:
            raise StoreError(
                f"{folder}: the decoded copy takes {in_words(disk)}, and {in_words(free)} are free: set DDBENCH_HOME to"
                " a folder with more room, or make the images smaller (--resize)"
            )
