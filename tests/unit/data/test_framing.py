"""Images of any shape and format become the squares that were asked for, and every change is said with its number."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from ddbench.core.errors import DataError
from ddbench.data.readers import folder, npz, parquet
from ddbench.data.readers.convert import framed, reframed
from ddbench.data.readers.framing import PLAIN, Framing
from ddbench.data.readers.raw import RawDataset
from tests.unit.data import data_files as files

Array = files.Array


def saved(image: Image.Image | Array, kind: str = "PNG", **how: Any) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, kind, **how)
    return out.getvalue()


def read(tmp_path: Path, *contents: bytes, suffix: str = ".png", framing: Framing = PLAIN) -> tuple[Array, RawDataset]:
    """Images of class a, as a folder's reader gives them; class b has one that is like the first."""
    for i, content in enumerate(contents):
        files.write_members(tmp_path / "set", [(f"a/{i:03d}{suffix}", content)])
    files.write_members(tmp_path / "set", [(f"b/x{suffix}", contents[0])])
    raw = folder.read(tmp_path / "set", framing)
    images = np.concatenate(list(raw.parts()["train"][0].chunks()))
    return images[:-1], raw


def png(pixels: Array, *, after: bytes = b"", clear: tuple[int, ...] = ()) -> bytes:
    """A PNG of 16 bits [H, W] or [H, W, C], with a chunk behind its pixels, or a transparent colour."""
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    head += chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)) if clear else b""
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND", b"")


# --- orientation

STORED = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""Orientation → how upright pixels [H, W, C] are stored under it."""


def turned(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("value", STORED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_images_are_set_upright(tmp_path: Path, value: int, kind: str) -> None:
    upright = files.pixels(12, 7, 3)
    how = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    content = saved(np.ascontiguousarray(STORED[value](upright)), kind, exif=turned(value), **how)
    plain = saved(upright, kind, **how)
    images, raw = read(tmp_path, content, plain, suffix=f".{kind.lower()}", framing=Framing(crop="pad", resize=12))
    assert np.array_equal(images[0], images[1]) and np.array_equal(images[0][:, :, 2:9], upright.transpose(2, 0, 1))
    assert "2 of 3 images carry an orientation (EXIF), which was applied" in raw.notes


def test_a_photograph_on_its_side_is_set_upright(tmp_path: Path) -> None:
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:4] = 255
    images, _ = read(tmp_path, saved(np.rot90(upright).copy(), "JPEG", exif=turned(6)), suffix=".jpg")
    assert images[0, :, :3].min() > 240 and images[0, :, 5:].max() < 15


def test_an_orientation_behind_the_pixels_of_a_png_counts_as_well(tmp_path: Path) -> None:
    exif = turned(3).tobytes().removeprefix(b"Exif\0\0")
    body = b"eXIf" + exif
    after = struct.pack(">I", len(exif)) + body + struct.pack(">I", zlib.crc32(body))
    pixels = files.pixels(8, 8).astype(np.uint16) * 257
    images, raw = read(tmp_path, png(pixels, after=after))
    assert np.array_equal(images[0, 0], pixels[::-1, ::-1] // 257)
    assert "2 of 2 images carry an orientation (EXIF), which was applied" in raw.notes


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", turned(1).tobytes(), turned(9).tobytes()])
def test_damaged_or_upright_exif_changes_nothing(tmp_path: Path, exif: bytes) -> None:
    pixels = files.pixels(8, 8, 3)
    images, raw = read(tmp_path, saved(pixels, exif=exif))
    assert np.array_equal(images[0], pixels.transpose(2, 0, 1)) and raw.notes == ()


# --- transparency


def on_white(pixels: Array, alpha: Array) -> Array:
    share = alpha.astype(np.float64)[..., None] / 255
    found: Array = pixels * share + 255 * (1 - share)
    return found


def test_half_transparent_pixels_are_mixed_with_white(tmp_path: Path) -> None:
    rgba = files.pixels(9, 9, 4)
    rgba[0, :, 3], rgba[1, :, 3] = 0, 255
    la = Image.fromarray(rgba).convert("LA")
    images, raw = read(tmp_path, saved(rgba))
    assert np.abs(images[0].transpose(1, 2, 0) - on_white(rgba[..., :3], rgba[..., 3])).max() < 1
    assert raw.notes == ("2 of 2 images have transparency, which was composed on white",)
    images, _ = read(tmp_path / "la", saved(la))
    grey, alpha = np.asarray(la)[..., :1], np.asarray(la)[..., 1]
    assert images.shape[1] == 1 and np.abs(images[0].transpose(1, 2, 0) - on_white(grey, alpha)).max() < 1


@pytest.mark.parametrize(
    ("mode", "value"),
    [("L", 77), ("RGB", (10, 20, 30)), ("P", 3), ("P", bytes([255, 255, 255, 0])), ("1", 0)],
    ids=["one grey", "one colour", "one index", "a table of indices", "black of two"],
)
def test_a_transparent_colour_becomes_white_and_no_other_changes(tmp_path: Path, mode: str, value: Any) -> None:
    rgb = np.zeros((6, 6, 3), np.uint8)
    if mode == "P":
        image = Image.fromarray((np.arange(36, dtype=np.uint8) % 6).reshape(6, 6)).convert("P")
        image.putpalette([v for i in range(256) for v in (40 + i % 200, 9 * i % 256, 200 - i % 200)])
        clear = np.asarray(image) == 3
    elif mode == "1":
        image = Image.fromarray(files.pixels(6, 6) > 127)
        clear = ~np.asarray(image)
    else:
        rgb[:], rgb[2, 2:5] = (99, 98, 97), (10, 20, 30)
        image = Image.fromarray(rgb if mode == "RGB" else np.where(rgb[..., 0] == 10, 77, 99).astype(np.uint8))
        clear = rgb[..., 0] == 10
    whole = np.asarray(image.convert("RGB"))
    assert clear.any() and not clear.all()
    images, raw = read(tmp_path, saved(image, transparency=value), framing=Framing(rgb=True))
    assert np.array_equal(images[0].transpose(1, 2, 0), np.where(clear[..., None], 255, whole))
    assert "2 of 2 images have transparency, which was composed on white" in raw.notes


def test_a_transparent_colour_of_16_bits_becomes_white(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    images, _ = read(tmp_path / "grey", png(grey, clear=(5000,)))
    assert images[0, 0, 0, 5] == 255 and np.array_equal(images[0, 0, 0, :5], np.rint(np.arange(5) * 1000 / 257))
    colour = np.repeat(grey[..., None], 3, 2)
    images, _ = read(tmp_path / "colour", png(colour, clear=(5000, 5000, 5000)))
    assert (images[0, :, 0, 5] == 255).all() and (images[0, :, 0, 6] < 30).all()


# --- 16 bits, print, frames

SCALED = "2 of 2 images have 16 bits a channel, which were scaled to 8"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TIFF big-endian"])
def test_16_bits_of_grey_are_scaled_to_8(tmp_path: Path, kind: str) -> None:
    values = np.array([0, 128, 129, 257, 385, 386, 32768, 65535] * 8, np.uint16).reshape(8, 8)
    content = saved(values, kind.partition(" ")[0])
    if "big" in kind:
        content = saved(Image.frombytes("I;16B", (8, 8), values.astype(">u2").tobytes()), "TIFF")
    images, raw = read(tmp_path, content, suffix=".tif" if "TIFF" in kind else ".png")
    assert np.array_equal(images[0, 0, 0], [0, 0, 1, 1, 1, 2, 128, 255]) and images.shape[1] == 1
    assert raw.notes == (SCALED,)


@pytest.mark.parametrize(("most", "step"), [(65535, 257), (4095, 16), (1023, 4)])
def test_a_pgm_is_scaled_by_its_own_largest_value(tmp_path: Path, most: int, step: int) -> None:
    values = np.minimum(np.arange(64, dtype=">u2") * 4 * step, most)
    images, raw = read(tmp_path, b"P5 8 8 %d\n" % most + values.astype(">u2").tobytes(), suffix=".pgm")
    assert np.abs(images[0, 0].reshape(-1) - values.astype(float) * 255 / most).max() <= 0.51
    assert raw.notes == (SCALED,)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_16_bits_of_colour_or_with_transparency_are_noted(tmp_path: Path, channels: int) -> None:
    pixels = files.pixels(8, 8, channels)
    if channels != 3:
        pixels[..., -1] = 255
    images, raw = read(tmp_path, png(pixels.astype(np.uint16) * 257))
    kept = pixels[..., : channels - (channels != 3)].transpose(2, 0, 1)
    assert np.array_equal(images[0], kept) and SCALED in raw.notes


def test_a_colour_ppm_of_16_bits_is_noted(tmp_path: Path) -> None:
    _, raw = read(tmp_path, b"P6 4 4 65535\n" + bytes(range(96)), suffix=".ppm")
    assert raw.notes == (SCALED,)


@pytest.mark.parametrize(
    ("values", "kind"), [(np.full((8, 8), 0.5, np.float32), "F"), (np.full((8, 8), 7, np.int32), "I")]
)
def test_other_depths_are_refused_with_their_name(tmp_path: Path, values: Array, kind: str) -> None:
    with pytest.raises(DataError, match=f"pixel format '{kind}' of TIFF is not supported"):
        read(tmp_path, saved(values, "TIFF"), suffix=".tif")


def test_images_for_print_are_converted_as_pillow_does_with_a_word(tmp_path: Path) -> None:
    image = Image.fromarray(files.pixels(8, 8, 3)).convert("CMYK")
    content = saved(image, "JPEG", quality=100)
    images, raw = read(tmp_path, content, suffix=".jpg")
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert np.array_equal(images[0].transpose(1, 2, 0), expected)
    assert raw.notes == ("2 of 2 images are stored for print (CMYK), converted without a colour profile",)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_read(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    how = {"lossless": True} if kind == "WEBP" else {}
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **how)
    images, raw = read(tmp_path, content, suffix={"TIFF": ".tif"}.get(kind, f".{kind.lower()}"))
    assert np.array_equal(images[0, :, 0, 0], [255, 0, 0])
    assert "2 of 2 images have several frames or pages; the first was read" in raw.notes


def test_two_levels_of_one_bit_are_read(tmp_path: Path) -> None:
    bits = files.pixels(8, 8) > 127
    images, raw = read(tmp_path, saved(Image.fromarray(bits)))
    assert np.array_equal(images[0, 0], bits * 255) and raw.notes == ()


# --- squares of one size


@pytest.mark.parametrize(("height", "width"), [(6, 10), (10, 6), (7, 12), (5, 5)])
def test_the_square_in_the_middle_and_black_margins(height: int, width: int) -> None:
    pixels = files.pixels(height, width, 3)
    image, least, most = Image.fromarray(pixels), min(height, width), max(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    assert np.array_equal(framed(image, Framing(crop="center")), pixels[top : top + least, left : left + least])
    expected = np.zeros((most, most, 3), np.uint8)
    top, left = (most - height) // 2, (most - width) // 2
    expected[top : top + height, left : left + width] = pixels
    assert np.array_equal(framed(image, Framing(crop="pad")), expected)


@pytest.mark.parametrize("crop", ["center", "pad"])
@pytest.mark.parametrize("side", [1, 5, 16, 40])
def test_all_images_get_the_side_that_was_asked_for(tmp_path: Path, crop: Any, side: int) -> None:
    shapes = [(9, 30), (30, 9), (33, 33), (400, 2)]
    contents = [saved(files.pixels(*shape, 3, seed=i)) for i, shape in enumerate(shapes)]
    images, raw = read(tmp_path, *contents, framing=Framing(resize=side, crop=crop))
    assert images.shape == (4, 3, side, side)
    kept = "only the square in their middle was kept" if crop == "center" else "black margins were added"
    larger = {40: "; 4 of 5 were enlarged"}.get(side, "")
    assert raw.notes == (
        f"4 of 5 images are not square: {kept}",
        f"images of 30×9 … 33×33 pixels were resized to {side}×{side}{larger}",
    )


def test_resizing_means_and_keeps_constant_images_constant() -> None:
    pixels = np.kron(np.array([[0, 100], [200, 40]], np.uint8), np.ones((8, 8), np.uint8))
    small = np.asarray(framed(Image.fromarray(pixels), Framing(resize=4)))
    assert small[0, 0] == 0 and small[0, 3] == 100 and small[3, 0] == 200 and 0 < small[1, 1] < 100
    assert (np.asarray(framed(Image.new("L", (50, 50), 7), Framing(resize=9))) == 7).all()


def test_images_that_have_the_size_already_keep_their_bits(tmp_path: Path) -> None:
    pixels = files.pixels(16, 16, 3)
    images, raw = read(tmp_path, saved(pixels), framing=Framing(resize=16, crop="center"))
    assert np.array_equal(images[0], pixels.transpose(2, 0, 1)) and raw.notes == ()


@pytest.mark.parametrize(
    ("shapes", "framing", "message"),
    [
        ([(8, 9)], PLAIN, r"000\.png is 9×8 pixels; images must be squares of one size: --resize 64 with --crop center"),
        ([(8, 9)], Framing(resize=8), r"is 9×8 pixels; images must be squares of one size: --crop center keeps .* pad adds"),
        ([(8, 8), (9, 9)], PLAIN, r"000\.png is 8×8 pixels, .*001\.png is 9×9 pixels; --resize 64 makes all of them"),
        ([(8, 9), (9, 11)], Framing(crop="center"), r"is 8×8 pixels after --crop center, .* is 9×9 .*--resize 64"),
        ([(257, 257)], PLAIN, r"is 257×257 pixels; sides of at most 256 are taken: add --resize 256 or less"),
        ([(300, 200)], Framing(crop="pad"), r"is 200×300 pixels; sides of at most 256 are taken: add --resize"),
    ],
)  # fmt: skip
def test_what_is_no_square_of_one_size_is_refused_with_the_option_that_helps(
    tmp_path: Path, shapes: list[tuple[int, int]], framing: Framing, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, *(saved(files.pixels(*shape, 3)) for shape in shapes), framing=framing)


def test_sides_of_256_are_taken_as_they_are(tmp_path: Path) -> None:
    images, _ = read(tmp_path, saved(files.pixels(256, 256, 3)))
    assert images.shape == (1, 3, 256, 256)


def test_a_tag_that_turns_an_image_turns_the_size_in_messages(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is 9×8 pixels"):
        read(tmp_path, saved(files.pixels(9, 8, 3), exif=turned(6)))


# --- colours


def test_grey_and_rgb(tmp_path: Path) -> None:
    colour, grey = files.pixels(8, 8, 3), files.pixels(8, 8, seed=4)
    images, raw = read(tmp_path, saved(colour), saved(grey), framing=Framing(gray=True))
    luma = colour.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(images[0, 0] - luma).max() <= 1 and np.array_equal(images[1, 0], grey)
    assert raw.notes == ("2 of 3 images have colours, which were made grey",)
    images, raw = read(tmp_path / "grey", saved(grey), framing=Framing(rgb=True))
    assert np.array_equal(images[0], np.stack([grey] * 3))
    assert raw.notes == ("2 of 2 images are greyscale, converted to RGB",)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"resize": 0}, "sides of 1 to 256 pixels, not 0"), ({"resize": 257}, "not 257"), ({"resize": 9.0}, "valid integer"),
     ({"resize": True}, "valid integer"), ({"crop": "left"}, "'center' or 'pad'"), ({"gray": True, "rgb": True}, "exclude")],
)  # fmt: skip
def test_impossible_framings_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Framing(**given)


# --- other sources


@pytest.mark.parametrize(
    ("framing", "shape"),
    [
        (Framing(resize=5, crop="center"), (30, 1, 5, 5)),
        (Framing(crop="pad"), (30, 1, 12, 12)),
        (Framing(resize=20, crop="pad", rgb=True), (30, 3, 20, 20)),
    ],
)
def test_arrays_are_framed_image_by_image_as_files_are(
    tmp_path: Path, framing: Framing, shape: tuple[int, ...]
) -> None:
    x = files.pixels(30, 8, 12)
    raw = npz.read(files.write_npz(tmp_path / "a.npz", x_train=x))
    stream = reframed(raw, framing).parts()["train"][0]
    found = np.concatenate(list(stream.chunks()))
    assert stream.shape == found.shape == shape
    mode = "L" if shape[1] == 1 else "RGB"
    expected = np.asarray(framed(Image.fromarray(x[17]).convert(mode), framing))
    assert np.array_equal(found[17].transpose(1, 2, 0).squeeze(), expected)


def test_arrays_say_what_was_done_and_squares_pass_through_untouched(tmp_path: Path) -> None:
    raw = npz.read(files.write_npz(tmp_path / "a.npz", x_train=files.pixels(30, 8, 8, 3)))
    assert reframed(raw, PLAIN).train_images is raw.train_images
    notes = reframed(raw, Framing(resize=4, gray=True)).notes
    assert notes == ("images of 8×8 pixels were brought to 4×4", "colours were made grey")


@pytest.mark.parametrize(("shape", "message"), [((8, 12), "--crop center"), ((300, 300), "--resize 256 or less")])
def test_arrays_of_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, int], message: str) -> None:
    raw = npz.read(files.write_npz(tmp_path / "a.npz", x_train=files.pixels(30, *shape)))
    with pytest.raises(DataError, match=message):
        reframed(raw, PLAIN)


def test_images_in_parquet_files_are_framed_likewise(tmp_path: Path) -> None:
    files.write_parquet(tmp_path / "train-0.parquet", files.pixels(12, 8, 20, 3), files.cycle(12, 2))
    raw = parquet.read(tmp_path, Framing(resize=6, crop="center"))
    assert raw.parts()["train"][0].shape == (12, 3, 6, 6)
    assert np.concatenate(list(raw.parts()["train"][0].chunks())).shape == (12, 3, 6, 6)
