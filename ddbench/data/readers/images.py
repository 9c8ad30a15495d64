"""Encoded images (PNG, JPEG …) to uint8 arrays; shared by all readers of image files. No torch."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from ddbench.core.errors import DataError
from ddbench.data.readers.raw import ImageStream, Pixels

Encoded: TypeAlias = Path | bytes
"""A file, or a file's content."""

GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"RGB", "RGBA", "P", "PA", "CMYK", "YCbCr"})

_CHUNK = 512


@dataclass(slots=True)
class Survey:
    """What the headers of some images say; filled one image at a time, without decoding pixels.

    Attributes:
        size: (width, height) of the first image.
        first: Name of the first image, for messages.
        modes: How many images are stored in which PIL mode.
    """

    size: tuple[int, int] | None = None
    first: str = ""
    modes: Counter[str] = field(default_factory=Counter)

    def add(self, image: Encoded, name: str) -> None:
        """Look at one image.

        Raises:
            DataError: If it is unreadable, not square, of another size than the first, or in an unsupported mode.
        """
        with _open(image, name) as opened:
            size, mode = opened.size, opened.mode
        if mode not in GREY_MODES | COLOUR_MODES:
            raise DataError(f"{name}: pixel format {mode!r} is not supported (8 bits grey or RGB are)")
        if size[0] != size[1]:
            raise DataError(f"{name} is {size[0]}×{size[1]} pixels; images must be square: crop or resize them first")
        if self.size is None:
            self.size, self.first = size, name
        elif size != self.size:
            raise DataError(
                f"images differ in size: {self.first} is {self.size[0]}×{self.size[1]} pixels,"
                f" {name} is {size[0]}×{size[1]}; resize them first"
            )
        self.modes[mode] += 1

    @property
    def channels(self) -> int:
        """1 when all images are grey, else 3."""
        return 1 if set(self.modes) <= GREY_MODES else 3

    def notes(self) -> tuple[str, ...]:
        """What decoding will change: grey images among colour ones, transparency."""
        total = sum(self.modes.values())
        grey = sum(count for mode, count in self.modes.items() if mode in GREY_MODES)
        alpha = self.modes["RGBA"] + self.modes["LA"] + self.modes["PA"]
        notes = []
        if grey and self.channels == 3:
            notes.append(f"{grey} of {total} images are greyscale, converted to RGB")
        if alpha:
            notes.append(f"{alpha} of {total} images have transparency, which was dropped")
        return tuple(notes)

    def shape(self, count: int) -> tuple[int, int, int, int]:
        """[N, C, H, W] of ``count`` such images."""
        if self.size is None:
            raise DataError("no images")
        return (count, self.channels, self.size[1], self.size[0])


def decode_image(image: Encoded, name: str, channels: int) -> Pixels:
    """Decode one image to uint8 [C, H, W].

    Raises:
        DataError: If it is unreadable; the message names it.
    """
    with _open(image, name) as opened:
        try:
            pixels = np.asarray(opened.convert("L" if channels == 1 else "RGB"))
        except Exception as error:  # PIL's decoders raise many kinds for damaged files
            raise DataError(f"{name}: damaged image ({error})") from error
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def stacked(items: Iterable[tuple[Encoded, str]], channels: int) -> Iterator[Pixels]:
    """Decode images one after the other into chunks [n, C, H, W]."""
    chunk: list[Pixels] = []
    for image, name in items:
        chunk.append(decode_image(image, name, channels))
        if len(chunk) == _CHUNK:
            yield np.stack(chunk)
            chunk = []
    if chunk:
        yield np.stack(chunk)


def file_stream(files: Sequence[Path], survey: Survey) -> ImageStream:
    """Image files as a stream, in the given order."""

    def chunks() -> Iterator[Pixels]:
        return stacked(((path, str(path)) for path in files), survey.channels)

    return ImageStream(survey.shape(len(files)), chunks)


def _open(image: Encoded, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(image) if isinstance(image, bytes) else image)
    except Exception as error:
        raise DataError(f"{name}: not a readable image ({type(error).__name__})") from error
