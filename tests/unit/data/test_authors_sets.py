"""Condensed sets in the files of their authors, and as other programs save them again: read, joined, or refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddbench.core.errors import DataError
from ddbench.core.plugin.loader import installed
from ddbench.core.specs import DatasetInfo
from ddbench.core.store import artifacts
from ddbench.data.exchange.files import Flags, Source, sources_of
from ddbench.data.exchange.imported import open_set
from ddbench.data.exchange.importer import Importer, Understood
from ddbench.data.exchange.labels import read_labels
from ddbench.data.space.split import open_splits

MEANSTD, PIXELS, NONE = Flags(preprocess="meanstd"), Flags(range="01"), Flags()


@pytest.fixture(scope="module")
def train():
    found = Importer(installed(), "digits").data("meanstd")
    return open_splits(found.spec, device="cpu")[0]


@pytest.fixture(scope="module")
def toy(train):
    """Three real images of each class, class by class: as networks see them, as pixels in [0, 1], their labels."""
    index = torch.cat([train.of_class(c)[4:7] for c in range(10)])
    return train.images(index).clone(), train.pixels(index), train.labels[index].clone()


def source(*paths: Path) -> Source:
    (found,) = sources_of(paths)
    return found


def take(path: Path, flags: Flags = NONE) -> Understood:
    return Importer(installed(), "digits").take(source(path), flags)


def stored(found: Understood, train: Any):
    key = Importer(installed(), "digits")._spec(found.preprocess, found.sources[0])[1]
    return open_set(artifacts.verify("set", key), train)[0]


def saved(folder: Path, **tensors: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensor in tensors.items():
        torch.save(tensor, folder / f"{name}.pt")
    return folder


def info(*class_names: str) -> DatasetInfo:
    digits = Importer(installed(), "digits").data("meanstd").info
    return replace(digits, name="mine", class_names=class_names, classes=len(class_names))


# --------------------------------------------------------------------------------------------------------- torch files


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("name", ["data.pt", "data_best.pt", "synthetic.pth"])
def test_images_and_labels_in_one_list_are_a_set(tmp_path, train, toy, kind, name):
    _, pixels, labels = toy
    path = tmp_path / "ipc3" / name
    path.parent.mkdir()
    torch.save(kind([pixels.requires_grad_(False), labels]), path)
    for given in (path, path.parent):
        found = take(given, PIXELS)
        assert (found.layout, found.n, found.ipc) == ("pair", 30, 3)
        assert torch.equal(stored(found, train).labels, labels)
        assert torch.allclose(stored(found, train).images, train.preprocessed(pixels), atol=1e-5)
    assert "several in one" in found.warnings[0]
    with pytest.raises(DataError, match="--range 01"):
        take(path)


def test_a_folder_of_several_such_files_is_asked_which(tmp_path, toy):
    _, pixels, labels = toy
    folder = saved(tmp_path / "dream", data_0=[pixels, labels], data_1200=[pixels, labels])
    with pytest.raises(DataError, match=r"data_0\.pt, data_1200\.pt: name the one"):
        take(folder, PIXELS)


@pytest.mark.parametrize("content", [[1, 2], ["a", torch.ones(3)], [], [torch.ones(1)] * 3, {"data": torch.ones(2)}])
def test_other_lists_are_refused_with_what_they_hold(tmp_path, content):
    folder = saved(tmp_path / "odd", data=content)
    with pytest.raises(DataError, match=r"data\.pt: holds a .*expected 'data'"):
        take(folder)


@pytest.mark.parametrize("soft", [True, False])
def test_a_submission_to_dd_ranking_is_three_files_without_a_tag(tmp_path, train, toy, soft):
    images, _, labels = toy
    given = torch.nn.functional.one_hot(labels, 10) * 5.0 - 2 if soft else labels
    folder = saved(tmp_path / "team_a", images=images, labels=given, lr=torch.tensor([0.03]))
    for place in (folder, folder / "images.pt", folder / "lr.pt"):
        found = take(place, MEANSTD)
        made = stored(found, train)
        assert (found.layout, source(place).label) == ("ddranking", "team_a")
        assert made.recipe.lr == pytest.approx(0.03)
        assert made.label_space == ("logits" if soft else "hard")
        assert torch.equal(made.images, images)
    with pytest.raises(DataError, match="--preprocess zca-kornia says that the run whitened them"):
        take(folder)


def test_a_file_called_images_without_labels_beside_it_is_read_alone(tmp_path, toy):
    _, pixels, labels = toy
    folder = saved(tmp_path / "one", images={"images": pixels, "labels": labels})
    assert take(folder / "images.pt", PIXELS).layout == "tensors"


@pytest.mark.parametrize(
    ("word", "first", "count"), [("best_", 0, 12), ("best_", 1, 3), ("part", 0, 2), ("chunk_", 0, 11)]
)
def test_chunks_are_joined_by_number_whichever_is_named(tmp_path, train, toy, word, first, count):
    images, _, labels = toy
    folder = tmp_path / "mtt50"
    edges = np.linspace(0, 30, count + 1).astype(int)
    for i, (start, end) in enumerate(pairwise(edges), start=first):
        saved(folder, **{f"images_{word}{i}": images[start:end], f"labels_{word}{i}": labels[start:end]})
    saved(folder, **{f"lr_{word.rstrip('_')}": torch.tensor(0.02)})
    (whole,) = sources_of([folder, *sorted(folder.glob("images_*.pt")), folder / f"labels_{word}{first}.pt"])
    found = Importer(installed(), "digits").take(whole, MEANSTD)
    made = stored(found, train)
    assert torch.equal(made.images, images) and torch.equal(made.labels, labels)
    assert made.recipe.lr == pytest.approx(0.02)
    assert f"the set was joined from {count} files in the order of their numbers" in found.found


def test_missing_chunks_and_chunks_that_do_not_fit_are_refused(tmp_path, toy):
    images, _, labels = toy
    folder = tmp_path / "cut"
    for i in (0, 1, 3):
        saved(folder, **{f"images_best_{i}": images[i : i + 2], f"labels_best_{i}": labels[i : i + 2]})
    with pytest.raises(DataError, match=r"of 4 files of images number 2 is missing"):
        take(folder, MEANSTD)
    with pytest.raises(DataError, match="number 2 is missing"):
        take(folder / "images_best_1.pt", MEANSTD)
    saved(folder, images_best_2=images[:2, :, :4], labels_best_2=labels[:2])
    with pytest.raises(DataError, match=r"images_best_2\.pt: .*no parts of one set"):
        take(folder, MEANSTD)
    saved(
        folder,
        images_best_2=images[:2],
        labels_best_2=labels[:2],
        lr_best_0=0.1,
        lr_best_1=0.2,
        lr_best_2=0.1,
        lr_best_3=0.1,
    )
    with pytest.raises(DataError, match="learning rates differ"):
        take(folder, MEANSTD)


def test_snapshots_of_several_iterations_are_no_chunks(tmp_path, toy):
    images, _, labels = toy
    folder = tmp_path / "run"
    for tag in ("0", "500", "1000"):
        saved(folder, **{f"images_{tag}": images, f"labels_{tag}": labels})
    with pytest.raises(DataError, match="name the one to read"):
        take(folder, MEANSTD)
    assert take(folder / "images_500.pt", MEANSTD).n == 30


# ------------------------------------------------------------------------------------------------------- other numbers


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.uint16, torch.float64])
def test_pixels_that_count_to_255_are_read_in_any_type(tmp_path, train, toy, dtype):
    _, pixels, labels = toy
    eight = (pixels * 255).round().to(torch.uint8)
    path = tmp_path / "set.pt"
    torch.save({"images": eight.to(dtype), "labels": labels}, path)
    found = take(path, Flags(range="255") if dtype.is_floating_point else NONE)
    assert torch.allclose(stored(found, train).images, train.preprocessed(eight / 255.0), atol=1e-5)


def test_true_and_false_are_255_and_0(tmp_path, train, toy):
    _, pixels, labels = toy
    np.savez(tmp_path / "set.npz", images=(pixels > 0.5).numpy(), labels=labels.numpy())
    found = take(tmp_path / "set.npz")
    assert torch.allclose(stored(found, train).images, train.preprocessed((pixels > 0.5).float()), atol=1e-5)
    assert any("true or false" in line for line in found.found)


@pytest.mark.parametrize(
    "dtype", ["uint64", "uint32", "uint16", "uint8", "int8", ">i4", "float32", "float16", "longdouble"]
)
@pytest.mark.parametrize("column", [False, True])
def test_labels_are_read_in_any_type_of_number(tmp_path, train, toy, dtype, column):
    _, pixels, labels = toy
    given = labels.numpy().astype(dtype)
    np.savez(tmp_path / "set.npz", images=pixels.numpy(), labels=given[:, None] if column else given)
    assert torch.equal(stored(take(tmp_path / "set.npz", PIXELS), train).labels, labels)


def test_unsigned_labels_of_torch_are_read_and_those_beyond_any_class_named(tmp_path, train, toy):
    _, pixels, labels = toy
    given = torch.from_numpy(labels.numpy().astype("uint64"))
    torch.save([pixels, given], tmp_path / "data.pt")
    assert torch.equal(stored(take(tmp_path / "data.pt", PIXELS), train).labels, labels)
    large = labels.numpy().astype("uint64")
    large[4] = 2**63 + 7
    np.savez(tmp_path / "large.npz", images=pixels.numpy(), labels=large)
    with pytest.raises(DataError, match="holds the number 9223372036854775815"):
        take(tmp_path / "large.npz", PIXELS)


def test_labels_from_one_are_refused_with_what_to_do(tmp_path, toy):
    _, pixels, labels = toy
    torch.save([pixels, labels + 1], tmp_path / "data.pt")
    with pytest.raises(DataError, match=r"labels from 1 to 10; digits has 0 … 9: .*subtract 1"):
        take(tmp_path / "data.pt", PIXELS)


@pytest.mark.parametrize(("labels", "said"), [(np.array(["cat"] * 30), "<U3"), (np.array([b"4"] * 30), "|S1")])
def test_labels_that_are_no_numbers_are_named_with_their_type(tmp_path, toy, labels, said):
    np.savez(tmp_path / "set.npz", images=toy[1].numpy(), labels=labels)
    with pytest.raises(DataError) as caught:
        take(tmp_path / "set.npz", PIXELS)
    assert f"labels is {said}[30]; expected numbers of classes" in str(caught.value)


@pytest.mark.parametrize("keys", [("image", "label"), ("images", "labels"), ("x", "y"), ("x_train", "y_train")])
def test_npz_of_kip_rfad_and_frepo_are_read_with_their_centred_labels(tmp_path, train, toy, keys):
    images, _, labels = toy
    centred = torch.nn.functional.one_hot(labels, 10).float() - 0.1
    path = tmp_path / "best.npz"
    np.savez(
        path, **{keys[0]: images.permute(0, 2, 3, 1).numpy(), keys[1]: centred.numpy(), "k": np.ones(3), "jit": 5e-3}
    )
    found = take(path, Flags(preprocess="meanstd", range="normalised", labels="centred"))
    assert found.centred == "unlearned"
    assert torch.equal(stored(found, train).labels, centred)
    with pytest.raises(DataError, match="--labels logits or centred"):
        take(path, Flags(preprocess="meanstd", range="normalised"))


# ---------------------------------------------------------------------------------------------------------- checkpoints

MAP, KEY = b"\x83", b"\xa6params\x82\xa7x_proto\xc7"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("checkpoint_500000", MAP + KEY),
        ("proto.msgpack", b"\xde\x00\x10\xa4step\x00"),
        ("state.flax", b"\xdf\x00\x00\x00\x20\xd9\x21" + b"k" * 33),
        ("checkpoint_3.5", MAP + KEY),
    ],
)
def test_checkpoints_of_flax_are_refused_by_name_with_what_to_write(tmp_path, name, content):
    path = tmp_path / "ckpt" / name
    path.parent.mkdir()
    path.write_bytes(content)
    for given in (path, path.parent):
        with pytest.raises(DataError, match=r"checkpoint of flax .*numpy\.savez") as caught:
            take(given)
        assert name in str(caught.value)


def test_a_folder_of_orbax_is_one_too_and_other_files_without_suffix_are_not(tmp_path):
    (tmp_path / "checkpoint_7").mkdir()
    (tmp_path / "checkpoint_7" / "_CHECKPOINT_METADATA").write_text("{}")
    with pytest.raises(DataError, match="checkpoint of flax"):
        take(tmp_path / "checkpoint_7")
    (tmp_path / "notes").write_text("nothing")
    with pytest.raises(DataError, match="cannot read files without suffix"):
        take(tmp_path / "notes")
    (tmp_path / "empty").touch()
    with pytest.raises(DataError, match="cannot read files without suffix"):
        take(tmp_path / "empty")


def test_all_files_that_cannot_be_read_are_named_at_once(tmp_path, toy):
    _, pixels, labels = toy
    good = saved(tmp_path / "good", data=[pixels, labels])
    with pytest.raises(DataError, match=r"2 of the files .*gone\.pt.*a\.mat"):
        (tmp_path / "a.mat").touch()
        sources_of([tmp_path / "gone.pt", good, tmp_path / "a.mat"])
    for name in ("broken.pt", "cut.npz"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 not all of it")
    sources = sources_of([tmp_path / "broken.pt", good, tmp_path / "cut.npz"])
    with pytest.raises(DataError, match=r"2 of the files .*broken\.pt.*cut\.npz"):
        Importer(installed(), "digits").take_all(sources, PIXELS)
    for name in ("3/a.png", "5/b.png"):
        place = tmp_path / "folder" / name
        place.parent.mkdir(parents=True)
        place.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"2 images cannot be read: .*a\.png.*b\.png"):
        take(tmp_path / "folder")


# -------------------------------------------------------------------------------------------------------------- folders


def pictures(folder: Path, *names: str, mode: str = "L", seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).convert(mode).save(place)
    return folder


@pytest.mark.parametrize("form", ["new{:03d}", "{:05d}", "class_{}", "c{}"])
def test_class_folders_by_number_are_said(tmp_path, form):
    names = [f"{form.format(c)}/i{c}.png" for c in (0, 2, 1)]
    folder = pictures(tmp_path / "sre2l", *names)
    table = read_labels(source(folder), info("cat", "dog", "fox"))
    assert dict(zip(table.names, table.labels.tolist(), strict=True)) == dict(zip(names, (0, 2, 1), strict=True))
    assert table.notes == (f"class folders were read by their numbers, from 0: {form.format(2)}/ is fox",)


def test_numbers_in_folders_mean_the_classes_that_are_called_by_them(tmp_path):
    names = tuple(sorted(map(str, range(12))))  # 0, 1, 10, 11, 2 …
    folder = pictures(tmp_path / "sre2l", "new002/a.jpg", "new010/b.jpg")
    table = read_labels(source(folder), info(*names))
    assert [names[label] for label in table.labels] == ["2", "10"]
    folder = pictures(tmp_path / "more", "00002/a.png", "00010/b.png")
    table = read_labels(source(folder), info(*(f"class {name}" for name in names)))
    assert [names[label] for label in table.labels] == ["2", "10"]


def test_ids_of_wordnet_are_no_numbers_of_classes(tmp_path):
    ids = ("n01443537", "n01629819", "n02124075")
    table = read_labels(source(pictures(tmp_path / "rded", "00001/a.png", "00002/b.png")), info(*ids))
    assert table.labels.tolist() == [1, 2]
    table = read_labels(source(pictures(tmp_path / "named", "n02124075/a.png")), info(*ids))
    assert table.labels.tolist() == [2]
    with pytest.raises(DataError, match="no class of mine"):
        read_labels(source(pictures(tmp_path / "other", "n02119789/a.png")), info(*ids))


@pytest.mark.parametrize("names", [("new000", "new003"), ("new000", "old001"), ("new001", "cat"), ("new1", "new01")])
def test_folders_that_are_no_numbers_of_classes_are_refused(tmp_path, names):
    folder = pictures(tmp_path / "odd", *(f"{name}/a.png" for name in names))
    with pytest.raises(DataError, match=r"no class of mine|are the same class"):
        read_labels(source(folder), info("cat", "dog", "fox"))


ROWS = [("1/a.png", 1), ("3/b.png", 3), ("7/c.png", 7)]


def table_of(folder: Path, between: str = ",", header: str = "file,label", slash: str = "/", end: str = "\n") -> str:
    lines = [f"{name.replace('/', slash)}{between}{label}" for name, label in ROWS]
    return end.join([header.replace(",", between), *lines]) + end


@pytest.mark.parametrize(
    ("encoding", "how"),
    [
        ("utf-8-sig", {"end": "\r\n"}),
        ("utf-8", {"slash": "\\"}),
        ("utf-8-sig", {"slash": "\\", "end": "\r\n", "between": ";"}),
        ("utf-16", {"between": "\t", "header": "File, Label "}),
        ("utf-8", {"slash": "/", "header": "FILE,LABEL"}),
    ],
)
def test_a_table_that_another_program_saved_says_the_same(tmp_path, encoding, how):
    folder = pictures(tmp_path / "edited", *(name for name, _ in ROWS))
    (folder / "labels.csv").write_bytes((table_of(folder, **how) + "\r\n").encode(encoding))
    table = read_labels(source(folder), info(*map(str, range(10))))
    assert list(zip(table.names, table.labels.tolist(), strict=True)) == ROWS


def test_a_table_may_call_classes_by_their_names(tmp_path):
    folder = pictures(tmp_path / "edited", "a/1.png", "a/2.png")
    (folder / "labels.csv").write_text("file,label\na/1.png,fox\na/2.png,cat\n")
    assert read_labels(source(folder), info("cat", "dog", "fox")).labels.tolist() == [2, 0]
    (folder / "labels.csv").write_text("file,label\na/1.png,fox\na/2.png,wolf\n")
    with pytest.raises(DataError, match=r"labels\.csv: .*'fox'"):
        read_labels(source(folder), info("cat", "dog", "fox"))


@pytest.mark.parametrize("text", ["", "\n", "file,label\n", "file\n1/a.png\n", "file,label\n1/a.png\n", "a;b\n1;2\n"])
def test_a_table_without_rows_or_columns_is_refused(tmp_path, text):
    folder = pictures(tmp_path / "edited", "1/a.png")
    (folder / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=r"labels\.csv: "):
        read_labels(source(folder), info("cat", "dog"))


@pytest.mark.parametrize("kind", ["png", "npz", "nhwc", "parquet"])
def test_three_equal_channels_are_one_in_a_grey_data_set(tmp_path, train, kind):
    rng = np.random.default_rng(3)
    grey = rng.integers(0, 256, (4, 8, 8), dtype=np.uint8)
    path = tmp_path / f"set.{kind}"
    if kind == "parquet":
        files = pytest.importorskip("tests.unit.data.data_files")
        files.write_parquet(path, np.repeat(grey[..., None], 3, axis=3), np.arange(4))
    elif kind == "png":
        path = tmp_path / "rgb"
        for c in range(4):
            (path / str(c)).mkdir(parents=True)
            Image.fromarray(grey[c]).convert("RGB").save(path / str(c) / "a.png")
    else:
        axis = 1 if kind == "npz" else 3
        path = path.with_suffix(".npz")
        np.savez(path, images=np.stack([grey] * 3, axis=axis), labels=np.arange(4))
    found = take(path)
    expected = train.preprocessed(torch.from_numpy(grey[:, None]) / 255.0)
    assert torch.allclose(stored(found, train).images, expected, atol=1e-5)
    assert any("three equal channels are one" in line for line in found.found)
