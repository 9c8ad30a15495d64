"""One opened image → uint8 pixels: upright, on white, 8 bits, framed. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from ddbench.core.errors import DataError
from ddbench.data.readers.framing import Framing
from ddbench.data.readers.raw import ImageStream, Pixels, RawDataset

DEEP_GREY = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
GREY_MODES = frozenset({"1", "L", "LA", *DEEP_GREY})
COLOUR_MODES = frozenset({"RGB", "RGBA", "P", "PA", "CMYK", "YCbCr"})
ALPHA_MODES = frozenset({"LA", "PA", "RGBA"})
SIXTEEN = frozenset({"PNG", "PPM"})
"""Formats of which Pillow shows 16 bits of grey as mode ``I``; of others that is 32 bits."""

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation as EXIF has it → what sets an image upright."""
_LIES = frozenset({5, 6, 7, 8})
_CARRIES = (b"eXIf", b"Raw profile type exif", b"com.adobe.xmp")
"""Where a PNG may keep an orientation, also behind its pixels."""


def is_grey(image: Image.Image) -> bool:
    """Whether an image that was opened, and not loaded yet, has one channel, beside transparency."""
    tiles = getattr(image, "tile", ())
    return image.mode in GREY_MODES or is_deep_grey(image) or any(how == "LA;16B" for *_, how in tiles)


def is_deep_grey(image: Image.Image) -> bool:
    """Whether it is grey with 16 bits."""
    return image.mode in DEEP_GREY or (image.mode == "I" and image.format in SIXTEEN)


def is_deep(image: Image.Image) -> bool:
    """Whether an image that was opened, and not loaded yet, has 16 bits a channel."""
    if is_deep_grey(image):
        return True
    for *_, how in getattr(image, "tile", ()):
        if ";16" in str(how) or (image.format == "PPM" and isinstance(how, tuple) and how[-1] > 255):
            return True
    return False


def is_transparent(image: Image.Image) -> bool:
    """Whether it has an alpha channel, or a colour that is transparent."""
    return image.mode in ALPHA_MODES or "transparency" in image.info


@dataclass(frozen=True, slots=True)
class Looks:
    """What the pixels of an image say.

    Attributes:
        transparent: Whether some are transparent.
        coloured: Whether some have a colour; False where nobody asked.
        deepest: The largest value of 16 bits of grey; 0 for others.
    """

    transparent: bool = False
    coloured: bool = False
    deepest: int = 0


def looks_of(image: Image.Image, *, colours: bool) -> Looks:
    """Decode an image that was opened, to look at its pixels.

    Args:
        image: The opened image.
        colours: Whether to look for colours.
    """
    deep = is_deep(image)
    image.load()
    clear = image.info.get("transparency")
    if is_deep_grey(image):
        values = np.asarray(image)
        return Looks(isinstance(clear, int) and bool((values == clear).any()), deepest=int(values.max()))
    transparent = False
    if is_transparent(image):
        transparent = _with_alpha(image, deep).getchannel("A").getextrema()[0] != 255
    coloured = False
    if colours:
        pixels = np.asarray(_on_white(image, deep).convert("RGB"))
        coloured = bool((pixels != pixels[..., :1]).any())
    return Looks(transparent, coloured)


def orientation(image: Image.Image, content: bytes | None = None) -> int:
    """How an image is stored: 1 upright, 2 … 8 as EXIF counts.

    Args:
        image: The opened image.
        content: Its file's content where it is a PNG that is not loaded: Pillow would decode it to find out.
    """
    if content is not None and not any(mark in content for mark in _CARRIES):
        return 1
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF: Pillow's parser raises many kinds; the pixels may be sound
        return 1
    return found if found in _UPRIGHT else 1


def size_upright(image: Image.Image, turned: int) -> tuple[int, int]:
    """(width, height) of what becomes of an image that was opened, and not loaded yet."""
    width, height = image.size
    return (height, width) if turned in _LIES and image.format != "TIFF" else (width, height)


def to_pixels(opened: Image.Image, framing: Framing, channels: int) -> Pixels:
    """Decode an image.

    Args:
        opened: The opened image.
        framing: How it becomes a square of one size.
        channels: 1 or 3.

    Returns:
        uint8 [C, H, W].
    """
    deep = is_deep(opened)
    opened.load()
    turned = orientation(opened)  # now, because Pillow sets a TIFF upright while it loads it
    image = _on_white(opened, deep)
    if turned != 1:
        image = image.transpose(_UPRIGHT[turned])
    return as_array(framed(image.convert("L" if channels == 1 else "RGB"), framing))


def _on_white(image: Image.Image, deep: bool) -> Image.Image:
    """As 8 bits of grey or RGB; what is transparent shows white."""
    clear = image.info.get("transparency")
    if is_deep_grey(image):
        values = np.asarray(image).astype(np.uint32)
        eight = ((values * 255 + 32767) // 65535).astype(np.uint8)
        if isinstance(clear, int):
            eight[values == clear] = 255
        return Image.fromarray(eight)
    grey = image.mode in GREY_MODES
    if is_transparent(image):
        whole = _with_alpha(image, deep)
        image = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
    return image.convert("L" if grey else "RGB")


def _with_alpha(image: Image.Image, deep: bool) -> Image.Image:
    """As RGBA; of 16 bits a channel Pillow keeps the upper half, and not of the colour that is transparent."""
    clear = image.info.get("transparency")
    if deep and isinstance(clear, tuple) and max(clear) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    return image.convert("RGBA")


def framed(image: Image.Image, framing: Framing) -> Image.Image:
    """A grey or RGB image as the square that ``framing`` asks for; bilinear, with averages where it becomes smaller."""
    width, height = image.size
    side = framing.resize
    if width != height and framing.crop == "center":
        least = min(width, height)
        left, top = (width - least) // 2, (height - least) // 2
        image = image.crop((left, top, left + least, top + least))
    elif width != height and framing.crop == "pad":
        most = max(width, height)
        side = side or most
        width, height = (max(1, round(length * side / most)) for length in (width, height))
        canvas = Image.new(image.mode, (side, side))
        canvas.paste(_resized(image, (width, height)), ((side - width) // 2, (side - height) // 2))
        return canvas
    return image if side is None else _resized(image, (side, side))


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def as_array(image: Image.Image) -> Pixels:
    """uint8 [C, H, W]."""
    pixels: Pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def reframed(raw: RawDataset, framing: Framing) -> RawDataset:
    """A data set that came as arrays, with its images framed.

    Raises:
        DataError: If they are not square or too large, and ``framing`` does not say what becomes of them.
    """
    fields: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    coloured = total = 0
    for part, (images, _) in raw.parts().items():
        count, channels, height, width = images.shape
        side = framing.side(width, height)
        if isinstance(side, str):
            raise DataError(f"each of the {part} images {side}")
        shape = (count, framing.channels(channels == 1), side, side)
        if shape == images.shape:
            continue
        fields[f"{part}_images"] = ImageStream(shape, _chunks(images, framing, shape[1]))
        if channels == 3 and shape[1] == 1:
            coloured += sum(int((chunk != chunk[:, :1]).any(axis=(1, 2, 3)).sum()) for chunk in images.chunks())
            total += count
        notes = notes or _said((width, height), channels, shape)
    if total:
        some = f" ({coloured} of {total} images {'has' if coloured == 1 else 'have'} any)" if coloured < total else ""
        notes += (f"colours were made grey{some}" if coloured else "grey images stored as RGB were made grey",)
    return replace(raw, notes=(*raw.notes, *notes), **fields)


def _chunks(images: ImageStream, framing: Framing, channels: int) -> Any:
    mode = "L" if channels == 1 else "RGB"

    def chunks() -> Iterator[Pixels]:
        for chunk in images.chunks():
            yield np.stack([as_array(framed(_image(one).convert(mode), framing)) for one in chunk])

    return chunks


def _image(pixels: Pixels) -> Image.Image:
    """[C, H, W] as an image."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def _said(size: tuple[int, int], channels: int, shape: tuple[int, int, int, int]) -> tuple[str, ...]:
    notes = []
    if size != shape[2:]:
        notes.append(f"images of {size[0]}×{size[1]} pixels were brought to {shape[3]}×{shape[2]}")
    if channels < shape[1]:
        notes.append("grey images were stored as RGB")
    return tuple(notes)
