"""Encoded images (PNG, JPEG …) to uint8 arrays; shared by all readers of image files. No torch."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError

from ddbench.core.errors import DataError
from ddbench.data.readers.convert import (
    COLOUR_MODES,
    Looks,
    is_deep,
    is_deep_grey,
    is_grey,
    is_transparent,
    looks_of,
    orientation,
    size_upright,
    to_pixels,
)
from ddbench.data.readers.framing import PLAIN, Framing
from ddbench.data.readers.raw import SIXTEEN_BITS, ImageStream, Pixels
from ddbench.data.readers.troubles import LFS, UnreadableImagesError, is_lfs
from ddbench.data.readers.walk import shown

Encoded: TypeAlias = Path | bytes
"""A file, or a file's content."""

_CHUNK = 512
_CHUNK_BYTES = 1 << 24
_FAINT = 1 << 14
"""A largest 16-bit value below this is told: images of 12 bits or fewer are often stored so."""
_MOST = 1000
"""After so many unreadable images nothing more is tried."""


@dataclass(slots=True)
class Survey:
    """What the headers of some images say; filled one image at a time, without decoding pixels.

    Attributes:
        framing: How images of any shape become squares of one size.
        side: Of the images that result [pixels]; None: none was seen.
        first: Name of the first image, for messages.
        total: How many were seen.
        grey: How many are grey.
        cmyk: How many are stored for print.
        coloured: How many have colours, where they are to be made grey.
        transparent: How many have pixels that are transparent, by an alpha channel or by their colour.
        deep: How many have 16 bits a channel.
        deepest: The largest value of those that are grey.
        several: How many have several frames or pages.
        turned: How many carry an orientation (EXIF).
        oblong: How many are not square.
        enlarged: How many have fewer pixels on their longer side than result.
        least: (width, height) of the smallest image [pixels].
        most: (width, height) of the largest one.
    """

    framing: Framing = PLAIN
    side: int | None = None
    first: str = ""
    total: int = 0
    grey: int = 0
    cmyk: int = 0
    coloured: int = 0
    transparent: int = 0
    deep: int = 0
    deepest: int = 0
    several: int = 0
    turned: int = 0
    oblong: int = 0
    enlarged: int = 0
    least: tuple[int, int] = (1 << 30, 1)
    most: tuple[int, int] = (0, 0)

    def add_all(self, items: Callable[[], Iterable[tuple[Encoded, str]]]) -> None:
        """Look at many images.

        Args:
            items: Gives them, each with its name; called again if some are lost.

        Raises:
            DataError: As :meth:`add`; all unreadable images are named in one message.
        """
        lost: dict[int, str] = {}
        for number, (image, name) in enumerate(items()):
            try:
                self.add(image, name)
            except UnreadableImagesError as error:
                lost[number] = str(error)
        if not lost:
            return
        for number, (image, name) in enumerate(items()):  # those whose header is sound are named in the same message
            if number not in lost and len(lost) < _MOST:
                try:
                    decode_image(image, name, self.channels, self.framing)
                except UnreadableImagesError as error:
                    lost[number] = str(error)
        raise UnreadableImagesError([lost[number] for number in sorted(lost)])

    def add(self, image: Encoded, name: str) -> None:
        """Look at one image.

        Raises:
            DataError: If it is unreadable or in an unsupported mode, or not square, too large or of another size than
                the first, and ``framing`` does not say what becomes of it.
        """
        with _open(image, name) as opened:
            grey, mode, kind = is_grey(opened), opened.mode, opened.format
            deep, several = is_deep(opened), _frames(opened, name) > 1
            turned = orientation(opened, _content(opened, image))
            size = size_upright(opened, turned)
            seen = self._looked_at(opened, name)
        if not grey and mode not in COLOUR_MODES:
            raise DataError(
                f"{name}: pixel format {mode!r} of {kind} is not supported (8 or 16 bits grey, RGB and CMYK are)"
            )
        side = self.framing.side(*size)
        if isinstance(side, str):
            raise DataError(f"{name} {side}")
        if self.side is None:
            self.side, self.first = side, name
        elif side != self.side:
            raise DataError(
                f"images differ in size: {self.first} is {self._shown(self.side)}, {name} is {self._shown(side)};"
                " --resize 64 makes all of them 64×64"
            )
        self.total += 1
        self.grey += grey
        self.cmyk += mode == "CMYK"
        self.coloured += seen.coloured
        self.transparent += seen.transparent
        self.deepest = max(self.deepest, seen.deepest)
        self.deep += deep
        self.several += several
        self.turned += turned != 1
        self.oblong += size[0] != size[1]
        self.enlarged += max(size) < side
        self.least, self.most = min(self.least, size, key=_area), max(self.most, size, key=_area)

    def _looked_at(self, opened: Image.Image, name: str) -> Looks:
        """What the pixels say, of images whose header does not settle it."""
        if not (is_transparent(opened) or is_deep_grey(opened) or (self.framing.gray and not is_grey(opened))):
            return Looks()
        try:
            return looks_of(opened, colours=self.framing.gray and not is_grey(opened))
        except Exception as error:  # PIL's decoders raise many kinds for damaged files
            raise UnreadableImagesError([f"{name}: damaged image ({error})"]) from error

    def _shown(self, side: int) -> str:
        return f"{side}×{side} pixels" + (f" after --crop {self.framing.crop}" if self.framing.crop else "")

    @property
    def channels(self) -> int:
        """1 when all images are grey or made so, else 3."""
        return self.framing.channels(self.grey == self.total)

    def notes(self) -> tuple[str, ...]:
        """What decoding will change, with the number of images that it changes."""
        kept = {"center": "only the square in their middle was kept", "pad": "black margins were added"}
        largest = f" (the largest value found is {self.deepest} of 65535)" if 0 < self.deepest < _FAINT else ""
        found = [
            (self.grey if self.channels == 3 else 0, "are greyscale, converted to RGB"),
            (self.coloured if self.channels == 1 else 0, "have colours, which were made grey"),
            (self.cmyk, "are stored for print (CMYK), converted without a colour profile"),
            (self.transparent, "have transparency, which was composed on white"),
            (self.deep, f"have {SIXTEEN_BITS}, which were scaled to 8{largest}"),
            (self.several, "have several frames or pages; the first was read"),
            (self.turned, "carry an orientation (EXIF), which was applied"),
            (self.oblong, f"are not square: {kept.get(str(self.framing.crop))}"),
        ]
        notes = [f"{count} of {self.total} images {_verb(what, count)}" for count, what in found if count]
        if self.framing.resize and not self.least == self.most == (self.side, self.side):
            sizes = " … ".join(f"{width}×{height}" for width, height in dict.fromkeys((self.least, self.most)))
            larger = f"; {self.enlarged} of {self.total} were enlarged" if self.enlarged else ""
            notes.append(f"images of {sizes} pixels were resized to {self.side}×{self.side}{larger}")
        return tuple(notes)

    def shape(self, count: int) -> tuple[int, int, int, int]:
        """[N, C, H, W] of ``count`` such images."""
        if self.side is None:
            raise DataError("no images")
        return (count, self.channels, self.side, self.side)


def _verb(what: str, count: int) -> str:
    """What is said of several images as it is said of one, if it is one."""
    verb, _, rest = what.partition(" ")
    single = {"are": "is", "have": "has", "carry": "carries"}.get(verb, f"{verb}s")
    return f"{single} {rest}" if count == 1 else what


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def decode_image(image: Encoded, name: str, channels: int, framing: Framing = PLAIN) -> Pixels:
    """Decode one image to uint8 [C, H, W].

    Raises:
        DataError: If it is unreadable; the message names it.
    """
    with _open(image, name) as opened:
        try:
            return to_pixels(opened, framing, channels)
        except Exception as error:  # PIL's decoders raise many kinds for damaged files
            raise UnreadableImagesError([f"{name}: damaged image ({error})"]) from error


def stacked(items: Iterable[tuple[Encoded, str]], survey: Survey) -> Iterator[Pixels]:
    """Decode images one after the other into chunks [n, C, H, W], as their survey wants them.

    Raises:
        DataError: At the end, if some are damaged: all of them are named.
    """
    chunk: list[Pixels] = []
    lost: list[str] = []
    for image, name in items:
        try:
            chunk.append(decode_image(image, name, survey.channels, survey.framing))
        except UnreadableImagesError as error:
            lost.append(str(error))
            if len(lost) == _MOST:
                break
        if len(chunk) == _CHUNK or (chunk and len(chunk) * chunk[0].nbytes >= _CHUNK_BYTES):
            yield np.stack(chunk)
            chunk = []
    if chunk:
        yield np.stack(chunk)
    if lost:
        raise UnreadableImagesError(lost)


def file_stream(files: Sequence[Path], survey: Survey) -> ImageStream:
    """Image files as a stream, in the given order."""

    def chunks() -> Iterator[Pixels]:
        return stacked(((path, shown(path)) for path in files), survey)

    return ImageStream(survey.shape(len(files)), chunks)


def _open(image: Encoded, name: str) -> Image.Image:
    try:
        if image == b"":
            raise UnreadableImagesError([f"{name}: the image is not embedded in the file"])
        if isinstance(image, bytes):
            return Image.open(io.BytesIO(image))
        if image.exists() and not image.is_file():  # opening a named pipe would wait for ever
            raise UnreadableImagesError([f"{name}: not a regular file"])
        return Image.open(image)
    except UnreadableImagesError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImagesError([f"{name}: too large to be decoded safely ({error})"]) from error
    except OSError as error:
        if is_lfs(image):
            raise UnreadableImagesError([f"{name}: {LFS}"]) from error
        why = error.strerror or (_holds(image) if isinstance(error, UnidentifiedImageError) else str(error))
        raise UnreadableImagesError([f"{name}: not a readable image ({why})"]) from error
    except Exception as error:
        raise UnreadableImagesError([f"{name}: not a readable image ({type(error).__name__})"]) from error


def _holds(image: Encoded) -> str:
    """What a file holds that is no image."""
    with io.BytesIO(image) if isinstance(image, bytes) else image.open("rb") as opened:
        head = opened.read(64).lstrip()
    return "empty" if not head else "text in <>, as web pages are" if head.startswith(b"<") else "of no known format"


def _content(opened: Image.Image, image: Encoded) -> bytes | None:
    """A PNG's content; None for other formats."""
    if opened.format != "PNG":
        return None
    return image if isinstance(image, bytes) else image.read_bytes()


def _frames(opened: Image.Image, name: str) -> int:
    """How many frames an image has, 1 where its format has no frames."""
    try:
        return int(getattr(opened, "n_frames", 1)) if getattr(opened, "is_animated", False) else 1
    except Exception as error:  # PIL looks for the second frame, which may be damaged
        raise UnreadableImagesError([f"{name}: damaged image ({error})"]) from error
