"""Folders and files that are nearly right: read with a word, or refused with what the user may have meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ddbench.core.errors import DataError, UsageError
from ddbench.data.prepared.prepare import resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.readers import folder, npz
from ddbench.data.readers.images import _verb
from tests.unit.data import data_files as files


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("01", "10", "2", "cat"), "class 1 is folder 10"),
        (("9_dog", "10_cat", "11_bird"), "class 0 is folder 10_cat"),
        (("dog9", "dog10", "dog011"), "class 0 is folder dog011"),
        (("-1", "-2", "-10"), "class 1 is folder -10"),
        (("b1", "a10", "a2"), "class 0 is folder a10"),
        (("v1.10", "v1.9"), "class 0 is folder v1.10"),
        (("n01440764", "n02102040"), None),
        (("01", "02", "10", "cat"), None),
        (("²", "³", "x"), None),
        (("0.25", "0.5", "1.5"), None),
        (("-1", "0.125", "0.5", "2"), None),
        (("0.25", "0.5", "10", "9.5"), "class 2 is folder 10"),
        (("0.25", "0.5", "x"), "class 0 is folder 0.25"),
    ],
)
def test_names_with_numbers_in_another_order_are_said(tmp_path: Path, names: tuple[str, ...], told: str | None) -> None:
    files.write_folder(tmp_path, 1, names)
    said = [note for note in folder.read(tmp_path).notes if "not by number" in note]
    assert [note.rpartition(": ")[2] for note in said] == [told] * bool(told)


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ({"pets": ("cat", "dog"), "farm": ("cow", "hen")}, "farm/ (cow, hen), pets/ (cat, dog)"),
        ({"pets": ("", "cat"), "farm": ("cow",)}, "pets/ (cat)"),
        ({"a": ("2019/x", "2020/x"), "b": ("",)}, "a/ (2019/x, 2020/x)"),
        ({"a": ("1", "2", "3", "4"), "b": ("",)}, "a/ (1, 2, 3, …)"),
        ({str(c): ("x", "y") for c in range(7)}, "0/ (x, y), 1/ (x, y), 2/ (x, y), 3/ (x, y), 4/ (x, y) and 2 more"),
        ({"pets": ("images",), "farm": ("images",)}, None),
        ({"pets": ("",), "farm": ("deep/deeper",)}, None),
    ],
)
def test_folders_inside_classes_whose_names_are_not_read_are_said(
    tmp_path: Path, places: dict[str, tuple[str, ...]], told: str | None
) -> None:
    for top, homes in places.items():
        for i, home in enumerate(homes):
            (tmp_path / "train" / top / home).mkdir(parents=True, exist_ok=True)
            (tmp_path / "train" / top / home / f"{i}.png").write_bytes(files.encoded(files.pixels(8, 8, seed=i)))
    said = [note for note in folder.read(tmp_path).notes if "inside class folders" in note]
    before = "images in folders inside class folders were read as that class: "
    assert said == [f"{before}{told}"] * bool(told)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (("train",), "cat/ (a, b)"),
        (("train", "test"), "train/cat/ (a, b), test/cat/ (a, b)"),
        (("Training", "dev"), "Training/cat/ (a, b), dev/cat/ (a, b)"),
    ],
)
def test_folders_inside_classes_are_named_with_their_part(tmp_path: Path, parts: tuple[str, ...], told: str) -> None:
    for part in parts:
        for i, place in enumerate(("cat/a", "cat/b", "dog")):
            (tmp_path / part / place).mkdir(parents=True)
            (tmp_path / part / place / "x.png").write_bytes(files.encoded(files.pixels(8, 8, seed=i)))
    said = [note for note in folder.read(tmp_path).notes if "inside class folders" in note]
    assert said == [f"images in folders inside class folders were read as that class: {told}"]


@pytest.mark.parametrize("marks", [(), ("wnids.txt",), ("val/val_annotations.txt",)])
@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ((), "images is a class that train does not have, and holds no images: remove it$"),
        ((".DS_Store",), "and holds no images: remove it$"),
        (("x.heic",), "images is a class that train does not have: give train images of it, or move it away$"),
        (("x.png",), "images is a class that train does not have: give train images of it, or move it away$"),
    ],
)
def test_a_folder_beside_right_classes_is_no_sign_of_tinyimagenet(
    tmp_path: Path, marks: tuple[str, ...], inside: tuple[str, ...], told: str
) -> None:
    for part in ("train", "val"):
        files.write_folder(tmp_path / part, 2)
    (tmp_path / "val/images").mkdir()
    for name in inside:
        (tmp_path / "val/images" / name).write_bytes(files.encoded(files.pixels(8, 8)))
    for mark in marks:
        (tmp_path / mark).write_text("x")
    with pytest.raises(DataError, match=told):
        folder.read(tmp_path)


@pytest.mark.parametrize(
    ("train", "test", "told"),
    [
        ("Cat", "cat", "though it has 'Cat'"),
        ("cafe\u0301", "caf\u00e9", "though it has"),
        ("cat ", "cat", "though it has 'cat '"),
        ("ﬁsh", "fish", "though it has"),
        ("cat", "cats", "give train images of it, or move it away"),
    ],
)
def test_classes_that_differ_as_no_eye_sees_are_named_together(
    tmp_path: Path, train: str, test: str, told: str
) -> None:
    files.write_folder(tmp_path / "train", 2, (train, "dog"))
    files.write_folder(tmp_path / "test", 2, (test, "dog"))
    with pytest.raises(DataError, match=told):
        folder.read(tmp_path)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("learn", "test"), r"there is test/ but no train/ with class folders; is it learn/\? Call it train/"),
        (("trainval", "holdout", "Val"), r"is it holdout/ or trainval/\? Call it train/"),
        (("test",), "there is test/ but no train/ with class folders$"),
        (("ILSVRC_train", "ILSVRC_val"), "not like classes: call ILSVRC_train/ train/ and ILSVRC_val/ val/$"),
        (("mine_TEST", "mine_dev", "mine_train"), "call mine_TEST/ test/, mine_dev/ val/ and mine_train/ train/$"),
        (("a_val", "a_train"), "a_train/ and a_val/ below .* call a_train/ train/ and a_val/ val/$"),
    ],
)
def test_parts_under_other_names_are_told_their_usual_ones(tmp_path: Path, names: tuple[str, ...], told: str) -> None:
    for name in names:
        files.write_folder(tmp_path / name, 2)
    with pytest.raises(DataError, match=told):
        folder.read(tmp_path)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.TGZ", "x.7z", "x.rar", "x.tar.zst", "x.png"])
def test_a_file_is_no_folder_of_classes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    packed = ": unpack it" if name != "x.png" else "$"
    with pytest.raises(
        DataError, match=f"is a file; folder:PATH reads a folder that holds a folder for each class{packed}"
    ):
        folder.read(tmp_path / name)
    if name != "x.png":
        with pytest.raises(DataError, match="archives are not read, unpack them"):
            folder.read(tmp_path)


def test_the_layout_of_tinyimagenet_is_read_under_its_own_scheme(tmp_path: Path) -> None:
    top = files.write_members(tmp_path, files.tiny_members()) / "tiny-imagenet-200"
    with pytest.raises(DataError, match=r"val/images is a class that train does not have: .* as NAME=tiny:PATH"):
        folder.read(top)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<!DOCTYPE html><p>404", "as web pages are"),
        (b"%PDF-1.7", "no known format"),
    ],
)
def test_files_that_are_no_images_are_told_what_they_hold(tmp_path: Path, content: bytes, told: str) -> None:
    files.write_folder(tmp_path, 2)
    (tmp_path / "cat/x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=rf"cat/x\.jpg: not a readable image \(.*{told}\)"):
        folder.read(tmp_path)


def test_classes_of_copies_say_how_many_there_are(tmp_path: Path, fresh_home: Path) -> None:
    images = np.stack([np.full((8, 8), 20 + 30 * (i // 2), dtype=np.uint8) for i in range(12)])
    np.savez(tmp_path / "x.npz", x=images, y=files.cycle(12, 2))
    with pytest.raises(DataError, match=r"class '1' has 6 training images, 6 of them copies of others; needs ≥ 3 diff"):
        resolve(parse_source(f"my=npz:{tmp_path / 'x.npz'}", files.known()))
    with pytest.raises(DataError, match=r"is a folder; expected one file, as numpy.savez writes it"):
        npz.read(tmp_path)


@pytest.mark.parametrize("place", ["https://example.org/x.zip", "s3://bucket/x", "file:///tmp/x"])
def test_addresses_are_told_to_be_downloaded(place: str) -> None:
    with pytest.raises(DataError, match="addresses are not read: download the files, and write my=SCHEME:PATH"):
        parse_source(f"my={place}", files.known())


@pytest.mark.parametrize("name", ["x" * 65, "x" * 300, "MNIST2", "my set", "a.b", "é", "2x"])
def test_names_that_no_folder_may_have_are_told_the_rule(name: str) -> None:
    with pytest.raises(UsageError, match="small letters, digits, - and _, a letter first, 64 in all") as refused:
        parse_source(f"{name}=npz:/x.npz", files.known())
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("what", "count", "told"),
    [
        ("are grey", 1, "is grey"),
        ("are grey", 2, "are grey"),
        ("carry marks", 1, "carries marks"),
        ("hold marks", 1, "holds marks"),
        ("hold marks", 3, "hold marks"),
    ],
)
def test_one_image_is_spoken_of_as_one(what: str, count: int, told: str) -> None:
    assert _verb(what, count) == told
