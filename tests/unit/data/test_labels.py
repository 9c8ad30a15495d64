"""Labels of users' data as they come: other columns, texts, several of an image, the Hub's layouts, and the Hub."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddbench.core.errors import DataError, UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.specs import DatasetInfo
from ddbench.data.exchange.labels import read_parquet
from ddbench.data.prepared.on_disk import Prepared
from ddbench.data.prepared.pointers import origins_of
from ddbench.data.prepared.prepare import prepare, resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.readers import hub, npz, parquet
from ddbench.data.readers.raw import RawDataset
from ddbench.plan import suite
from ddbench.plan.datasets import data_of
from tests.unit.data import data_files as files

pytestmark = pytest.mark.usefixtures("fresh_home")

NAMES = ["badger", "heron", "otter"]


def table(path: Path, columns: dict[str, Any], classes: Sequence[str] = (), seed: int = 0) -> Path:
    """A parquet file of 8×8 images with these columns; the metadata calls ``classes`` columns of labels."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = len(next(iter(columns.values())))
    rows = [{"bytes": files.encoded(image), "path": None} for image in files.pixels(count, 8, 8, 3, seed=seed)]
    held = {"img": pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))}
    held |= {name: pa.array(list(values)) for name, values in columns.items()}
    features = {"img": {"_type": "Image"}} | {name: {"names": NAMES, "_type": "ClassLabel"} for name in classes}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if classes else None
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(held).replace_schema_metadata(metadata), path)
    return path


def labels(raw: RawDataset, part: str = "train") -> list[int]:
    return raw.parts()[part][1].tolist()


# ------------------------------------------------------------------------------------------------- columns of parquet


@pytest.mark.parametrize("name", ["coarse_label", "species", "Kind"])
def test_the_only_column_that_the_metadata_call_labels_is_taken(tmp_path: Path, name: str) -> None:
    columns = {"id": range(9, 18), name: files.cycle(9, 3), "weight": [0.5] * 9}
    raw = parquet.read(table(tmp_path / "train-0.parquet", columns, [name]).parent)
    assert (labels(raw), list(raw.class_names)) == (files.cycle(9, 3).tolist(), NAMES)


@pytest.mark.parametrize("name", ["coarse_label", "target", "y", "classes", "diagnosis_class"])
def test_without_metadata_the_only_column_called_so_is_taken(tmp_path: Path, name: str) -> None:
    raw = parquet.read(table(tmp_path / "train-0.parquet", {"width": [8] * 9, name: files.cycle(9, 3)}).parent)
    assert labels(raw) == files.cycle(9, 3).tolist()


@pytest.mark.parametrize(
    ("columns", "declared"),
    [
        (("fine_label", "coarse_label"), ()),
        (("label", "target"), ()),
        (("genus", "species"), ("genus", "species")),
        (("label", "class"), ("label", "class")),
        (("label", "breed"), ("breed",)),
    ],
)
def test_several_columns_of_labels_are_refused_until_one_is_chosen(
    tmp_path: Path, columns: tuple[str, str], declared: tuple[str, ...]
) -> None:
    held = {columns[0]: files.cycle(12, 3), columns[1]: (files.cycle(12, 3) + 1) % 3}
    path = table(tmp_path / "train-0.parquet", held, declared)
    with pytest.raises(DataError, match=f"several label columns, {', '.join(columns)}: choose one with --label COLUMN"):
        parquet.read(path.parent)
    assert [labels(parquet.read(path.parent, label=name))[:3] for name in columns] == [[0, 1, 2], [1, 2, 0]]


def test_of_several_that_the_metadata_name_the_usual_one_is_taken_with_a_word(tmp_path: Path) -> None:
    held = {"coarse_label": np.zeros(9, int), "fine_label": files.cycle(9, 3)}
    raw = parquet.read(table(tmp_path / "train-0.parquet", held, list(held)).parent)
    assert labels(raw) == files.cycle(9, 3).tolist()
    assert raw.notes == ("labels are those of column fine_label, not of coarse_label (`--label COLUMN` chooses)",)


def test_a_column_that_is_not_there_or_none_at_all_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = table(tmp_path / "train-0.parquet", {"width": [8] * 4, "depth": [1, 2, 1, 2]})
    with pytest.raises(DataError, match=r"no label column among img, width, depth: choose one with --label"):
        parquet.read(path)
    for wanted in ("colour", "img"):
        with pytest.raises(DataError, match=rf"no label column '{wanted}' among img, width, depth"):
            parquet.read(path, label=wanted)
    assert labels(parquet.read(path, label="depth")) == [0, 1, 0, 1]


def test_the_chosen_column_decides_what_is_prepared(tmp_path: Path) -> None:
    held = {"label_a": files.cycle(30, 3), "label_b": files.cycle(30, 2)}
    path = table(tmp_path / "train-0.parquet", held)

    def prepared(column: str) -> Prepared:
        return prepare(parse_source(f"my=hf:{path}", files.known(), column=column))

    made = {column: prepared(column) for column in held}
    assert [found.meta.classes for found in made.values()] == [3, 2]
    assert made["label_a"].revision != made["label_b"].revision
    for column, found in made.items():
        assert resolve(parse_source(f"my=hf:{path}", files.known(), column=column)).revision == found.revision
    (source, _), _ = origins_of("my")
    assert source.command == f"ddbench data prepare my=hf:{path} --label {source.column}"
    assert resolve(parse_source("my", files.known())).revision == made[str(source.column)].revision


def test_suites_choose_a_column_too(tmp_path: Path) -> None:
    held = {"label_a": files.cycle(30, 3), "label_b": files.cycle(30, 2)}
    name = f"my=hf:{table(tmp_path / 'train-0.parquet', held)}"
    content = {"methods": ["random"], "budget": {"ipc": [1]}}

    def opened(*entries: dict[str, str]) -> list[int]:
        parsed = suite.parse({**content, "datasets": list(entries)}, "test")
        return [data.info.classes for data in data_of(parsed, installed())]

    assert opened({"name": name, "label": "label_b"}) == [2]
    assert opened({"name": name, "label": "label_a"}, {"name": name, "label": "label_b"}) == [3, 2]
    with pytest.raises(DataError, match="several label columns, label_a, label_b"):
        opened({"name": name})
    with pytest.raises(UsageError, match="parquet files alone"):
        opened({"name": "digits", "label": "label_a"})


def test_a_column_is_chosen_of_parquet_files_alone(tmp_path: Path) -> None:
    folder = files.write_folder(tmp_path / "a")
    prepare(parse_source(f"mine=folder:{folder}", files.known()))
    for text in (f"mine=folder:{folder}", "mine", "digits"):
        with pytest.raises(UsageError, match="parquet files alone"):
            parse_source(text, files.known(), column="label")


# --------------------------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize("kind", ["parquet", "npz", "bytes"])
def test_texts_are_numbered_in_the_order_of_their_names(tmp_path: Path, kind: str) -> None:
    texts, tests = ["otter", "badger", "otter", "heron"] * 3, ["heron", "otter"]
    if kind == "parquet":
        table(tmp_path / "train-0.parquet", {"species": [0] * 12, "label": texts})
        table(tmp_path / "test-0.parquet", {"species": [0] * 2, "label": tests}, seed=1)
        raw = parquet.read(tmp_path)
    else:
        form = np.array if kind == "npz" else np.char.encode
        arrays = {"y_train": form(texts), "y_test": form(tests)[:, None]}
        raw = npz.read(
            files.write_npz(tmp_path / "a.npz", x_train=files.pixels(12, 8, 8), x_test=files.pixels(2, 8, 8), **arrays)
        )
    assert list(raw.class_names) == NAMES
    assert (labels(raw), labels(raw, "test")) == ([2, 0, 2, 1] * 3, [1, 2])
    assert (
        "text labels were numbered in the order of their names as text: 0 is badger, 1 is heron, 2 is otter"
        in raw.notes
    )


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (["a", "b"], ["a", "c"], "the test part holds the label 'c', which train does not have"),
        (["a", "b"], ["a", ""], r"empty label|the label is ''"),
        (["a", "b"], [0, 1], r"label all parts alike|the label is 0, where others are texts"),
    ],
)
@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_texts_that_are_no_class_of_train_are_refused(
    tmp_path: Path, kind: str, train: list[Any], test: list[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        if kind == "parquet":
            table(tmp_path / "train-0.parquet", {"label": train * 3})
            parquet.read(table(tmp_path / "test-0.parquet", {"label": test}).parent)
        x = {"x_train": files.pixels(6, 8, 8), "x_test": files.pixels(2, 8, 8)}
        npz.read(files.write_npz(tmp_path / "a.npz", **x, y_train=np.array(train * 3), y_test=np.array(test)))


@pytest.mark.parametrize(("given", "expected"), [(["otter", "badger"], [0, 2]), (["heron", "heron"], [1, 1])])
def test_texts_of_a_set_mean_the_classes_of_its_data(tmp_path: Path, given: list[str], expected: list[int]) -> None:
    names = ("otter", "heron", "badger")
    path = table(tmp_path / "set.parquet", {"label": given})
    assert read_parquet(path, info(names))[1].labels.tolist() == expected
    with pytest.raises(DataError, match="which the data set does not have"):
        read_parquet(path, info(("otter", "lynx")))


def test_a_set_that_numbers_the_same_classes_otherwise_is_read_by_their_names(tmp_path: Path) -> None:
    path = table(tmp_path / "set.parquet", {"label": [0, 1, 2, 2]}, ["label"])  # badger, heron, otter
    assert read_parquet(path, info(("otter", "badger", "heron")))[1].labels.tolist() == [1, 2, 0, 0]
    assert read_parquet(path, info(tuple(NAMES)))[1].labels.tolist() == [0, 1, 2, 2]
    plain = table(tmp_path / "plain.parquet", {"label": [0, 1, 10, 11]})
    numbers = tuple(sorted(map(str, range(12))))
    assert read_parquet(plain, info(numbers))[1].labels.tolist() == [0, 1, 10, 11]


def info(names: tuple[str, ...]) -> DatasetInfo:
    k = len(names)
    return DatasetInfo(
        name="mine", revision="0" * 16, channels=3, size=8, classes=k, class_names=names, counts=(9,) * k,
        val_counts=(1,) * k, n_test=9, default_arch="convnet2-w32-in", flip=True, mean=(0.5,) * 3, std=(0.2,) * 3,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- several of an image


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize("width", [2, 5, 14])
def test_labels_of_several_classes_are_called_multi_label(tmp_path: Path, part: str, width: int) -> None:
    arrays: dict[str, Any] = {}
    for name, count in (("train", 12), ("val", 4), ("test", 4)):
        many = np.zeros((count, width), np.uint8)
        many[:, 0] = many[count // 2, 1] = 1
        arrays[f"{name}_images"] = files.pixels(count, 8, 8)
        arrays[f"{name}_labels"] = many if name == part else files.cycle(count, 2)[:, None]
    np.savez(tmp_path / "chest.npz", **arrays)
    with pytest.raises(DataError, match=rf"{part}_labels is uint8\[\d+, {width}\].*has 2 classes, and multi-label"):
        npz.read(tmp_path / "chest.npz")


@pytest.mark.parametrize("value", [[0, 2], [], [0, 1, 2]])
def test_lists_in_a_column_of_labels_are_called_multi_label(tmp_path: Path, value: list[int]) -> None:
    path = table(tmp_path / "train-0.parquet", {"labels": [[1], value, [0], [2]]})
    with pytest.raises(DataError, match=rf"row 1: {len(value)} labels of one image: multi-label"):
        parquet.read(path)
    single = table(tmp_path / "one" / "train-0.parquet", {"labels": [[1], [0], [2]]})
    assert labels(parquet.read(single)) == [1, 0, 2]


@pytest.mark.parametrize(
    "keys",
    [
        ("images", "labels"),
        ("data", "targets"),
        ("x", "y"),
        ("X", "Y"),
        ("image", "label"),
        ("train_images", "train_labels"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint64", "float32", "bool", "int8"])
def test_keys_and_types_that_sets_have_are_read_in_data(tmp_path: Path, keys: tuple[str, str], dtype: str) -> None:
    x, y = files.pixels(20, 8, 8), files.cycle(20, 2)
    np.savez(tmp_path / "a.npz", **{keys[0]: x, keys[1]: y.astype(dtype)[:, None]})
    raw = npz.read(tmp_path / "a.npz")
    assert labels(raw) == y.tolist()
    assert np.array_equal(next(raw.parts()["train"][0].chunks())[:, 0], x)


# ------------------------------------------------------------------------------------------------ layouts of the Hub


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("plain_text/train-00000-of-00001", "plain_text/test-00000-of-00001"),
        ("fashion_mnist/train-00000-of-00001", "fashion_mnist/test-00000-of-00001"),
        ("data/train-00000-of-00001-3af2", "data/test-00000-of-00001-77c1"),
        ("default/train/0000", "default/test/0000"),
        ("full/train/0000", "full/validation/0000"),
    ],
)
def test_files_are_found_where_the_hub_puts_them(tmp_path: Path, train: str, test: str) -> None:
    table(tmp_path / f"{train}.parquet", {"label": files.cycle(9, 3)})
    table(tmp_path / f"{test}.parquet", {"label": files.cycle(6, 3)}, seed=1)
    (tmp_path / "README.md").write_text("a card")
    assert {len(found) for _, found in parquet.read(tmp_path).parts().values()} == {9, 6}


def test_several_configurations_are_refused_by_name(tmp_path: Path) -> None:
    for name in ("cropped_digits", "full_numbers"):
        table(tmp_path / name / "train-00000-of-00001.parquet", {"label": files.cycle(9, 3)})
    with pytest.raises(DataError, match="cropped_digits, full_numbers"):
        parquet.read(tmp_path)


def test_all_files_that_are_no_parquet_are_named_at_once(tmp_path: Path) -> None:
    table(tmp_path / "train-00000-of-00003.parquet", {"label": files.cycle(9, 3)})
    for name in ("train-00001-of-00003", "train-00002-of-00003"):
        (tmp_path / f"{name}.parquet").write_bytes(b"<html>429 Too Many Requests</html>")
    with pytest.raises(DataError, match=r"2 of the files cannot be read: .*00001-of-00003.*00002-of-00003"):
        parquet.read(tmp_path)


# -------------------------------------------------------------------------------------------------------------- the Hub


class Split:
    """What ``datasets.Dataset`` is to the reader: a table with features, given out in pieces."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.table = pq.read_table(path)
        self.features = types.SimpleNamespace(arrow_schema=self.table.schema)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def select_columns(self, columns: list[str]) -> Split:
        found = object.__new__(Split)
        found.table, found.features = self.table.select(columns), self.features
        return found

    def with_format(self, kind: str) -> Split:
        assert kind == "arrow"
        return self

    def iter(self, size: int) -> Iterator[Any]:
        for start in range(0, len(self), size):
            yield self.table.slice(start, size)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, dict[str, Path]]]:
    """A ``datasets`` of our own: repositories, their configurations, the files of their splits."""
    shelf: dict[str, dict[str, dict[str, Path]]] = {}

    def known(name: str) -> dict[str, dict[str, Path]]:
        if name not in shelf:
            raise ConnectionError(f"Couldn't reach '{name}' on the Hub (LocalEntryNotFoundError)\nmore")
        return shelf[name]

    fake = types.ModuleType("datasets")
    fake.get_dataset_config_names = lambda name: list(known(name))  # type: ignore[attr-defined]
    fake.load_dataset = lambda name, configuration: {  # type: ignore[attr-defined]
        split: Split(path) for split, path in known(name)[configuration or next(iter(known(name)))].items()
    }
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return shelf


def splits(tmp_path: Path, **counts: int) -> dict[str, Path]:
    return {
        name: table(tmp_path / f"{name}.parquet", {"label": files.cycle(count, 3)}, ["label"], seed=count)
        for name, count in counts.items()
    }


def test_a_data_set_of_the_hub_is_downloaded_when_asked_and_used_afterwards(
    tmp_path: Path, library: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    library["ana/pets-v2"] = {"default": splits(tmp_path, train=700, validation=30, test=60, extra=5)}
    source = parse_source("pets=hf:ana/pets-v2", files.known())
    with pytest.raises(DataError, match=r"no file or folder 'ana/pets-v2'.*`ddbench data prepare pets=hf:ana/pets-v2`"):
        resolve(source)
    made = prepare(source)
    assert (made.meta.parts, list(made.meta.class_names)) == ({"train": 700, "val": 30, "test": 60}, NAMES)
    assert "split extra not read (5 images)" in made.meta.notes
    monkeypatch.setitem(sys.modules, "datasets", None)
    for text in ("pets=hf:ana/pets-v2", "pets"):
        assert resolve(parse_source(text, files.known())).revision == made.revision
    same = table(tmp_path / "files" / "train-0.parquet", {"label": files.cycle(700, 3)}, ["label"], seed=700)
    table(same.with_name("validation-0.parquet"), {"label": files.cycle(30, 3)}, ["label"], seed=30)
    table(same.with_name("test-0.parquet"), {"label": files.cycle(60, 3)}, ["label"], seed=60)
    assert prepare(parse_source(f"pets=hf:{same.parent}", files.known())).revision == made.revision
    sources = {found.text for found, _ in origins_of("pets")}
    assert sources == {"pets=hf:ana/pets-v2", f"pets=hf:{same.parent}"}


def test_without_the_library_or_a_network_the_words_say_so(
    tmp_path: Path, library: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = parse_source("pets=hf:ana/pets", files.known())
    with pytest.raises(
        DataError, match=r"Hub does not give such a data set \(ConnectionError: .*is there a network"
    ) as caught:
        prepare(source)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"no file or folder 'ana/pets', and .*`pip install 'ddbench\[hf\]'`"):
        prepare(source)
    monkeypatch.setitem(sys.modules, "datasets", types.ModuleType("datasets"))  # a folder datasets/ beside the user
    with pytest.raises(DataError, match=r"a folder of that name"):
        prepare(source)


def test_several_configurations_of_the_hub_are_refused_until_one_is_named(
    tmp_path: Path, library: dict[str, Any]
) -> None:
    library["ana/birds"] = {"small": splits(tmp_path / "s", train=9), "large": splits(tmp_path / "l", train=18)}
    with pytest.raises(DataError, match=r"several configurations \(small, large\): name one, hf:ana/birds/small"):
        hub.read("ana/birds")
    assert len(labels(hub.read("ana/birds/large"))) == 18
    with pytest.raises(DataError, match="no configuration 'huge'; it has small, large"):
        hub.read("ana/birds/huge")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train", "valid", "validation"), "the splits valid and validation both mean val"),
        (("all", "rest"), "no split train; it has all, rest"),
        (("train", "test_hard"), "the split test_hard looks like a part"),
    ],
)
def test_splits_that_are_no_parts_are_refused(
    tmp_path: Path, library: dict[str, Any], names: tuple[str, ...], message: str
) -> None:
    library["ana/odd"] = {"default": splits(tmp_path, **dict.fromkeys(names, 9))}
    with pytest.raises(DataError, match=message):
        hub.read("ana/odd")


def test_images_in_files_of_the_librarys_cache_are_read(tmp_path: Path, library: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for i, image in enumerate(files.pixels(6, 8, 8, 3)):
        (tmp_path / f"{i}.png").write_bytes(files.encoded(image))
        rows.append({"bytes": None, "path": str(tmp_path / f"{i}.png")})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(rows, kind), "label": pa.array([0, 1] * 3)}), tmp_path / "a.parquet")
    library["ana/folder"] = {"default": {"train": tmp_path / "a.parquet"}}
    found = np.concatenate(list(hub.read("ana/folder").parts()["train"][0].chunks()))
    assert np.array_equal(found.transpose(0, 2, 3, 1), files.pixels(6, 8, 8, 3))


@pytest.mark.parametrize(
    "text", ["my=hf:nowhere", "my=hf:/ana/pets", "my=hf:./ana/pets", "my=hf:../x", "my=hf:a/b/c/d", "my=hf:a/.."]
)
def test_other_paths_that_are_missing_are_no_names_of_the_hub(text: str) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        parse_source(text, files.known())
