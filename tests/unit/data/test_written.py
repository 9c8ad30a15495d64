"""Prepared arrays that somebody changed are not used, and nothing is hashed without need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ddbench.core.errors import DataError
from ddbench.data.prepared import written
from ddbench.data.prepared.on_disk import ARRAYS, Prepared, find, open_folder
from ddbench.data.prepared.prepare import prepare, resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.prepared.written import WRITTEN, AlteredError
from tests.unit.data import data_files as files

pytestmark = pytest.mark.usefixtures("fresh_home")


def own(tmp_path: Path) -> Prepared:
    if not (tmp_path / "x.npz").exists():
        files.write_npz(tmp_path / "x.npz")
    return resolve(parse_source(f"mine=npz:{tmp_path / 'x.npz'}", files.known()))


def edit(prepared: Prepared, name: str) -> None:
    """Another order of the same numbers: size, type and range stay."""
    path = prepared.folder / f"{name}.npy"
    np.save(path, np.roll(np.load(path), 1, axis=0))
    os.utime(path, ns=(1, 1))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of files in the order in which they were hashed."""
    calls: list[str] = []
    original = written.sha256_file

    def spy(path: Path) -> str:
        calls.append(path.name)
        return original(path)

    monkeypatch.setattr(written, "sha256_file", spy)
    written._sound.clear()
    return calls


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_that_was_changed_is_refused_with_the_command_that_makes_it_again(tmp_path: Path, name: str) -> None:
    prepared = own(tmp_path)
    edit(prepared, name)
    said = (
        rf"data set 'mine': {name}\.npy in .* was changed since\. `ddbench data prepare mine=npz:\S+x\.npz`.*mine-mine"
    )
    for again in (
        lambda: own(tmp_path),
        lambda: resolve(parse_source("mine", files.known())),
        lambda: find("mine", prepared.revision, files.known()),
    ):
        with pytest.raises(DataError, match=said):
            again()


def test_a_registered_set_that_was_changed_names_its_own_command(fresh_home: Path) -> None:
    digits = parse_source("digits", files.known())
    prepared = resolve(digits)
    edit(prepared, "labels")
    with pytest.raises(AlteredError, match="`ddbench data prepare digits` prepares the data anew"):
        resolve(digits)
    assert np.array_equal(prepare(digits).labels, np.load(prepared.folder / "labels.npy"))
    assert resolve(digits).revision == prepared.revision


def test_preparing_anew_puts_the_right_arrays_back(tmp_path: Path) -> None:
    prepared = own(tmp_path)
    before = np.array(prepared.labels)
    edit(prepared, "labels")
    made = prepare(parse_source(f"mine=npz:{tmp_path / 'x.npz'}", files.known()))
    assert made.folder == prepared.folder and np.array_equal(made.labels, before)


def test_what_was_not_touched_is_not_hashed(tmp_path: Path, hashed: list[str]) -> None:
    prepared = own(tmp_path)
    hashed.clear()
    open_folder(prepared.folder)
    assert hashed == []


def test_a_copied_or_touched_folder_is_hashed_once_and_kept(tmp_path: Path, hashed: list[str]) -> None:
    prepared = own(tmp_path)
    hashed.clear()
    os.utime(prepared.folder / "images.npy")
    open_folder(prepared.folder)
    written._sound.clear()
    open_folder(prepared.folder)
    assert hashed == ["images.npy"]
    shutil.copytree(prepared.folder, tmp_path / "copy", copy_function=shutil.copyfile)
    open_folder(tmp_path / "copy")
    assert len(hashed) == 1 + len(ARRAYS)


def test_a_touched_folder_that_cannot_be_written_is_hashed_once_a_process(
    tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = own(tmp_path)
    hashed.clear()
    os.utime(prepared.folder / "labels.npy")
    monkeypatch.setattr(written, "atomic_write", lambda *_: (_ for _ in ()).throw(written.StoreError("read-only")))
    open_folder(prepared.folder)
    open_folder(prepared.folder)
    assert hashed == ["labels.npy"]


@pytest.mark.parametrize("name", ["images", "labels"])
@pytest.mark.parametrize("content", [None, "", "[]", '{"labels.npy": 1}'])
def test_a_copy_of_before_is_checked_against_its_revision_once(
    tmp_path: Path, hashed: list[str], name: str, content: str | None
) -> None:
    prepared = own(tmp_path)
    kept = (prepared.folder / WRITTEN).read_text()
    (prepared.folder / WRITTEN).unlink()
    if content is not None:
        (prepared.folder / WRITTEN).write_text(content)
    open_folder(prepared.folder)
    assert (prepared.folder / WRITTEN).read_text() == kept
    (prepared.folder / WRITTEN).unlink()
    edit(prepared, name)
    with pytest.raises(AlteredError, match=r"images\.npy or labels\.npy in .* was changed since"):
        open_folder(prepared.folder)


def test_a_copy_of_before_whose_copies_stand_on_one_side_is_sound(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8), np.arange(40) % 2
    images[20:] = images[:20]
    np.savez(tmp_path / "twice.npz", x_train=images, y_train=labels)
    prepared = resolve(parse_source(f"twice=npz:{tmp_path / 'twice.npz'}", files.known()))
    (prepared.folder / WRITTEN).unlink()
    assert open_folder(prepared.folder).revision == prepared.revision
