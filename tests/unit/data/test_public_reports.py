"""Data sets as people reported them of other loaders: read with a word, or refused with the next step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ddbench.core.errors import DataError
from ddbench.data.readers import folder, npz, parquet
from ddbench.data.readers.raw import RawDataset
from ddbench.library.foreign import named_sources
from tests.unit.data import data_files as files


def sizes(raw: RawDataset) -> dict[str, int]:
    return {str(part): len(labels) for part, (_, labels) in raw.parts().items()}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("train_1", "test_1", "val_1"), ("test", "val")),  # huggingface/datasets#5650
        (("Train-1", "TEST-1"), ("test",)),
        (("train_1", "train_2"), ()),
        (("test_1", "cat_1"), ()),
        (("tester_1", "train_1"), ()),
    ],
)
def test_images_called_like_parts_are_read_by_their_folders_with_a_word(
    tmp_path: Path, names: tuple[str, ...], told: tuple[str, ...]
) -> None:
    files.write_folder(tmp_path, len(names))
    for folder_ in ("cat", "dog"):
        for place, name in zip(sorted((tmp_path / folder_).iterdir()), names, strict=True):
            place.rename(place.with_stem(name))
    raw = folder.read(tmp_path)
    assert sizes(raw) == {"train": 2 * len(names)}
    said = [note for note in raw.notes if "whose names begin with" in note]
    assert [note.split()[6] for note in said] == list(told)


def test_names_that_agree_with_their_folders_need_no_word(tmp_path: Path) -> None:
    for part in ("train", "test"):
        files.write_folder(tmp_path / part, 2)
        for place in sorted((tmp_path / part).rglob("*.png")):
            place.rename(place.with_stem(f"{part}_{place.stem}"))
    assert folder.read(tmp_path).notes == ()


def test_images_without_class_folders_are_told_what_to_do(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 2, ("Dog",))  # pytorch/vision#669
    with pytest.raises(
        DataError, match=r"2 images outside class folders not read\): put the images of each class into"
    ):
        folder.read(tmp_path / "Dog")
    with pytest.raises(DataError, match=r"at least 2 classes; there is one class folder, Dog/$"):
        folder.read(tmp_path)
    files.write_folder(tmp_path / "s/train/animals", 2)
    files.write_folder(tmp_path / "s/test/animals", 2)
    with pytest.raises(
        DataError, match=r"one class folder, animals/, which holds cat, dog: put these beside each other"
    ):
        folder.read(tmp_path / "s")


def test_a_test_part_without_a_class_keeps_the_numbers_of_train(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "train", 3, ("0", "90", "180", "270"))
    files.write_folder(tmp_path / "test", 2, ("0", "90", "270"))  # ultralytics/ultralytics#13936
    raw = folder.read(tmp_path)
    assert raw.class_names == ("0", "180", "270", "90")
    assert sorted(set(raw.parts()["test"][1].tolist())) == [0, 2, 3]


@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.5), (-1.0, 1.0), (-2.1, 2.6), (0.0, 255.5)])
def test_floats_that_are_no_pixels_are_told_with_their_range(tmp_path: Path, low: float, high: float) -> None:
    values = np.linspace(low, high, 4 * 64, dtype=np.float32).reshape(4, 1, 8, 8)  # tensorflow/tensorflow#1392
    np.savez(tmp_path / "x.npz", x_train=values, y_train=np.arange(4) % 2)
    with pytest.raises(DataError, match=rf"x_train holds floats from {low:.3g} to {high:.3g}; pixels are floats in"):
        npz.read(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("train/data-00000-of-00001.arrow", "to_parquet"),  # huggingface/huggingface_hub#894
        ("train/001.png", "NAME=folder:PATH"),
    ],
)
def test_what_is_no_parquet_is_told_how_to_become_readable(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=rf"holds no train-\*\.parquet; it holds {name}: .*{advice}"):
        parquet.read(tmp_path)


def test_parts_whose_labels_are_in_a_table_are_refused_with_a_word(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 2, ("train",))  # huggingface/datasets#6442
    (tmp_path / "train/metadata.jsonl").write_text('{"file_name": "000.png", "label": 1}')
    with pytest.raises(DataError, match=r"train/ below .* holds no class folders: .*a table beside the images are not"):
        folder.read(tmp_path)


@pytest.mark.parametrize("labels", [(), ("mine",)])
def test_what_is_not_read_of_a_set_is_known_to_whoever_names_it(tmp_path: Path, labels: tuple[str, ...]) -> None:
    files.write_folder(tmp_path / "set", 2)
    for name in ("cat/.ipynb_checkpoints/0.png", "cat/0.heic", "loose.png"):
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"x")
    (source,) = named_sources([tmp_path / "set"], labels)
    assert source.label == (labels or ("set",))[0]
    assert source.notes == (
        "1 file not read: 1 .heic",
        "1 image outside class folders not read",
        "1 image below hidden names not read: .ipynb_checkpoints",
    )
