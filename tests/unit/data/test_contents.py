"""What pixels say: copies, pixels that cannot be meant, and whether data are those that a name promises."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ddbench.core.api import Contents, DatasetRecord
from ddbench.core.errors import DataError, PluginError
from ddbench.data import catalog, official
from ddbench.data.prepared import contents as looked
from ddbench.data.prepared.on_disk import find
from ddbench.data.prepared.prepare import prepare, resolve
from ddbench.data.prepared.sources import Source, parse_source
from ddbench.data.readers.raw import Pixels
from tests.unit.data import data_files as files

pytestmark = pytest.mark.usefixtures("fresh_home")


def source(text: str) -> Source:
    return parse_source(text, files.known())


# --- pixels that cannot be meant


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: (x / 255 / 255).astype("f4"), r"largest pixel of all {part} images is 1 of 255: .*255 twice"),
        (lambda x: np.rint(x / 255).astype("u1"), r"largest pixel of all {part} images is 1 of 255"),
        (lambda x: x // 17, r"largest pixel of all {part} images is 15 of 255"),
        (np.zeros_like, r"largest pixel of all {part} images is 0 of 255"),
        (lambda x: np.full_like(x, 77), r"all \d+ {part} images are the same"),
    ],
)
def test_pixels_that_cannot_be_meant_are_refused(tmp_path: Path, part: str, change: object, message: str) -> None:
    arrays = {"x_train": files.pixels(30, 8, 8), "x_test": files.pixels(9, 8, 8, seed=1), "y_test": files.cycle(9, 3)}
    arrays[f"x_{part}"] = change(arrays[f"x_{part}"])  # type: ignore[operator]
    with pytest.raises(DataError, match=message.format(part=part)):
        resolve(source(f"mine=npz:{files.write_npz(tmp_path / 'a.npz', **arrays)}"))


@pytest.mark.parametrize(
    ("images", "note"),
    [
        (files.pixels(30, 8, 8) // 128 * 255, "pixels have two values only, 0 and 255"),
        (files.pixels(30, 8, 8) // 8, "the train images are dark: their largest pixel is 31 of 255"),
        (np.repeat(files.pixels(30, 8, 8)[..., None], 3, axis=3), "all images are grey, stored as RGB"),
    ],
)
def test_pixels_that_may_be_meant_are_taken_with_a_note(tmp_path: Path, images: Pixels, note: str) -> None:
    notes = resolve(source(f"mine=npz:{files.write_npz(tmp_path / 'a.npz', x_train=images)}")).meta.notes
    assert note in notes


# --- copies


def test_copies_are_counted_whatever_else_is_equal() -> None:
    images = files.pixels(10, 1, 4, 4)
    images[7], images[9] = images[2], images[2]
    seen = {"train": looked.Seen(), "test": looked.Seen()}
    seen["train"].add(images[:6])
    seen["test"].add(images[6:])
    found = looked.copies_of(seen, np.array([0, 1, 0, 1, 0, 1, 0, 0, 1, 1]))  # type: ignore[arg-type]
    assert found.first.tolist() == [0, 1, 2, 3, 4, 5, 6, 2, 8, 2]
    assert found.notes() == ("2 of 4 test images are also training images", "1 image occurs under two labels or more")


def with_copies(tmp_path: Path, count: int) -> str:
    x, y = files.pixels(60, 8, 8), files.cycle(60, 3)
    test = np.concatenate([x[:count], files.pixels(40 - count, 8, 8, seed=1)])
    return (
        f"mine=npz:{files.write_npz(tmp_path / 'a.npz', x_train=x, y_train=y, x_test=test, y_test=files.cycle(40, 3))}"
    )


def test_up_to_five_percent_of_the_test_images_may_be_training_images_with_a_note(tmp_path: Path) -> None:
    assert "2 of 40 test images are also training images" in resolve(source(with_copies(tmp_path, 2))).meta.notes


def test_more_copies_must_be_asked_for_once(tmp_path: Path) -> None:
    mine = source(with_copies(tmp_path, 3))
    with pytest.raises(DataError, match=r"3 of 40 test images are also training images.*prepare … --allow-copies"):
        resolve(mine)
    made = prepare(mine, allow_copies=True)
    assert "3 of 40 test images are also training images" in made.meta.notes
    assert resolve(mine) == made
    shutil.rmtree(made.folder)
    assert resolve(mine) == made, "what was asked for once is asked for when it is decoded again"


def test_other_files_do_not_inherit_the_permission(tmp_path: Path) -> None:
    mine = source(with_copies(tmp_path, 3))
    prepare(mine, allow_copies=True)
    with_copies(tmp_path, 7)  # other images at the same place
    with pytest.raises(DataError, match="7 of 40 test images are also training images"):
        resolve(mine)
    with pytest.raises(DataError, match="7 of 40"):
        prepare(mine)
    with_copies(tmp_path, 0)
    prepare(mine)
    with_copies(tmp_path, 7)
    with pytest.raises(DataError, match="7 of 40"):
        resolve(mine)


def test_no_copy_of_an_image_is_on_both_sides_of_a_split_that_ddbench_makes(tmp_path: Path) -> None:
    half = files.pixels(60, 8, 8)
    images, labels = np.concatenate([half, half]), np.concatenate([files.cycle(60, 3)] * 2)
    made = resolve(source(f"mine=npz:{files.write_npz(tmp_path / 'a.npz', x_train=images, y_train=labels)}"))
    sides = [{made.images[i].tobytes() for i in made.split(part)} for part in ("train", "val", "test")]  # type: ignore[arg-type]
    assert sum(map(len, sides)) == 60 == len(set.union(*sides))


def test_the_words_about_a_copy_that_was_made_before_are_renewed(tmp_path: Path) -> None:
    mine = source(with_copies(tmp_path, 1))
    made = prepare(mine)
    meta = made.folder / "meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"notes": []}))
    assert prepare(mine).meta.notes == made.meta.notes != ()


# --- official names


def reference(images: Pixels, labels: files.Array) -> str:
    """The hash of a part, written down a second time."""
    rows = sorted(
        hashlib.blake2b(image.tobytes(), digest_size=16).digest() + int(label).to_bytes(8, "little")
        for image, label in zip(images, labels, strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def made_up(tmp_path: Path, **change: object) -> tuple[Source, Path]:
    """A registered set of forty images whose record says what they are, and its files."""
    train, labels = files.write_mnist(tmp_path / "files")
    test = files.pixels(20, 28, 28, seed=1)
    known = {
        "counts": {"train": (4,) * 10, "test": (2,) * 10},
        "scheme": "idx",
        "digests": {"train": reference(train, labels), "test": reference(test, files.cycle(20))},
        **change,
    }
    record = replace(files.known().get("mnist"), contents=Contents(**known))  # type: ignore[arg-type]
    return Source("mnist", record=record), tmp_path / "files"


def test_data_in_any_order_are_the_official_ones_and_one_pixel_or_label_makes_others(tmp_path: Path) -> None:
    mnist, place = made_up(tmp_path)
    first = prepare(mnist, files=place)
    train, labels = files.write_mnist(place)
    order = np.random.default_rng(0).permutation(40)
    files.write_idx(place / "train-images-idx3-ubyte.gz", train[order])
    files.write_idx(place / "train-labels-idx1-ubyte.gz", labels[order])
    assert prepare(mnist, files=place).revision != first.revision
    for name, array, which, value in (
        ("images-idx3", train, (3, 4, 5), 1),
        ("labels-idx1", labels, (slice(0, 11, 10),), 0),
    ):
        changed = array.copy()
        changed[which] = changed[which] ^ value if value else changed[which][::-1]
        if name == "labels-idx1":
            changed[0], changed[1] = changed[1], changed[0]
        files.write_mnist(place)
        files.write_idx(place / f"train-{name}-ubyte.gz", changed)
        with pytest.raises(DataError, match=rf"not the official data: .*others.*mnist-mine=idx:{place}`"):
            prepare(mnist, files=place)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": {"train": (4,) * 9 + (5,), "test": (2,) * 10}}, "its train part has 40 images, not 41"),
        ({"counts": {"train": (5, 3) + (4,) * 8, "test": (2,) * 10}}, "4 images of class 0, not 5"),
        ({"counts": {"train": (4,) * 10}, "digests": {}}, "it has the parts train, test, not train"),
        (
            {"digests": {}, "mean": {"train": (0.4,)}, "std": {"train": (0.3,)}},
            r"the mean of the train pixels is 0\.49",
        ),
    ],
)
def test_other_data_are_refused_in_words_and_leave_nothing(
    tmp_path: Path, fresh_home: Path, change: dict[str, object], message: str
) -> None:
    mnist, place = made_up(tmp_path, **change)
    with pytest.raises(DataError, match=message):
        prepare(mnist, files=place)
    assert [path.name for path in (fresh_home / "data/mnist").iterdir()] == [".lock"]


def test_a_copy_that_was_prepared_before_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right, place = made_up(tmp_path)
    before = prepare(Source("mnist", record=replace(right.record, contents=None)), files=place)  # type: ignore[type-var]
    other = replace(right.record.contents, digests={"test": "0" * 64})  # type: ignore[union-attr, type-var]
    wrong = replace(right, record=replace(right.record, contents=other))  # type: ignore[type-var]
    registry = files.known()
    monkeypatch.setattr(registry, "get", lambda name: wrong.record)
    for attempt in (lambda: resolve(wrong), lambda: find("mnist", before.revision, registry)):
        with pytest.raises(DataError, match=r"the prepared copy .* is not mnist: .*a name of its own"):
            attempt()
    assert resolve(right).revision == before.revision
    monkeypatch.setattr(looked, "_marks", None)  # is not read again
    assert resolve(right).revision == before.revision


def test_counts_of_classes_add_up_to_the_published_sizes() -> None:
    sizes = {record.name: record.contents.counts for record in catalog.DATASETS if record.contents is not None}
    assert {name: (sum(counts["train"]), sum(counts["test"])) for name, counts in sizes.items()} == {
        "mnist": (60000, 10000), "fashionmnist": (60000, 10000), "svhn": (73257, 26032), "cifar10": (50000, 10000),
        "cifar100": (50000, 10000), "tinyimagenet": (100000, 10000),
    }  # fmt: skip
    assert sizes["svhn"]["train"] == (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659)


def test_the_hubs_parquet_files_of_the_same_pixels_are_official_and_named_as_the_record_says(tmp_path: Path) -> None:
    mnist, place = made_up(tmp_path, class_names=tuple("abcdefghij"))
    train, labels = files.write_mnist(place)
    home = tmp_path / "hub/data"
    files.write_parquet(home / "train-00000-of-00001.parquet", train, labels)
    files.write_parquet(home / "test-00000-of-00001.parquet", files.pixels(20, 28, 28, seed=1), files.cycle(20))
    made = prepare(mnist, files=tmp_path / "hub")
    assert made.meta.class_names == tuple("abcdefghij") and np.array_equal(made.images[:40, 0], train)
    assert resolve(mnist) == made
    train[0, 0, 0] ^= 1
    files.write_parquet(home / "train-00000-of-00001.parquet", train, labels)
    with pytest.raises(DataError, match=r"mnist-mine=hf:"):
        prepare(mnist, files=tmp_path / "hub")
    names = [f"x{letter}" for letter in "abcdefghij"]
    files.write_parquet(home / "train-00000-of-00001.parquet", train, labels, names=names)
    with pytest.raises(DataError, match="class 0 is called 'xa' in these files, not 'a'"):
        prepare(mnist, files=tmp_path / "hub")


def test_every_set_that_is_downloaded_says_what_it_holds() -> None:
    """Counts are those of the summaries; the numbers of classes those of the names."""
    for record in catalog.DATASETS:
        if record.embedded:
            continue
        assert record.contents is not None
        for part, counts in record.contents.counts.items():
            assert f"{sum(counts):,}" in record.summary, (record.name, part)
        assert len(record.contents.class_names) in (0, len(record.contents.counts["train"]))
        assert record.contents.digests or record.contents.mean
    assert len(set(official.CIFAR100)) == 100 and list(official.CIFAR100) == sorted(official.CIFAR100)


def test_contents_of_parts_that_are_not_counted_are_a_plugins_mistake() -> None:
    with pytest.raises(PluginError, match="parts that counts does not have"):
        Contents(counts={"train": (1, 2)}, scheme="idx", digests={"test": "0"})
    assert hash(DatasetRecord("a", "b:c", "d", contents=official.MNIST_CONTENTS))


@pytest.mark.parametrize("scheme", ["idx", "cifar", "svhn", "tiny"])
def test_copies_in_official_formats_get_names_of_their_own(tmp_path: Path, scheme: str) -> None:
    from scipy.io import savemat

    if scheme == "idx":
        files.write_mnist(tmp_path)
    elif scheme == "cifar":
        files.write_members(tmp_path, files.cifar10_members())
    elif scheme == "tiny":
        files.write_tar(tmp_path / "tiny-imagenet-200.tar", files.tiny_members(), "w")
    else:
        for seed, part in enumerate(("train", "test", "extra")):
            labels = (files.cycle(40) + 1)[:, None].astype("u1")
            savemat(tmp_path / f"{part}_32x32.mat", {"X": files.pixels(32, 32, 3, 40, seed=seed), "y": labels})
    made = resolve(source(f"mine={scheme}:{tmp_path}"))
    assert made.record is None and "test" in made.meta.parts
    assert ("extra_32x32.mat not read" in made.meta.notes) == (scheme == "svhn")


def test_official_files_are_read_though_parquet_files_of_other_data_lie_beside_them(tmp_path: Path) -> None:
    mnist, place = made_up(tmp_path)
    (place / "raw").mkdir()
    for file in place.glob("*.gz"):
        file.rename(place / "raw" / file.name)
    files.write_parquet(place / "other/train-0.parquet", files.pixels(6, 8, 8), files.cycle(6, 2))
    assert prepare(mnist, files=place).meta.parts == {"train": 40, "test": 20}
    with pytest.raises(DataError, match=r"not the official data: .*mnist-mine=hf:"):
        prepare(mnist, files=place / "other")
