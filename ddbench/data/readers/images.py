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
from ddbench.data.readers.walk import shown

Encoded: TypeAlias = Path | bytes
"""A file, or a file's content."""

GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"RGB", "RGBA", "P", "PA", "CMYK", "YCbCr"})
ALPHA_MODES = frozenset({"LA", "PA", "RGBA"})

_CHUNK = 512
_CHUNK_BYTES = 1 << 24
_NAMED = 20
"""How many unreadable images a message names."""
_MOST = 1000
"""After so many unreadable images nothing more is tried."""


class UnreadableImageError(DataError):
    """One image that cannot be read; others may be readable."""


@dataclass(slots=True)
class Survey:
    """What the headers of some images say; filled one image at a time, without decoding pixels.

    Attributes:
        size: (width, height) of the first image.
        first: Name of the first image, for messages.
        modes: How many images are stored in which PIL mode.
        transparent: How many have transparency: an alpha channel, or a colour that is transparent.
        deep: How many have 16 bits a channel.
        animated: How many have several frames.
    """

    size: tuple[int, int] | None = None
    first: str = ""
    modes: Counter[str] = field(default_factory=Counter)
    transparent: int = 0
    deep: int = 0
    animated: int = 0

    def add_all(self, items: Iterable[tuple[Encoded, str]]) -> None:
        """Look at many images.

        Raises:
            DataError: As :meth:`add`; all unreadable images are named in one message.
        """
        lost: list[str] = []
        for image, name in items:
            try:
                self.add(image, name)
            except UnreadableImageError as error:
                lost.append(str(error))
        _raise_lost(lost)

    def add(self, image: Encoded, name: str) -> None:
        """Look at one image.

        Raises:
            DataError: If it is unreadable, not square, of another size than the first, or in an unsupported mode.
        """
        with _open(image, name) as opened:
            size, mode = opened.size, opened.mode
            transparent = mode in ALPHA_MODES or "transparency" in opened.info
            deep = mode == "RGB" and any(";16" in str(tile) for tile in getattr(opened, "tile", ()))
            animated = _frames(opened, name) > 1
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
        self.transparent += transparent
        self.deep += deep
        self.animated += animated

    @property
    def channels(self) -> int:
        """1 when all images are grey, else 3."""
        return 1 if set(self.modes) <= GREY_MODES else 3

    def notes(self) -> tuple[str, ...]:
        """What decoding will change: grey images among colour ones, transparency, 16 bits, further frames."""
        total = sum(self.modes.values())
        grey = sum(count for mode, count in self.modes.items() if mode in GREY_MODES)
        notes = []
        if grey and self.channels == 3:
            notes.append(f"{grey} of {total} images are greyscale, converted to RGB")
        if self.transparent:
            notes.append(f"{self.transparent} of {total} images have transparency, which was dropped")
        if self.deep:
            notes.append(f"{self.deep} of {total} images have 16 bits a channel, which were reduced to 8")
        if self.animated:
            notes.append(f"{self.animated} of {total} images are animated; their first frame was read")
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
            raise UnreadableImageError(f"{name}: damaged image ({error})") from error
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def stacked(items: Iterable[tuple[Encoded, str]], channels: int) -> Iterator[Pixels]:
    """Decode images one after the other into chunks [n, C, H, W].

    Raises:
        DataError: At the end, if some are damaged: all of them are named.
    """
    chunk: list[Pixels] = []
    lost: list[str] = []
    for image, name in items:
        try:
            chunk.append(decode_image(image, name, channels))
        except UnreadableImageError as error:
            lost.append(str(error))
            if len(lost) == _MOST:
                break
        if len(chunk) == _CHUNK or (chunk and len(chunk) * chunk[0].nbytes >= _CHUNK_BYTES):
            yield np.stack(chunk)
            chunk = []
    if chunk:
        yield np.stack(chunk)
    _raise_lost(lost)


def _raise_lost(lost: Sequence[str]) -> None:
    if len(lost) == 1:
        raise UnreadableImageError(lost[0])
    if lost:
        more = f"; and {len(lost) - _NAMED} more" * (len(lost) > _NAMED)
        raise UnreadableImageError(f"{len(lost)} images cannot be read: {'; '.join(lost[:_NAMED])}{more}")


def file_stream(files: Sequence[Path], survey: Survey) -> ImageStream:
    """Image files as a stream, in the given order."""

    def chunks() -> Iterator[Pixels]:
        return stacked(((path, shown(path)) for path in files), survey.channels)

    return ImageStream(survey.shape(len(files)), chunks)


def _open(image: Encoded, name: str) -> Image.Image:
    try:
        if isinstance(image, bytes):
            return Image.open(io.BytesIO(image))
        if image.exists() and not image.is_file():  # opening a named pipe would wait for ever
            raise UnreadableImageError(f"{name}: not a regular file")
        return Image.open(image)
    except UnreadableImageError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"{name}: too large to be decoded safely ({error})") from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UnreadableImageError(f"{name}: not a readable image ({why})") from error
    except Exception as error:
        raise UnreadableImageError(f"{name}: not a readable image ({type(error).__name__})") from error


def _frames(opened: Image.Image, name: str) -> int:
    """How many frames an image has, 1 where its format has no frames."""
    try:
        return int(getattr(opened, "n_frames", 1)) if getattr(opened, "is_animated", False) else 1
    except Exception as error:  # PIL looks for the second frame, which may be damaged
        raise UnreadableImageError(f"{name}: damaged image ({error})") from error
