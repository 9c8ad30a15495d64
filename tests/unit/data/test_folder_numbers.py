"""Class folders of an imported set are read all by name or all by number, and hidden ones not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddbench.core.errors import DataError
from ddbench.core.specs import DatasetInfo
from ddbench.data.exchange.files import sources_of
from ddbench.data.exchange.labels import read_labels
from tests.unit.data import data_files as files


def info(*names: str) -> DatasetInfo:
    """A data set whose classes have these names."""
    nine = (9,) * len(names)
    return DatasetInfo(
        name="base", revision="0" * 16, channels=3, size=8, classes=len(names), class_names=names, counts=nine,
        val_counts=nine, n_test=9, default_arch="convnet2-w8-in", flip=True, mean=(0.5,) * 3, std=(0.5,) * 3, levels=255,
    )  # fmt: skip


def labels(tmp_path: Path, base: DatasetInfo, *folders: str) -> list[int]:
    """The classes of one image in each folder, in the order of the folders."""
    files.write_folder(tmp_path / "set", 1, folders)
    (source,) = sources_of([tmp_path / "set"])
    table = read_labels(source, base)
    found = {Path(name).parts[0]: int(label) for name, label in zip(table.names, table.labels, strict=True)}
    return [found[folder] for folder in folders]


TEXT_ORDER = tuple(sorted(map(str, range(12))))
"""0, 1, 10, 11, 2 …, as a folder of images numbers them."""


def test_where_classes_are_called_by_numbers_a_folder_is_the_class_of_that_name(tmp_path: Path) -> None:
    plain = labels(tmp_path / "a", info(*TEXT_ORDER), *map(str, range(12)))
    padded = labels(tmp_path / "b", info(*TEXT_ORDER), *(f"{i:05d}" for i in range(12)))
    assert plain == padded == [TEXT_ORDER.index(str(i)) for i in range(12)]


def test_where_classes_have_names_folders_may_be_their_numbers(tmp_path: Path) -> None:
    assert labels(tmp_path / "a", info("cat", "dog", "fox"), "00002", "00000") == [2, 0]
    assert labels(tmp_path / "b", info("cat", "dog", "fox"), "fox", "cat") == [2, 0]


@pytest.mark.parametrize(
    ("names", "folders", "message"),
    [
        (
            ("cat", "dog", "fox"),
            ("0", "cat"),
            r"set/0: no class of .* \(cat/ is one: folders are read all by name or all",
        ),
        (tuple(map(str, range(1, 11))), ("0", "1"), r"set/0: no class of .* \(1/ is one"),
        (("cat", "dog"), ("0", "2"), r"set/0: no class of"),
        (("cat", "dog"), ("1", "01"), r"the folders 0?1 and 0?1 are the same class"),
        (TEXT_ORDER, ("2", "00002"), r"the folders \d+ and \d+ are the same class"),
    ],
)
def test_what_is_ambiguous_is_refused(
    tmp_path: Path, names: tuple[str, ...], folders: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        labels(tmp_path, info(*names), *folders)


def test_hidden_folders_in_classes_are_not_imported(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "set", 2)
    files.write_folder(tmp_path / "set/cat", 2, (".ipynb_checkpoints", "@eaDir"))
    (source,) = sources_of([tmp_path / "set"])
    assert len(source.files) == 4
