"""No part, file or folder of a data set is left out in silence, and no part is taken for a class."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddbench.core.errors import DataError
from ddbench.data.prepared import sources
from ddbench.data.prepared.prepare import prepare
from ddbench.data.prepared.sources import parse_source
from ddbench.data.readers import cifar, digits_mnist_svhn, folder, npz, parquet
from ddbench.data.readers.parts import part_of
from ddbench.data.readers.raw import RawDataset
from ddbench.data.readers.walk import shown
from tests.unit.data import data_files as files


def sizes(raw: RawDataset) -> dict[str, int]:
    return {str(part): len(labels) for part, (_, labels) in raw.parts().items()}


# --- names of parts


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *(
            (name, "train")
            for name in ("Train", "TRAINING", "seg_train", "training_set", "trainset", "Train Data", "tRaIn")
        ),
        *((name, "test") for name in ("Test", "testing", "test-set", "eval", "Evaluation", "TestImages", "seg_test")),
        *((name, "val") for name in ("valid", "Validation", "dev", "val_set", "ValSet", "validation_images")),
        *((name, None) for name in ("cat", "trainer", "cat_test", "train_test", "testudo", "contest", "valley")),
    ],
)
def test_usual_words_in_any_case_are_parts_and_other_words_are_not(name: str, part: str | None) -> None:
    assert part_of(name) == part


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"),
        ("training_set", "test_set"),
        ("seg_train", "seg_test"),
        ("TRAINING", "TESTING"),
        ("train", "eval"),
    ],
)
def test_parts_under_usual_names_are_read_as_parts(tmp_path: Path, train: str, test: str) -> None:
    files.write_folder(tmp_path / train, 5)
    files.write_folder(tmp_path / test, 2)
    raw = folder.read(tmp_path)
    assert raw.class_names == ("cat", "dog") and sizes(raw) == {"train": 10, "test": 4}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (("train", "Test", "testing"), r"Test/ and testing/ both mean test"),
        (("train", "holdout"), r"holdout/ holds folders called like classes of train/ \(cat, dog\)"),
        (("train", "cats_test"), r"cats_test/ beside train/ holds class folders: call it test/"),
        (("Entrenamiento", "Prueba"), r"Entrenamiento/ and Prueba/ hold folders of the same names \(cat, dog\)"),
        (("fold_a", "fold_b"), r"hold folders of the same names"),
        (("images",), r"holds the single folder images/ with 2 folders: name that one"),
    ],
)
def test_folders_that_look_like_parts_and_are_not_understood_are_refused(
    tmp_path: Path, made: tuple[str, ...], message: str
) -> None:
    for name in made:
        files.write_folder(tmp_path / name, 3)
    with pytest.raises(DataError, match=message):
        folder.read(tmp_path)


def test_parts_inside_classes_and_parts_as_suffixes_of_classes_are_refused(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "a", 2, ("cat/train", "cat/test", "dog/train", "dog/test"))
    with pytest.raises(DataError, match="parts belong above classes"):
        folder.read(tmp_path / "a")
    files.write_folder(tmp_path / "b", 2, ("cat_train", "cat_test", "dog_train", "dog_test"))
    with pytest.raises(DataError, match="look like parts, not like classes"):
        folder.read(tmp_path / "b")


def test_test_images_without_labels_are_refused_and_other_images_beside_the_parts_are_counted(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "train", 5)
    files.write_folder(tmp_path, 3, ("extra",))
    assert folder.read(tmp_path).notes == ("folders not read: extra/ (3 images)",)
    files.write_folder(tmp_path, 3, ("Test",))
    with pytest.raises(
        DataError, match=r"Test/ beside train/ holds 3 images but no class folders, so they have no labels"
    ):
        folder.read(tmp_path)


def test_a_test_part_in_an_archive_is_refused(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "train", 5)
    (tmp_path / "test_set.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"test_set\.zip is not unpacked"):
        folder.read(tmp_path)


def test_words_that_not_everybody_reads_alike_are_said(tmp_path: Path) -> None:
    for name in ("train", "dev", "eval"):
        files.write_folder(tmp_path / name, 2)
    notes = folder.read(tmp_path).notes
    assert notes == ("dev/ was read as the validation part", "eval/ was read as the test part")


@pytest.mark.parametrize(
    ("x", "y"),
    [("X_test", "Y_test"), ("test_images", "test_labels"), ("testX", "testY"), ("xtest", "ytest"), ("x_eval", "y_eval"),
     ("TEST_DATA", "TEST_TARGETS"), ("test_set_x", "test_set_y")],
)  # fmt: skip
def test_arrays_of_test_are_read_under_the_usual_names(tmp_path: Path, x: str, y: str) -> None:
    more = {x: files.pixels(6, 8, 8, seed=9), y: files.cycle(6, 3)}
    raw = npz.read(files.write_npz(tmp_path / "a.npz", **more))
    assert sizes(raw) == {"train": 30, "test": 6} and raw.notes == ()
    assert np.array_equal(raw.test_images[:, 0], more[x])  # type: ignore[index]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"test_features": np.zeros(3)}, "test_features looks like a part of test, which is not read"),
        ({"X_test": np.zeros((3, 8, 8))}, "needs both x_test and y_test"),
        ({"x_holdout": np.zeros(3), "y_holdout": np.zeros(3)}, "x_holdout and y_holdout look like images and labels"),
        (
            {"x_val": files.pixels(3, 8, 8), "y_val": files.cycle(3, 3), "x_valid": files.pixels(3, 8, 8)},
            "both mean val",
        ),
    ],
)
def test_arrays_that_look_like_a_part_are_never_ignored(
    tmp_path: Path, more: dict[str, files.Array], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        npz.read(files.write_npz(tmp_path / "a.npz", **more))


def test_other_arrays_are_named(tmp_path: Path) -> None:
    raw = npz.read(files.write_npz(tmp_path / "a.npz", x_extra=np.zeros(3), class_names=np.array(["a", "b"])))
    assert raw.notes == ("arrays not read: class_names, x_extra",)


# --- files, links, pipes


def test_files_that_are_not_read_are_counted_by_suffix(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 2)
    for i in range(3):
        (tmp_path / f"cat/{i}.jfif").write_bytes(files.encoded(files.pixels(8, 8, 3, seed=i), "JPEG"))
        (tmp_path / f"cat/{i}.heic").write_bytes(b"")
        (tmp_path / f"dog/{i}").write_bytes(b"")
    for quiet in ("Thumbs.db", "cat/.DS_Store", "dog/labels.txt", "README.md"):
        (tmp_path / quiet).write_bytes(b"")
    (tmp_path / "loose.png").write_bytes(b"")
    raw = folder.read(tmp_path)
    assert len(raw.train_labels) == 7
    assert raw.notes == ("6 files not read: 3 without suffix, 3 .heic", "1 image outside class folders not read")


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "@eaDir", ".AppleDouble", "__MACOSX", "deep/.thumbnails"])
def test_nothing_below_a_hidden_name_is_read_and_its_images_are_counted(tmp_path: Path, name: str) -> None:
    files.write_folder(tmp_path, 2)
    files.write_folder(tmp_path / "cat" / name, 3, ("deeper",))
    raw = folder.read(tmp_path)
    assert len(raw.train_labels) == 4
    assert raw.notes == (f"3 images below hidden names not read: {Path(name).name}",)


def test_linked_folders_are_read_and_links_back_are_not(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "set", 2)
    files.write_folder(tmp_path / "pool", 3, ("tabby", "siamese"), size=8)
    for target, link in (
        ("../../pool/tabby", "more"), ("..", "back"), (".", "self"), ("../../pool/tabby", "more-again"),
        ("../dog", "sibling"), ("circle", "circle"), ("/", "root"), ("../../pool", "around"),
    ):  # fmt: skip
        (tmp_path / "set/cat" / link).symlink_to(target)
    raw = folder.read(tmp_path / "set")
    assert raw.train_labels.tolist() == [0] * 8 + [1] * 2
    inner, links, broken = raw.notes
    assert (
        inner == "images in folders inside class folders were read as that class: cat/ (around/siamese, around/tabby)"
    )
    assert links.startswith("6 links to folders above, or to what is read anyway, not followed")
    assert broken.startswith("1 link to nowhere not read") and broken.endswith("circle")


def test_a_link_may_bring_the_same_images_to_two_classes(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "set", 1)
    files.write_folder(tmp_path / "pool", 3, ("x",))
    for name in ("cat", "dog"):
        (tmp_path / "set" / name / "more").symlink_to(tmp_path / "pool/x")
    assert len(folder.read(tmp_path / "set").train_labels) == 8


def test_pipes_are_named_and_never_opened(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 2)
    os.mkfifo(tmp_path / "cat/zz.png")
    assert "named pipe" in folder.read(tmp_path).notes[0]
    assert sources.fingerprint(parse_source(f"mine=folder:{tmp_path}", files.known()), tmp_path)
    with pytest.raises(DataError, match="neither a file nor a folder"):
        sources.fingerprint(parse_source(f"mine=npz:{tmp_path}/cat/zz.png", files.known()), tmp_path / "cat/zz.png")


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_folder(tmp_path, 2)
    real = os.scandir

    def locked(path: Path) -> object:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", locked)
    for attempt in (
        folder.read,
        lambda path: sources.fingerprint(parse_source(f"mine=folder:{path}", files.known()), path),
    ):
        with pytest.raises(DataError, match=r"dog: cannot be listed \(Permission denied\)"):
            attempt(tmp_path)


def test_names_that_are_not_text(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 2)
    odd = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "cat" / odd).write_bytes(files.encoded(files.pixels(8, 8, 3, seed=5)))
    assert len(folder.read(tmp_path).train_labels) == 5
    assert sources.fingerprint(parse_source(f"mine=folder:{tmp_path}", files.known()), tmp_path)
    assert shown(odd) == r"caf\xe9.png"
    (tmp_path / "cat" / odd).rename(tmp_path / os.fsdecode(b"caf\xe9"))
    (tmp_path / os.fsdecode(b"caf\xe9")).unlink()
    files.write_folder(tmp_path, 1, (os.fsdecode(b"caf\xe9"),))
    with pytest.raises(DataError, match=r"caf\\xe9 has a name that is not UTF-8: rename it"):
        folder.read(tmp_path)


def test_all_unreadable_images_are_named_at_once(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 3, size=64)
    for name in ("cat/000.png", "dog/002.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2 images cannot be read: .*cat/000\.png: not a .*dog/002\.png: not a"):
        folder.read(tmp_path)
    (tmp_path / "dog/000.png").write_bytes((tmp_path / "dog/000.png").read_bytes()[:2000])
    (tmp_path / "cat/001.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    both = r"4 images .*cat/000.*; .*cat/001\.png: a pointer of Git LFS.*`git lfs pull`.*; .*dog/000\.png: damaged.*dog/002"
    with pytest.raises(DataError, match=both):
        folder.read(tmp_path)
    files.write_folder(tmp_path / "b", 3, size=64)
    for name in ("cat/000.png", "dog/002.png"):
        victim = tmp_path / "b" / name
        victim.write_bytes(victim.read_bytes()[:2000])
    stream = folder.read(tmp_path / "b").parts()["train"][0]
    with pytest.raises(DataError, match=r"2 images cannot be read: .*cat/000\.png: damaged.*dog/002\.png: damaged"):
        list(stream.chunks())


def unreadable_parquet(folder: Path, bad: dict[tuple[str, int], str]) -> None:
    """Files of train and test with eight images each, of which some are cut, no image, or left out."""
    pyarrow, parquet_files = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    files.write_folder(folder / "made", 8, ("cat",), size=64)
    for part in ("train", "test"):
        rows: list[bytes | None] = [path.read_bytes() for path in sorted((folder / "made/cat").iterdir())]
        for (of, row), what in bad.items():
            if of == part:
                rows[row] = {"cut": (rows[row] or b"")[:2000], "no image": b"no image"}.get(what)
        images = [{"bytes": row, "path": None} for row in rows]
        table = pyarrow.table({"image": images, "label": [i % 2 for i in range(8)]})
        parquet_files.write_table(table, folder / f"{part}-00000-of-00001.parquet")


@pytest.mark.parametrize(
    "bad",
    [
        {("train", 1): "cut", ("train", 5): "cut"},
        {("train", 1): "cut", ("test", 3): "cut"},
        {("train", 0): "no image", ("train", 2): "cut", ("test", 7): "no image"},
        {("train", 3): "no image", ("train", 1): "cut", ("test", 0): "cut", ("test", 5): "left out"},
    ],
)
def test_all_unreadable_rows_are_named_at_once(
    tmp_path: Path, fresh_home: Path, bad: dict[tuple[str, int], str]
) -> None:
    unreadable_parquet(tmp_path, bad)
    with pytest.raises(DataError) as raised:
        prepare(parse_source(f"my=hf:{tmp_path}", files.known()))
    told = str(raised.value)
    assert f"{len(bad)} images cannot be read: " in told
    words = {"cut": "damaged image", "no image": "not a readable image", "left out": "the image is not embedded"}
    for (part, row), what in bad.items():
        assert f"{part}-00000-of-00001.parquet, row {row}: {words[what]}" in told


def test_damaged_images_of_all_parts_are_named_at_once(tmp_path: Path, fresh_home: Path) -> None:
    for part in ("train", "test"):
        files.write_folder(tmp_path / "set" / part, 4, size=64)
    for name in ("train/cat/000.png", "test/dog/002.png"):
        victim = tmp_path / "set" / name
        victim.write_bytes(victim.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"2 images cannot be read: .*train/cat/000\.png: dam.*test/dog/002\.png: dam"):
        prepare(parse_source(f"my=folder:{tmp_path / 'set'}", files.known()))


@pytest.mark.parametrize(("mode", "value"), [("P", 0), ("L", 0), ("RGB", (10, 10, 10)), ("LA", None), ("RGBA", None)])
def test_every_form_of_transparency_is_noted(tmp_path: Path, mode: str, value: object) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        pixels = files.pixels(8, 8, 3)
        pixels[0, 0] = 10
        image = Image.fromarray(pixels).convert("L" if mode == "L" else "RGB").convert(mode)
        clear = value if value is None or mode == "RGB" else image.getpixel((0, 0))
        if value is None:
            image.putalpha(Image.fromarray(np.where(pixels[..., 0] == 10, 254, 255).astype(np.uint8)))
        image.save(tmp_path / name / "1.png", **({} if clear is None else {"transparency": clear}))
    assert folder.read(tmp_path).notes == ("2 of 2 images have transparency, which was composed on white",)
    folder_of_one = tmp_path / "cat/1.png"
    image = Image.fromarray(np.full((8, 8, 3), 200, dtype=np.uint8)).convert(mode)
    image.save(folder_of_one, **({} if value is None else {"transparency": 0 if mode == "L" else value}))
    if mode != "P":  # whose colours are numbered as they occur
        assert folder.read(tmp_path).notes[-1:] == ("1 of 2 images has transparency, which was composed on white",)


def test_further_frames_are_noted(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 1)
    frames = [Image.fromarray(files.pixels(8, 8, 3, seed=i)) for i in range(3)]
    frames[0].save(tmp_path / "cat/a.gif", save_all=True, append_images=frames[1:])
    assert folder.read(tmp_path).notes == ("1 of 3 images has several frames or pages; the first was read",)


# --- numbers of classes


def test_an_order_that_is_not_that_of_the_numbers_is_said(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "a", 1, tuple(map(str, range(11))))
    files.write_folder(tmp_path / "b", 1, tuple(f"class_{i}" for i in range(11)))
    files.write_folder(tmp_path / "c", 1, tuple(f"{i:02d}" for i in range(11)))
    assert folder.read(tmp_path / "a").notes[0].endswith("not by number: class 2 is folder 10")
    assert folder.read(tmp_path / "b").notes[0].endswith("class 2 is folder class_10")
    assert folder.read(tmp_path / "c").notes == ()
    files.write_folder(tmp_path / "c", 1, ("2",))
    with pytest.raises(DataError, match="class folders 02 and 2 are the same number"):
        folder.read(tmp_path / "c")


@pytest.mark.parametrize("kind", ["npz", "parquet", "idx"])
def test_labels_that_count_from_one_are_shifted_with_a_word(tmp_path: Path, kind: str) -> None:
    images, labels = files.pixels(12, 8, 8), files.cycle(12, 3) + 1
    if kind == "npz":
        raw = npz.read(files.write_npz(tmp_path / "a.npz", x_train=images, y_train=labels))
    elif kind == "parquet":
        files.write_parquet(tmp_path / "train-0.parquet", images, labels)
        raw = parquet.read(tmp_path)
    else:
        for part in ("train", "test"):
            files.write_idx(tmp_path / f"emnist-letters-{part}-images-idx3-ubyte.gz", images)
            files.write_idx(tmp_path / f"emnist-letters-{part}-labels-idx1-ubyte.gz", labels.astype(np.uint8))
        raw = digits_mnist_svhn.idx(tmp_path)
    assert np.array_equal(raw.train_labels, labels - 1) and raw.class_names == ("1", "2", "3")
    assert "counts from 1 to 3; labels count from 0" in raw.notes[0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 2, 5] * 4), r"no image of y_train has label 1, 3 or 4"),
        (np.array([2, 3, 4] * 4), r"no image of y_train has label 0 or 1"),
        (np.array([-1, 0, 1] * 4), r"labels from -1 to 1; labels count from 0: add 1 to all"),
        (np.array([0, 1, 2**63] * 4, dtype=np.uint64), r"y_train holds 9223372036854775808"),
        (np.array([0, 1, 10**12] * 4), r"no image of y_train has label 2, 3, 4, 5, 6 …"),
        (np.eye(3)[[0, 1, 2] * 4], r"one-hot labels are not read"),
    ],
)
def test_labels_with_gaps_are_refused_in_words_that_help(tmp_path: Path, labels: files.Array, message: str) -> None:
    with pytest.raises(DataError, match=message):
        npz.read(files.write_npz(tmp_path / "a.npz", x_train=files.pixels(12, 8, 8), y_train=labels))


def test_a_test_part_that_counts_from_zero_is_not_shifted(tmp_path: Path) -> None:
    path = files.write_npz(
        tmp_path / "a.npz", y_train=files.cycle(30, 3) + 1, x_test=files.pixels(6, 8, 8), y_test=files.cycle(6, 3)
    )
    with pytest.raises(DataError, match=r"has label 0; .*\(y_test has label 0\)"):
        npz.read(path)


@pytest.mark.parametrize("kind", ["int64", "bool", "uint16"])
def test_whole_numbers_are_pixels_and_whole_floats_are_labels(tmp_path: Path, kind: str) -> None:
    images = files.pixels(12, 8, 8) // (128 if kind == "bool" else 1)
    labels = files.cycle(12, 3)
    raw = npz.read(files.write_npz(tmp_path / "a.npz", x_train=images.astype(kind), y_train=labels.astype(float)))
    assert np.array_equal(raw.train_images[:, 0], images * (255 if kind == "bool" else 1))  # type: ignore[index]
    assert np.array_equal(raw.train_labels, labels)


# --- shards


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train-00000-of-00003", "train-00002-of-00003"), r"train-00001-of-00003\.parquet missing"),
        (("train-00000-of-00001", "test-00001-of-00002"), r"test-00000-of-00002\.parquet missing"),
        (("train-0", "train-2"), r"train-1\.parquet missing"),
        (("train/0000", "train/0002"), r"0001\.parquet missing"),
        (("train-00000-of-00002", "train-00001-of-00002", "train-00000-of-00001"), "of two downloads"),
        (("a/train-0", "b/train-0"), r"several data sets \(a, b\)"),
        (("a/train-0", "b/test-0"), r"b/test-0\.parquet lies in another folder"),
    ],
)
def test_missing_shards_and_two_downloads_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        files.write_parquet(tmp_path / f"{name}.parquet", files.pixels(6, 8, 8), files.cycle(6, 2))
    with pytest.raises(DataError, match=message):
        parquet.read(tmp_path)


@pytest.mark.parametrize("beside", ["test-00000-of-00001.arrow", "test.zip", "train-00001-of-00002.parquet.incomplete"])
def test_parts_in_other_files_and_unfinished_downloads_are_refused(tmp_path: Path, beside: str) -> None:
    files.write_parquet(tmp_path / "train-0.parquet", files.pixels(6, 8, 8), files.cycle(6, 2))
    (tmp_path / beside).write_bytes(b"")
    with pytest.raises(DataError, match=r"looks like a part of test|is not complete"):
        parquet.read(tmp_path)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train-00000-of-00001", "Test-00000-of-00001"),
        ("plain_text/train-00000-of-00001", "plain_text/test-00000-of-00001"),
        ("default/train/0000", "default/test/0000"),
        ("training", "eval"),
        ("cifar-train", "cifar-test"),
    ],
)
def test_parts_of_parquet_are_found_by_any_usual_name(tmp_path: Path, train: str, test: str) -> None:
    for name, count in ((train, 6), (test, 4), ("extra-0", 2)):
        files.write_parquet(tmp_path / f"{name}.parquet", files.pixels(count, 8, 8), files.cycle(count, 2))
    raw = parquet.read(tmp_path)
    assert sizes(raw) == {"train": 6, "test": 4} and raw.notes == ("1 parquet file not read: extra-0.parquet",)


def test_one_of_several_shards_is_no_data_set(tmp_path: Path) -> None:
    files.write_parquet(tmp_path / "train-00000-of-00002.parquet", files.pixels(6, 8, 8), files.cycle(6, 2))
    with pytest.raises(DataError, match="one of 2 shards"):
        parquet.read(tmp_path / "train-00000-of-00002.parquet")


# --- what was found later


@pytest.mark.parametrize("folds", [("fold_1", "fold_2"), ("siteA", "siteB")])
def test_one_part_in_each_of_several_folders_is_no_class(tmp_path: Path, folds: tuple[str, str]) -> None:
    for fold in folds:
        files.write_folder(tmp_path / fold / "train", 2)
    with pytest.raises(DataError, match="parts belong above classes"):
        folder.read(tmp_path)


def test_images_in_a_folder_of_a_class_that_is_called_like_a_part_are_of_the_class(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        files.write_folder(tmp_path / name, 3, ("train",))
    assert sizes(folder.read(tmp_path)) == {"train": 6}


def test_files_beside_the_parts_that_are_not_read_are_counted(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "train", 5)
    for name in ("extra", "Testing"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.avif").write_bytes(b"")
        (tmp_path / name / "readme.txt").write_bytes(b"")
        if name == "extra":
            assert folder.read(tmp_path).notes == ("1 file not read: 1 .avif",)
    with pytest.raises(DataError, match=r"Testing/ beside train/ holds 1 file but no class folders"):
        folder.read(tmp_path)


@pytest.mark.parametrize("name", ["test.npz", "Validation.parquet", "test_images.h5"])
def test_a_file_that_may_be_a_part_beside_folders_is_refused(tmp_path: Path, name: str) -> None:
    files.write_folder(tmp_path / "train", 5)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"looks like a part of (test|val), and is no folder of classes"):
        folder.read(tmp_path)


def test_classes_without_an_image_that_is_read_are_named_with_what_they_hold(tmp_path: Path) -> None:
    files.write_folder(tmp_path, 5)
    (tmp_path / "fox").mkdir()
    with pytest.raises(DataError, match=r"fox/ holds no image that is read: every folder here is a class"):
        folder.read(tmp_path)
    (tmp_path / "fox" / "0.heic").write_bytes(b"")
    with pytest.raises(DataError, match=r"fox/ holds no image that is read \(1 file not read: 1 \.heic\)"):
        folder.read(tmp_path)


@pytest.mark.parametrize("second", ["train-00001-of-00002", "test-00000-of-00001"])
@pytest.mark.parametrize(("names", "what"), [(["dog", "cat"], "'dog'"), (["cat"], "no class")])
def test_files_that_number_the_classes_otherwise_are_refused(
    tmp_path: Path, second: str, names: list[str], what: str
) -> None:
    first = "train-00000-of-00002" if second.startswith("train") else "train-00000-of-00001"
    for name, called in ((first, ["cat", "dog"]), (second, names)):
        files.write_parquet(tmp_path / f"{name}.parquet", files.pixels(6, 8, 8), files.cycle(6, 2), names=called)
    with pytest.raises(DataError, match=rf"{second}\.parquet: label \d is {what}, in .* number the classes alike"):
        parquet.read(tmp_path)


def test_the_beginning_of_a_test_part_is_refused(tmp_path: Path) -> None:
    for place in ("default/train", "default/partial-test"):
        files.write_parquet(tmp_path / place / "0000.parquet", files.pixels(6, 8, 8), files.cycle(6, 2))
    with pytest.raises(DataError, match=r"partial-test/0000\.parquet is only the beginning of test"):
        parquet.read(tmp_path)


def test_names_of_shards_in_capital_letters_are_understood(tmp_path: Path) -> None:
    for name in ("TRAIN-00000-OF-00001", "TEST-00000-OF-00001"):
        files.write_parquet(tmp_path / f"{name}.PARQUET", files.pixels(6, 8, 8), files.cycle(6, 2))
    assert sizes(parquet.read(tmp_path)) == {"train": 6, "test": 6}
    (tmp_path / "TEST-00000-OF-00001.PARQUET").rename(tmp_path / "TEST-00001-OF-00002.PARQUET")
    with pytest.raises(DataError, match="missing: finish the download"):
        parquet.read(tmp_path)


def test_batches_that_such_a_data_set_does_not_have_are_named(tmp_path: Path) -> None:
    files.write_members(tmp_path, files.cifar10_members())
    place = tmp_path / "cifar-10-batches-py"
    assert cifar.either(tmp_path).notes == ()
    for name in ("data_batch_6", "val_batch"):
        (place / name).write_bytes((place / "test_batch").read_bytes())
    assert cifar.either(tmp_path).notes == ("batches not read: data_batch_6, val_batch",)


def test_an_empty_folder_of_a_part_is_named(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "train", 5)
    (tmp_path / "Test").mkdir()
    (tmp_path / "other").mkdir()
    assert folder.read(tmp_path).notes == ("empty, so not read: Test/",)
