"""Files of known data sets as people rearrange them: read to the same data, or refused by name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ddbench.core.errors import DataError
from ddbench.data.readers import digits_mnist_svhn, tinyimagenet
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
