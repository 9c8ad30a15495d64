"""Every reader gives back exactly the pixels and labels that were written, or says what is wrong."""

from __future__ import annotations

import pickle
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from ddbench.core.errors import DataError
from ddbench.data.readers import cifar, digits_mnist_svhn, folder, npz, parquet, tinyimagenet
from ddbench.data.readers.raw import RawDataset, check
from tests.unit.data import data_files as files


def part(raw: RawDataset, name: str) -> tuple[files.Array, files.Array]:
    """All images and labels of one part."""
    stream, labels = raw.parts()[name]  # type: ignore[index]
    images = np.concatenate(list(stream.chunks()))
    assert images.shape == stream.shape
    return images, labels


# --- digits, IDX, .mat


def test_digits_have_seventeen_levels_and_one_channel() -> None:
    images, labels = part(digits_mnist_svhn.digits(Path()), "train")
    assert images.shape == (1797, 1, 8, 8) and images.max() == 16
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


@pytest.mark.parametrize("inner", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("suffix", [".gz", ""])
def test_idx_files_are_found_gzipped_or_not_in_the_usual_places(tmp_path: Path, inner: str, suffix: str) -> None:
    written, labels = files.write_mnist(tmp_path / inner, suffix)
    images, found = part(digits_mnist_svhn.mnist(tmp_path), "train")
    assert np.array_equal(images[:, 0], written) and np.array_equal(found, labels)


def test_fashionmnist_is_found_where_torchvision_unpacks_it(tmp_path: Path) -> None:
    files.write_mnist(tmp_path / "FashionMNIST/raw")
    raw = digits_mnist_svhn.fashionmnist(tmp_path)
    assert raw.class_names[9] == "Ankle boot" and len(part(raw, "test")[1]) == 20


@pytest.mark.parametrize("damage", ["truncated", "garbage", "type", "short"])
def test_damaged_idx_file_is_named(tmp_path: Path, damage: str) -> None:
    files.write_mnist(tmp_path)
    victim = tmp_path / "train-images-idx3-ubyte.gz"
    content = victim.read_bytes()
    if damage == "short":
        victim.unlink()
        victim = tmp_path / "train-images-idx3-ubyte"
        files.write_idx(victim, files.pixels(40, 28, 28))
        victim.write_bytes(victim.read_bytes()[:-1])
    else:
        bad_type = files.gzip.compress(b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0")
        victim.write_bytes({"truncated": content[: len(content) // 2], "garbage": b"hello", "type": bad_type}[damage])
    with pytest.raises(DataError, match=victim.name):
        digits_mnist_svhn.mnist(tmp_path)


def test_missing_idx_file_is_named(tmp_path: Path) -> None:
    files.write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="t10k-labels"):
        digits_mnist_svhn.mnist(tmp_path)


def test_svhn_label_ten_is_the_digit_zero_and_axes_are_reordered(tmp_path: Path) -> None:
    cube = files.pixels(32, 32, 3, 20)
    labels = np.array([[10 if c == 0 else c] for c in files.cycle(20)], dtype=np.uint8)
    for name in ("train", "test"):
        savemat(tmp_path / f"{name}_32x32.mat", {"X": cube, "y": labels})
    images, found = part(digits_mnist_svhn.svhn(tmp_path), "train")
    assert np.array_equal(found, files.cycle(20))
    assert images[7, 2, 3, 4] == cube[3, 4, 2, 7]


def test_svhn_without_its_second_file_names_it(tmp_path: Path) -> None:
    savemat(tmp_path / "train_32x32.mat", {"X": files.pixels(32, 32, 3, 2), "y": np.ones((2, 1), dtype=np.uint8)})
    with pytest.raises(DataError, match=r"test_32x32\.mat"):
        digits_mnist_svhn.svhn(tmp_path)


# --- CIFAR


@pytest.mark.parametrize("form", ["archive", "folder of the archive", "unpacked", "inner folder"])
def test_cifar10_is_read_from_archive_or_folders(tmp_path: Path, form: str) -> None:
    members = files.cifar10_members()
    place = tmp_path
    if form in ("archive", "folder of the archive"):
        archive = files.write_tar(tmp_path / "cifar-10-python.tar.gz", members)
        place = archive if form == "archive" else tmp_path
    else:
        files.write_members(tmp_path, members)
        place = tmp_path / "cifar-10-batches-py" if form == "inner folder" else tmp_path
    raw = cifar.cifar10(place)
    images, labels = part(raw, "train")
    first = pickle.loads(members[1][1])[b"data"]
    assert images.shape == (100, 3, 32, 32) and np.array_equal(images[:20].reshape(20, -1), first)
    assert np.array_equal(labels[:20], files.cycle(20)) and raw.class_names[3] == "class3"


def test_cifar100_uses_fine_labels(tmp_path: Path) -> None:
    files.write_tar(tmp_path / "cifar-100-python.tar.gz", files.cifar100_members())
    raw = cifar.cifar100(tmp_path)
    assert part(raw, "train")[1].max() == 99 and raw.class_names[42] == "fine42"


class Malicious:
    """Runs a function when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


class Evaluates:
    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, (self.code,))


@pytest.mark.parametrize("how", ["method", "builtin", "object array"])
def test_malicious_cifar_batch_runs_nothing(tmp_path: Path, how: str) -> None:
    trace = tmp_path / "executed"
    bomb: Any = Malicious(trace) if how == "method" else Evaluates(f"open({str(trace)!r}, 'w')")
    data = np.array([bomb, bomb], dtype=object) if how == "object array" else bomb
    members = files.cifar10_members()
    members[1] = (members[1][0], files.pickled({b"data": data, b"labels": [0]}))
    with pytest.raises(DataError, match=r"data_batch_1.*not allowed"):
        cifar.cifar10(files.write_members(tmp_path / "files", members))
    assert not trace.exists()


@pytest.mark.parametrize(
    "batch",
    [
        {b"data": files.pixels(3, 3071), b"labels": [0, 1, 2]},
        {b"data": files.pixels(3, 3072), b"labels": [0, 1]},
        {b"data": files.pixels(3, 3072), b"labels": ["a", "b", "c"]},
        {b"data": files.pixels(3, 3072)},
        [1, 2],
    ],
)
def test_malformed_cifar_batch_is_named(tmp_path: Path, batch: Any) -> None:
    members = files.cifar10_members()
    members[2] = (members[2][0], files.pickled(batch))
    with pytest.raises(DataError, match="data_batch_2"):
        cifar.cifar10(files.write_members(tmp_path, members))


def test_missing_cifar_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither cifar-10-python\.tar\.gz nor cifar-10-batches-py"):
        cifar.cifar10(tmp_path)


# --- TinyImageNet


@pytest.fixture(params=["folder", "inner folder", "zip", "tar.xz", "tar.gz file", "tar"])
def tiny(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    members = files.tiny_members()
    kind = request.param
    if "folder" in kind:
        files.write_members(tmp_path, members)
        return tmp_path / "tiny-imagenet-200" if kind == "inner folder" else tmp_path
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "tiny-imagenet-200.zip", "w") as archive:
            for name, content in members:
                archive.writestr(name, content)
        return tmp_path
    mode = {"tar.xz": "w:xz", "tar.gz file": "w:gz", "tar": "w"}[kind]
    path = files.write_tar(tmp_path / f"tiny-imagenet-200.{kind.split()[0]}", members, mode)
    return path if kind == "tar.gz file" else tmp_path


def test_tinyimagenet_layout_gives_wnids_order_names_and_rgb(tiny: Path) -> None:
    raw = tinyimagenet.read(tiny)
    images, labels = part(raw, "train")
    test_images, test_labels = part(raw, "test")
    raw.close()
    assert raw.class_names == ("crane (n03)", "goldfish", "crane (n02)")
    assert images.shape == (12, 3, 64, 64) and labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert (images[0][0] == images[0][2]).all() and not (images[1][0] == images[1][2]).all()
    assert raw.notes == ("1 of 18 images is greyscale, converted to RGB",)
    assert test_images.shape[0] == 6 and test_labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_tinyimagenet_without_word_lists_sorts_and_uses_ids(tmp_path: Path) -> None:
    files.write_members(tmp_path, (m for m in files.tiny_members() if not m[0].endswith(("wnids.txt", "words.txt"))))
    assert tinyimagenet.read(tmp_path).class_names == ("n01", "n02", "n03")


def test_unpacked_tinyimagenet_is_deleted_after_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    raw = tinyimagenet.read(files.write_tar(tmp_path / "tiny-imagenet-200.tar.gz", files.tiny_members()))
    assert any(scratch.iterdir())
    raw.close()
    assert not any(scratch.iterdir())


# --- folder:


def test_folder_classes_are_numbered_by_name(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 3, ("zebra", "ape"))
    raw = folder.read(tmp_path)
    images, labels = part(raw, "train")
    assert raw.class_names == ("ape", "zebra") and labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(images[0], files.pixels(8, 8, 3, seed=100).transpose(2, 0, 1))


def test_folder_parts_on_top_are_used(tmp_path: Path) -> None:
    for name, count in (("train", 5), ("validation", 2), ("test", 3)):
        files.write_folder(tmp_path / name, count)
    assert {name: len(labels) for name, (_, labels) in folder.read(tmp_path).parts().items()} == {
        "train": 10,
        "val": 4,
        "test": 6,
    }


@pytest.mark.parametrize("kind", ["png", "jpg", "jpeg", "bmp", "webp", "JPG"])
def test_folder_reads_common_formats(tmp_path: Path, kind: str) -> None:
    name = {"jpg": "JPEG", "JPG": "JPEG"}.get(kind, kind.upper())
    for c in "ab":
        files.write_members(tmp_path, [(f"{c}/1.{kind}", files.encoded(files.pixels(8, 8, 3), name))])
    assert part(folder.read(tmp_path), "train")[0].shape == (2, 3, 8, 8)


def test_all_grey_images_have_one_channel_and_mixed_ones_three(tmp_path: Path) -> None:
    grey, colour = files.pixels(8, 8), files.pixels(8, 8, 3)
    files.write_members(tmp_path, [("a/1.png", files.encoded(grey)), ("b/1.png", files.encoded(grey))])
    raw = folder.read(tmp_path)
    assert np.array_equal(part(raw, "train")[0][0, 0], grey) and raw.notes == ()
    files.write_members(tmp_path, [("b/2.png", files.encoded(colour))])
    raw = folder.read(tmp_path)
    assert part(raw, "train")[0].shape[1] == 3 and raw.notes == ("2 of 3 images are greyscale, converted to RGB",)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("cat/zz.png", files.encoded(files.pixels(9, 9, 3))), r"differ in size.*zz\.png is 9×9"),
        (
            ("cat/zz.png", files.encoded(files.pixels(8, 9, 3))),
            r"zz\.png is 9×8 pixels; images must be squares of one size: --resize 64 with --crop",
        ),
        (("cat/zz.png", b"not an image"), r"zz\.png: not a readable image"),
        (
            ("cat/zz.tif", files.encoded(files.pixels(8, 8).astype(np.float32), "TIFF")),
            r"zz\.tif: pixel format 'F' of TIFF",
        ),
        (
            ("cat/zz.tif", files.encoded(files.pixels(8, 8).astype(np.int32), "TIFF")),
            r"zz\.tif: pixel format 'I' of TIFF",
        ),
    ],
)
def test_folder_with_a_bad_image_names_it(tmp_path: Path, extra: tuple[str, bytes], message: str) -> None:
    files.write_members(files.write_folder(tmp_path, 2), [extra])
    with pytest.raises(DataError, match=message):
        folder.read(tmp_path)


def test_truncated_image_is_named_while_decoding(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 2, size=64)
    victim = tmp_path / "dog/001.png"
    victim.write_bytes(victim.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"dog/001\.png: damaged image"):
        part(folder.read(tmp_path), "train")


def test_folder_of_one_class_is_refused(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 3, ("cat",))
    with pytest.raises(DataError, match="at least 2 classes"):
        check(folder.read(tmp_path))


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    files.write_members(tmp_path, [("a/readme.txt", b""), ("b/readme.txt", b"")])
    with pytest.raises(DataError, match="no images"):
        folder.read(tmp_path)


def test_parts_without_class_folders_are_not_taken_for_classes(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 2, ("train", "test"))
    with pytest.raises(DataError, match="no class folders"):
        folder.read(tmp_path)


def test_class_that_train_lacks_is_refused(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "train", 2)
    files.write_folder(tmp_path / "test", 2, ("cat", "cow"))
    with pytest.raises(DataError, match=r"test/cow is a class that train does not have"):
        folder.read(tmp_path)


# --- hf:


def test_parquet_gives_pixels_labels_and_names(tmp_path: Path) -> None:
    images = files.pixels(20, 8, 8, 3)
    files.write_parquet(tmp_path / "train-00000-of-00001.parquet", images, files.cycle(20, 2), names=["cat", "dog"])
    files.write_parquet(tmp_path / "test-00000-of-00001.parquet", images[:4], files.cycle(4, 2), names=["cat", "dog"])
    files.write_parquet(tmp_path / "validation-00000-of-00001.parquet", images[:6], files.cycle(6, 2))
    raw = parquet.read(tmp_path)
    found, labels = part(raw, "train")
    assert np.array_equal(found, images.transpose(0, 3, 1, 2)) and np.array_equal(labels, files.cycle(20, 2))
    assert raw.class_names == ("cat", "dog") and len(part(raw, "val")[1]) == 6 and len(part(raw, "test")[1]) == 4


def test_parquet_without_metadata_numbers_its_classes(tmp_path: Path) -> None:
    files.write_parquet(tmp_path / "data/train-0.parquet", files.pixels(9, 8, 8), files.cycle(9, 3), label="fine_label")
    raw = parquet.read(tmp_path)
    assert raw.class_names == ("0", "1", "2") and part(raw, "train")[0].shape == (9, 1, 8, 8)


def test_parquet_shards_are_joined_in_order(tmp_path: Path) -> None:
    images = files.pixels(20, 8, 8)
    for shard in range(2):
        rows = slice(10 * shard, 10 * shard + 10)
        files.write_parquet(tmp_path / f"train-0000{shard}-of-00002.parquet", images[rows], files.cycle(10, 2))
    assert np.array_equal(part(parquet.read(tmp_path), "train")[0][:, 0], images)


def test_missing_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    with pytest.raises(DataError, match=r"pip install 'ddbench\[hf\]'"):
        parquet.read(tmp_path)


def test_parquet_folder_without_train_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no train-"):
        parquet.read(tmp_path)


def test_parquet_with_labels_that_are_no_whole_numbers_is_refused(tmp_path: Path) -> None:
    files.write_parquet(tmp_path / "train-0.parquet", files.pixels(2, 8, 8), np.array([1.0, 0.25]))
    with pytest.raises(DataError, match=r"row 1: the label is 0\.25, not an integer"):
        parquet.read(tmp_path)


def test_secret_labels_are_explained(tmp_path: Path) -> None:
    files.write_parquet(tmp_path / "train-0.parquet", files.pixels(4, 8, 8), files.cycle(4, 2))
    files.write_parquet(tmp_path / "test-0.parquet", files.pixels(2, 8, 8), np.array([-1, -1]))
    with pytest.raises(DataError, match="keeps its labels secret"):
        check(parquet.read(tmp_path))


def test_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "train-0.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match=r"train-0\.parquet: not a parquet file"):
        parquet.read(tmp_path)


# --- npz:


@pytest.mark.parametrize("axes", [None, (0, 2, 3, 1), (0, 1, 2, 3)])
def test_npz_understands_three_image_layouts(tmp_path: Path, axes: tuple[int, ...] | None) -> None:
    images = files.pixels(6, 3, 8, 8) if axes else files.pixels(6, 1, 8, 8)
    stored = images.transpose(axes) if axes else images[:, 0]
    path = files.write_npz(tmp_path / "a.npz", x_train=stored, y_train=files.cycle(6, 2))
    assert np.array_equal(part(npz.read(path), "train")[0], images)


def test_npz_floats_are_rounded_to_bytes_and_noted(tmp_path: Path) -> None:
    images = files.pixels(6, 8, 8)
    path = files.write_npz(tmp_path / "a.npz", x_train=images / 255, y_train=files.cycle(6, 2))
    raw = npz.read(path)
    assert np.array_equal(part(raw, "train")[0][:, 0], images) and "rounded to 8 bits" in raw.notes[0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x_train": files.pixels(6, 8, 8) * 1.0},
            r"x_train holds floats from 0 to \d+; pixels are floats in \[0, 1\]",
        ),
        ({"x_train": np.full((6, 8, 8), np.nan)}, r"x_train holds values that are no finite numbers"),
        ({"x_train": np.full((6, 8, 8), 256, dtype=np.int32)}, "x_train holds integers from 256 to 256"),
        ({"x_train": files.pixels(6, 8, 8) * 1j}, "x_train is complex128"),
        ({"x_train": files.pixels(6, 64)}, r"x_train has shape \[6, 64\]"),
        ({"y_train": np.linspace(0, 1, 6)}, "y_train is float64"),
        ({"x_test": files.pixels(2, 8, 8)}, "needs both x_test and y_test"),
        ({"y_train": np.array([{}] * 6, dtype=object)}, "y_train cannot be read"),
    ],
)
def test_npz_of_another_form_is_refused(tmp_path: Path, arrays: dict[str, files.Array], message: str) -> None:
    path = files.write_npz(
        tmp_path / "a.npz", **{"x_train": files.pixels(6, 8, 8), "y_train": files.cycle(6, 2), **arrays}
    )
    with pytest.raises(DataError, match=message):
        npz.read(path)


def test_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"not an \.npz archive"):
        npz.read(tmp_path / "a.npz")
    shutil.copy(files.write_npz(tmp_path / "b.npz"), tmp_path / "c.npz")
    assert len(npz.read(tmp_path / "c.npz").train_labels) == 30


# --- what every reader's result must satisfy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels": files.cycle(5, 2)}, "6 images but 5 labels"),
        ({"train_labels": files.cycle(6, 3)}, r"labels must be in 0\.\.1"),
        ({"train_images": files.pixels(6, 2, 8, 8)}, "1 or 3 channels"),
        ({"train_images": files.pixels(6, 1, 8, 9)}, "must be square"),
        ({"test_images": files.pixels(2, 1, 9, 9), "test_labels": files.cycle(2, 2)}, "test images have shape"),
        ({"class_names": ("a", "a")}, "same name"),
    ],
)
def test_unusable_data_set_is_refused(change: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {
        "train_images": files.pixels(6, 1, 8, 8),
        "train_labels": files.cycle(6, 2),
        "class_names": ("a", "b"),
    }
    with pytest.raises(DataError, match=message):
        check(RawDataset(**{**fields, **change}))
