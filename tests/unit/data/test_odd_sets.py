"""Foreign sets under odd names and beside odd files: judged by their content, with a word on what is passed over."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddbench.core.errors import DataError
from ddbench.core.plugin.loader import installed
from ddbench.core.specs import DatasetInfo
from ddbench.data.exchange.files import Flags, sources_of
from ddbench.data.exchange.importer import Importer, Understood
from ddbench.data.exchange.labels import read_parquet
from ddbench.data.exchange.layouts import read
from ddbench.data.exchange.settle import settle
from tests.unit.data import data_files as files

PIXELS = Flags(range="01")


def take(path: Path, flags: Flags = PIXELS) -> Understood:
    ((_, found),) = Importer(installed(), "digits").take_all(sources_of([path]), flags)
    return found


@pytest.fixture
def pair() -> list[torch.Tensor]:
    return [torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(10)]


@pytest.mark.parametrize("name", ["labels_x", "images_x", "lr_x", "images_best", "labels_zca_1", "images_best_0"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_whole_set_is_one_whatever_its_file_is_called(tmp_path: Path, pair, name: str, beside: bool) -> None:
    torch.save(pair, tmp_path / f"{name}.pt")
    if beside:
        for part in ("images", "labels"):
            other = tmp_path / f"{part}_{name.partition('_')[2]}.pt"
            if not other.exists():
                torch.save(pair[part == "labels"], other)
    assert take(tmp_path / f"{name}.pt").layout == "pair"


@pytest.mark.parametrize(("there", "lost"), [("labels", "images_x.pt"), ("images", "labels_x.pt")])
def test_half_a_set_names_the_other_half(tmp_path: Path, pair, there: str, lost: str) -> None:
    torch.save(pair[there == "labels"], tmp_path / f"{there}_x.pt")
    with pytest.raises(DataError, match=rf"{there}_x\.pt: {lost} is missing beside it"):
        take(tmp_path / f"{there}_x.pt")


@pytest.mark.parametrize("tag", ["best", "500"])
@pytest.mark.parametrize("rate", [False, True])
def test_images_that_mtt_unwhitened_go_with_its_one_file_of_labels(tmp_path: Path, pair, tag: str, rate: bool) -> None:
    torch.save(pair[0], tmp_path / f"images_zca_{tag}.pt")
    torch.save(pair[1], tmp_path / f"labels_{tag}.pt")
    taken = f"labels_{tag}.pt"
    if rate:
        torch.save(torch.tensor(0.02), tmp_path / f"lr_{tag}.pt")
        taken += f" and lr_{tag}.pt"
    for place in (tmp_path, tmp_path / f"images_zca_{tag}.pt"):
        found = take(place)
        said = f"{taken} taken with images_zca_{tag}.pt"
        assert found.layout == "mtt" and said in found.found
        assert ("learned learning rate 0.02" in found.found) == rate
    torch.save(pair[1].flip(0), tmp_path / f"labels_zca_{tag}.pt")
    assert not any(f"labels_{tag}.pt" in line for line in take(tmp_path).found)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.12, 1.3), (0.1, 0.9)])
def test_images_that_mtt_unwhitened_are_pixels_of_a_whitened_run(tmp_path: Path, pair, low: float, high: float) -> None:
    torch.save(low + (high - low) * pair[0], tmp_path / "images_zca_best.pt")
    torch.save(pair[1], tmp_path / "labels_best.pt")
    for flags in (Flags(), PIXELS, Flags(preprocess="zca-kornia")):
        found = take(tmp_path, flags)
        assert found.preprocess == "zca-kornia"
        assert any("MTT undid their whitening (--zca) before it wrote them" in line for line in found.found)
    assert take(tmp_path, Flags(preprocess="meanstd")).preprocess == "meanstd"
    with pytest.raises(DataError, match=r"pixels around \[0, 1\]: leave out --range normalised"):
        take(tmp_path, Flags(range="normalised", preprocess="zca-kornia"))


def test_image_folders_say_what_is_not_read_and_what_is_converted(tmp_path: Path) -> None:
    for c in range(10):
        folder = tmp_path / "set" / str(c)
        (folder / ".ipynb_checkpoints").mkdir(parents=True)
        for name in ("0.png", ".ipynb_checkpoints/0-checkpoint.png"):
            Image.fromarray(files.pixels(8, 8, seed=c)).convert("LA" if c else "L").save(folder / name)
    (tmp_path / "set/0/notes.psd").write_text("x")
    (tmp_path / "set/loose.png").write_bytes(files.encoded(files.pixels(8, 8)))
    found = take(tmp_path / "set", Flags()).found
    assert "10 images below hidden names not read: .ipynb_checkpoints" in found
    assert "1 file not read: 1 .psd" in found and "1 image outside class folders not read" in found
    (tmp_path / "set/1/0.png").write_bytes(files.encoded(np.zeros((8, 8, 4), dtype=np.uint8)))
    assert "1 of 10 images has transparency, which was composed on white" in take(tmp_path / "set", Flags()).found


@pytest.mark.usefixtures("fresh_home")
def test_grey_images_for_colours_are_said(tmp_path: Path) -> None:
    from ddbench.data.dataset import open_data

    files.write_folder(tmp_path / "rgb")
    mine = f"mine=folder:{tmp_path / 'rgb'}"
    for name in ("cat", "dog"):
        (tmp_path / "grey" / name).mkdir(parents=True)
        (tmp_path / "grey" / name / "0.png").write_bytes(files.encoded(files.pixels(8, 8)))
    ((_, found),) = Importer(installed(), mine).take_all(sources_of([tmp_path / "grey"]), Flags())
    assert "2 of 2 images are greyscale, converted to RGB" in found.found
    files.write_parquet(tmp_path / "x.parquet", files.pixels(2, 8, 8), files.cycle(2, 2))
    info = open_data(mine, None, "default", "meanstd", installed()).info
    assert read_parquet(tmp_path / "x.parquet", info)[1].notes == ("2 of 2 images are greyscale, converted to RGB",)


def test_what_is_no_file_is_called_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.pt")
    for place in (tmp_path / "x.pt", Path("/dev/null")):
        with pytest.raises(DataError, match=f"{place} is neither a file nor a folder: pipes, sockets and devices"):
            sources_of([place])
    with pytest.raises(DataError, match="no such file or folder"):
        sources_of([tmp_path / "y.pt"])
    (tmp_path / "z.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n")
    with pytest.raises(DataError, match=r"z\.pt: a pointer of Git LFS.*`git lfs pull`"):
        sources_of([tmp_path / "z.pt"])


def test_a_label_of_thousands_of_digits_is_no_advice_to_programmers(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0/a.png").write_bytes(files.encoded(files.pixels(8, 8)))
    (tmp_path / "labels.csv").write_text("file,label\n0/a.png," + "1" * 5000)
    with pytest.raises(DataError, match="thousands of digits; labels are the numbers of classes"):
        take(tmp_path, Flags())


@pytest.mark.parametrize(
    "names",
    [
        ("X", "Y"),
        ("data", "target"),
        ("imgs", "targets"),
        ("image_syn", "label_syn"),
        ("x_distilled", "y_distilled"),
        ("syn_data", "syn_label"),
        ("data_syn", "label_syn"),
        ("distilled_data", "distilled_labels"),
        ("img", "lbl"),
        ("inputs", "targets"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_images_and_labels_are_known_by_any_name_that_says_it(
    tmp_path: Path, pair, names: tuple[str, str], suffix: str
) -> None:
    store(tmp_path / f"s{suffix}", dict(zip(names, pair, strict=True)))
    assert f"images were read from {names[0]}, labels from {names[1]}" in take(tmp_path / f"s{suffix}").warnings
    store(tmp_path / f"two{suffix}", dict(zip(names, pair, strict=True)) | {"other_image": pair[0]})
    with pytest.raises(DataError, match=rf"two{suffix}: .*other_image.*: rename them to images and labels$"):
        take(tmp_path / f"two{suffix}")


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
@pytest.mark.parametrize("others", [("lr", "soft_labels"), ("test_images",), tuple(f"k{i}" for i in range(12))])
def test_what_else_a_set_holds_is_named(tmp_path: Path, pair, suffix: str, others: tuple[str, ...]) -> None:
    content = {"images": pair[0], "labels": pair[1]}
    store(tmp_path / f"a{suffix}", content)
    assert not any("not read" in line for line in take(tmp_path / f"a{suffix}").warnings)
    store(tmp_path / f"b{suffix}", content | dict.fromkeys(others, torch.tensor([0.1])))
    said = {1: "test_images was", 2: "lr and soft_labels were"}.get(len(others), "k8, k9 and 2 more were")
    assert take(tmp_path / f"b{suffix}").warnings[0].endswith(f"{said} not read")


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("x_real", "y_real", "syn"), "rename them to images and labels$"),
        (("image_real", "label_real"), "rename them to images and labels$"),
        (("images", "y_pred"), "rename them to images and labels$"),
        (("x_mean", "y"), "rename them to images and labels$"),
        (("X", "Y", "state"), "X or state may be the images: rename them to images and labels$"),
        (("image_syn", "label_syn", "momentum"), "image_syn or momentum may be the images: rename them"),
        (("images", "labels", "image_syn"), "images or image_syn may be the images: rename them"),
        (("data", "targets", "pictures"), "pictures or data may be the images: rename them"),
    ],
)
def test_a_tensor_that_may_not_be_the_set_is_not_taken(
    tmp_path: Path, pair, suffix: str, names: tuple[str, ...], told: str
) -> None:
    store(tmp_path / f"s{suffix}", dict(zip(names, [*pair, pair[0]], strict=False)))
    with pytest.raises(DataError, match=told):
        take(tmp_path / f"s{suffix}")


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
@pytest.mark.parametrize("other", ["image_init", "x_real", "orig_images"])
def test_the_set_is_read_and_not_what_it_was_made_of(tmp_path: Path, pair, suffix: str, other: str) -> None:
    store(tmp_path / f"s{suffix}", {other: pair[0] / 2, "data_syn": pair[0], "label_syn": pair[1]})
    found = take(tmp_path / f"s{suffix}")
    assert found.warnings[:2] == ("images were read from data_syn, labels from label_syn", f"{other} was not read")
    store(tmp_path / f"t{suffix}", {"images": pair[0], "labels": pair[1]})
    assert take(tmp_path / f"t{suffix}").sources == found.sources


def store(path: Path, content: dict[str, torch.Tensor]) -> None:
    if path.suffix == ".pt":
        torch.save(content, path)
    else:
        np.savez(path, **{name: tensor.numpy() for name, tensor in content.items()})


@pytest.mark.parametrize(("value", "same"), [(0.5, True), (1.0, True), (None, False)])
def test_equal_images_are_said(tmp_path: Path, pair, value: float | None, same: bool) -> None:
    torch.save([pair[0] if value is None else torch.full_like(pair[0], value), pair[1]], tmp_path / "s.pt")
    assert ("all 10 images are the same" in take(tmp_path / "s.pt").warnings) == same


@pytest.mark.parametrize(("scale", "given"), [(1 / 255, "01"), (0.06, "01"), (15.0, "255"), (1.5, "255")])
def test_pixels_that_cannot_be_meant_are_refused(tmp_path: Path, pair, scale: float, given) -> None:
    torch.save([pair[0] * scale, pair[1]], tmp_path / "s.pt")
    with pytest.raises(DataError, match=r"the largest pixel is [\d.]+ of 255: that cannot be meant"):
        take(tmp_path / "s.pt", Flags(range=given))


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"<html>"])
def test_what_is_no_safetensors_file_is_told_so(tmp_path: Path, content: bytes) -> None:
    from safetensors.torch import save

    (tmp_path / "s.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="no safetensors file, or cut short"):
        take(tmp_path / "s.safetensors")
    (tmp_path / "s.safetensors").write_bytes(save({"images": torch.zeros(10, 1, 8, 8)}))
    with pytest.raises(DataError, match="not a condensed set of ddbench, which says so in its metadata"):
        take(tmp_path / "s.safetensors")


@pytest.mark.parametrize("address", ["https://example.org/s.pt", "s3://bucket/s.pt"])
def test_addresses_are_told_to_be_downloaded(address: str) -> None:
    with pytest.raises(DataError, match="addresses are not read: download the file, and name it"):
        sources_of([Path(address)])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([1, *range(1, 10)], "class counts differ: 1 class with 0, 8 classes with 1, 1 class with 2"),
        ([0] * 5 + [9] * 5, "class counts differ: 8 classes with 0, 2 classes with 5"),
        (list(range(10)), None),
        (list(reversed(range(10))), None),
    ],
)
def test_uneven_classes_are_a_note_of_the_row(tmp_path: Path, pair, labels: list[int], said: str | None) -> None:
    torch.save({"images": pair[0], "labels": torch.tensor(labels)}, tmp_path / "s.pt")
    found = take(tmp_path / "s.pt")
    assert found.warnings == ((said,) if said else ())
    assert any(line == "hard labels, 1 of each of 10 classes" for line in found.found) == (said is None)


@pytest.mark.parametrize("form", ["pt", "npz", "folder"])
@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ((0, 11), r"the largest pixel is 11 of 255: that cannot be meant\. Scale the images to 255$"),
        ((0, 1), r"values from 0 to 1 are not pixel values in \[0, 255\]\. Scale the images to 255$"),
        ((0, 0), r"are not pixel values in \[0, 255\]\. Scale the images to 255$"),
        ((0, 16), None),
        ((0, 255), "8-bit pixels, 0 and 255 alone"),
        ((1, 255), "8-bit pixels, 1 to 255"),
    ],
)
def test_dark_pixels_are_refused_and_two_levels_are_told(
    tmp_path: Path, form: str, levels: tuple[int, int], told: str | None
) -> None:
    images = np.resize(np.array(levels, dtype=np.uint8), (10, 1, 8, 8))
    place = tmp_path / f"s.{form}"
    if form == "pt":
        torch.save([torch.from_numpy(images), torch.arange(10)], place)
    elif form == "npz":
        np.savez(place, images=images, labels=np.arange(10))
    else:
        for label, image in enumerate(images[:, 0]):
            (place / str(label)).mkdir(parents=True)
            Image.fromarray(image).save(place / str(label) / "0.png")
    info = DatasetInfo(
        name="mine", revision="0" * 16, channels=1, size=8, classes=10, class_names=tuple(map(str, range(10))),
        counts=(9,) * 10, val_counts=(1,) * 10, n_test=9, default_arch="convnet2-w32-in", flip=True, mean=(0.5,),
        std=(0.2,),
    )  # fmt: skip
    (source,) = sources_of([place])
    (stored,) = read(source, info)
    if told is None or told.startswith("8-bit"):
        about = settle(stored, info, Flags(), "meanstd", str(place)).found[0]
        assert about == (told or "8-bit pixels, 0 to 16")
        return
    with pytest.raises(DataError, match=told):
        settle(stored, info, Flags(), "meanstd", str(place))
