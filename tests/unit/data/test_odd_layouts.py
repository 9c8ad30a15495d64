"""Files of known data sets as people rearrange them: read to the same data, or refused by name."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddbench.core.errors import DataError
from ddbench.data.prepared.prepare import prepare
from ddbench.data.prepared.sources import parse_source
from ddbench.data.readers import digits_mnist_svhn, folder, npz, parquet, tinyimagenet
from ddbench.data.readers.convert import reframed
from ddbench.data.readers.framing import Framing
from tests.unit.data import data_files as files


@pytest.mark.parametrize("annotated", [True, False])
@pytest.mark.parametrize("inner", ["images", "."])
@pytest.mark.parametrize("part", ["val", "both"])
def test_val_in_class_folders_is_the_same_data(tmp_path: Path, annotated: bool, inner: str, part: str) -> None:
    moved = files.write_members(tmp_path, files.tiny_members()) / "tiny-imagenet-200"
    notes = moved / "val/val_annotations.txt"
    lines = sorted(notes.read_text().splitlines(), key=lambda line: int(line.split(".")[0][4:]))
    notes.write_text("\n".join(lines))  # the official order
    shutil.copytree(moved, tmp_path / "official")
    expected = tinyimagenet.read(tmp_path / "official")
    for name, wnid in (line.split("\t")[:2] for line in notes.read_text().splitlines()):
        (moved / "val" / wnid / inner).mkdir(parents=True, exist_ok=True)
        (moved / "val/images" / name).rename(moved / "val" / wnid / inner / name)
    if not annotated:
        notes.unlink()
        (moved / "val/images").rmdir()
    if part == "both" and inner == ".":
        for file in [*moved.glob("train/*/images/*")]:
            file.rename(file.parent.parent / file.name)
    raw = tinyimagenet.read(moved)
    for name in ("train", "test"):
        (images, labels), (others, same) = raw.parts()[name], expected.parts()[name]  # type: ignore[index]
        assert np.array_equal(labels, same)
        assert np.array_equal(np.concatenate([*images.chunks()]), np.concatenate([*others.chunks()]))
    assert raw.notes == expected.notes and raw.class_names == expected.class_names


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("val/val_annotations.txt", r"val/ holds neither val_annotations\.txt nor folders called like those of train/"),
        ("val", r"holds (tiny-imagenet-200/)?train/ but no (tiny-imagenet-200/)?val/"),
        ("train", r"holds neither train/ and val/ nor tiny-imagenet-200\.zip"),
    ],
)
@pytest.mark.parametrize("inner", [".", "tiny-imagenet-200"])
def test_what_tinyimagenet_lacks_is_named(tmp_path: Path, lost: str, said: str, inner: str) -> None:
    top = files.write_members(tmp_path, files.tiny_members()) / "tiny-imagenet-200"
    (shutil.rmtree if (top / lost).is_dir() else os.unlink)(top / lost)
    with pytest.raises(DataError, match=said):
        tinyimagenet.read(tmp_path / inner)


def test_images_of_val_that_are_not_annotated_are_counted(tmp_path: Path) -> None:
    top = files.write_members(tmp_path, files.tiny_members()) / "tiny-imagenet-200"
    for place in ("val/images", "val/n01", "val/n99"):
        (top / place).mkdir(exist_ok=True)
        (top / place / "val_99.JPEG").write_bytes(files.encoded(files.pixels(64, 64, 3), "JPEG"))
    notes = tinyimagenet.read(top).notes
    assert "2 images outside class folders not read" in notes and "folders not read: val/n99/ (1 image)" in notes


@pytest.mark.parametrize("names", [("", ".gz"), (".gz", "."), ("", ".")])
@pytest.mark.parametrize("what", ["train-images", "t10k-labels"])
def test_two_idx_files_of_one_name_must_hold_the_same(tmp_path: Path, names: tuple[str, str], what: str) -> None:
    def named(kind: str) -> Path:
        stem = f"{what}-idx{3 if what.endswith('images') else 1}-ubyte"
        return tmp_path / (stem.replace("-idx", ".idx") if kind == "." else stem + kind)

    files.write_mnist(tmp_path, names[0])
    array = digits_mnist_svhn.read_idx(named(names[0]))
    files.write_idx(named(names[1]), array)
    assert digits_mnist_svhn.idx(tmp_path).train_images.shape == (40, 1, 28, 28)
    for other in (array[::-1], array[1:]):
        files.write_idx(named(names[1]), other.copy())
        for read in (digits_mnist_svhn.idx, digits_mnist_svhn.mnist):
            with pytest.raises(DataError, match="hold different data: keep one of the two there"):
                read(tmp_path)
    named(names[1]).write_bytes(b"cut")
    with pytest.raises(DataError, match=r"keep one of the two there|not an IDX file|damaged gzip"):
        digits_mnist_svhn.idx(tmp_path)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("gray", [False, True])
def test_notes_count_what_happened_to_images(tmp_path: Path, mode: str, gray: bool) -> None:
    for c, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for i in range(2):
            image = Image.fromarray(files.pixels(8, 8, seed=4 * c + i)).convert(mode)  # opaque, and grey
            image.save(tmp_path / name / f"{i}.png")
    said = folder.read(tmp_path, Framing(gray=gray)).notes
    assert said == ()
    Image.fromarray(files.pixels(8, 8, 3)).save(tmp_path / "cat/0.png")
    if gray:
        assert folder.read(tmp_path, Framing(gray=True)).notes == ("1 of 4 images has colours, which were made grey",)
    with zipped(tmp_path) as archive:
        assert reframed(npz.read(archive), Framing(gray=True)).notes == (
            "colours were made grey (1 of 4 images has any)",
        )


@contextmanager
def zipped(tmp_path: Path) -> Iterator[Path]:
    grey = np.repeat(files.pixels(4, 8, 8)[..., None], 3, axis=3)
    grey[0, 0, 0] = (1, 2, 3)
    np.savez(tmp_path / "x.npz", x_train=grey, y_train=[0, 1, 0, 1])
    yield tmp_path / "x.npz"


@pytest.mark.usefixtures("fresh_home")
@pytest.mark.parametrize(("most", "dark"), [(4000, False), (3000, True), (1023, True), (255, True)])
def test_faint_16_bits_are_named_with_their_largest_value(tmp_path: Path, most: int, dark: bool) -> None:
    rng = np.random.default_rng(0)
    for name in ("d/cat", "d/dog"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(6):
            values = rng.integers(0, most + 1, (8, 8), dtype=np.uint16)
            values[0, 0] = most
            Image.fromarray(values).save(tmp_path / name / f"{i}.png")
    source = parse_source(f"deep=folder:{tmp_path / 'd'}", files.known())
    found = f"have 16 bits a channel, which were scaled to 8 (the largest value found is {most} of 65535)"
    if dark:
        with pytest.raises(
            DataError, match=rf"cannot be meant\. 12 of 12 images {re.escape(found)}; if .*multiply 12 bits"
        ):
            prepare(source)
    else:
        assert f"12 of 12 images {found}" in prepare(source).meta.notes


@pytest.mark.parametrize(
    ("above", "said"),
    [
        ("data", r"holds the single folder data/ with 2 folders: name that one, \S+/data$"),
        ("data/images", r"holds the single folder data/; cat/, dog/ lie further down: name \S+/data/images$"),
        ("data/images/train", r"holds the single folder data/; train/ lies further down: name \S+/data/images$"),
    ],
)
def test_a_root_with_one_folder_names_where_the_classes_are(tmp_path: Path, above: str, said: str) -> None:
    files.write_folder(tmp_path / above)
    with pytest.raises(DataError, match=said):
        folder.read(tmp_path)
    assert folder.read(tmp_path / above.removesuffix("/train")).class_names == ("cat", "dog")


def test_messages_of_numpy_do_not_reach_the_user(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", files.pixels(4, 8, 8))
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(DataError, match=r"holds a single array \(\.npy\), not an \.npz archive"):
        npz.read(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", x_train=files.pixels(4, 8, 8), y_train=np.array(["a", "b", "a", "b"], dtype=object))
    with pytest.raises(
        DataError, match=r"y_train cannot be read: it holds Python objects.*texts as an array of fixed width"
    ):
        npz.read(tmp_path / "y.npz")
    for name in ("z.npz", "train-images-idx3-ubyte", "z.parquet"):
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    reads = {
        "z.npz": npz.read,
        "train-images-idx3-ubyte": digits_mnist_svhn.read_idx,
        "z.parquet": parquet.read,
    }
    for name, read in reads.items():
        with pytest.raises(DataError, match=rf"{name}: a pointer of Git LFS.*`git lfs pull`"):
            read(tmp_path / name)
