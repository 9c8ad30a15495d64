"""Data sets as people reported them of other loaders: read with a word, or refused with the next step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ddbench.core.errors import DataError
from ddbench.core.plugin.loader import installed
from ddbench.data.exchange.files import Flags, sources_of
from ddbench.data.exchange.importer import Importer
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
    said = [note for note in raw.notes if "at the beginning of the name" in note]
    assert [note.split()[3] for note in said] == list(told)


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


def test_the_words_of_single_file_names_are_no_parts(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 3)  # huggingface/datasets#5021
    (tmp_path / "cat/000.png").rename(tmp_path / "cat/photo of a train.png")
    (tmp_path / "dog/000.png").rename(tmp_path / "dog/photo of test tubes.png")
    raw = folder.read(tmp_path)
    assert sizes(raw) == {"train": 6} and raw.notes == ()


def test_images_beside_the_only_folder_are_counted(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 3, ("data",))  # huggingface/datasets#5153
    (tmp_path / "image4.png").write_bytes(files.encoded(files.pixels(8, 8)))
    with pytest.raises(DataError, match=r"one class folder, data/ \(1 image outside class folders not read\)"):
        folder.read(tmp_path)


@pytest.mark.parametrize(
    ("inner", "beside", "told"),
    [
        ("images", "val_annotations.txt", "are read as NAME=tiny:PATH"),  # tjmoon0104/pytorch-tiny-imagenet#4
        ("images", None, "val/ needs a folder for each class, as train has"),  # NingMiao/InstaAug#1
        ("ILSVRC2012_img_val", None, "the only folder there: val/ needs a folder for each class"),  # a quantiser's #5
    ],
)
def test_validation_images_without_class_folders_are_told_where_they_belong(
    tmp_path: Path, inner: str, beside: str | None, told: str
) -> None:
    files.write_folder(tmp_path / "train", 3, ("n01440764", "n01443537"))
    files.write_folder(tmp_path / "val", 3, (inner,))
    if beside is not None:
        (tmp_path / "val" / beside).write_text("x")
    with pytest.raises(DataError, match=rf"val/{inner} is a class that train does not have.*{told}"):
        folder.read(tmp_path)


@pytest.mark.parametrize("empty", ["02_baby", "n02102040"])
def test_classes_that_are_empty_on_purpose_are_named(tmp_path: Path, empty: str) -> None:
    files.write_folder(tmp_path, 3, ("01_ant", "03_cow"))  # mmazeika/model-stealing-defenses#5
    (tmp_path / empty).mkdir()
    with pytest.raises(DataError, match=f"{empty}/ holds no image that is read"):
        folder.read(tmp_path)


@pytest.mark.parametrize("classes", [10, 26])
def test_labels_from_one_keep_the_digits_and_letters_that_they_were(tmp_path: Path, classes: int) -> None:
    labels = files.cycle(2 * classes, classes) + 1  # mila-iqia/fuel#222, pytorch/vision#2630
    np.savez(tmp_path / "x.npz", X=files.pixels(2 * classes, 8, 8), y=labels)
    raw = npz.read(tmp_path / "x.npz")
    assert raw.class_names == tuple(map(str, range(1, classes + 1))) and "1 was subtracted" in raw.notes[0]


def test_images_of_another_format_than_their_suffix_are_read(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 2)  # GabrielePicco/deep-learning-flower-identifier#2
    (tmp_path / "cat/x.jpg").write_bytes(files.encoded(files.pixels(8, 8, 3), "WEBP"))
    assert sizes(folder.read(tmp_path)) == {"train": 5}
    (tmp_path / "dog/y.jpg").write_bytes(b"RIFF\x10\0\0\0WAVEfmt ")
    with pytest.raises(DataError, match=r"dog/y\.jpg: not a readable image \(of no known format\)"):
        folder.read(tmp_path)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_steps_of_dd_are_told_apart_from_a_set(tmp_path: Path, steps: int) -> None:
    step = (torch.rand(10, 1, 8, 8), torch.arange(10), torch.tensor(0.02))  # ssnl/dataset-distillation#24
    torch.save([step] * steps, tmp_path / "results.pth")
    with pytest.raises(DataError, match=r"results\.pth: holds a list of tuple.*, as the steps of DD \(2018\) are"):
        load(tmp_path / "results.pth")


def load(path: Path) -> object:
    return Importer(installed(), "digits").take_all(sources_of([path]), Flags(range="01"))
