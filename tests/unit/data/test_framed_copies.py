"""A folder that was prepared in several ways: each way is another copy, and none is taken for another."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ddbench.cli import data as cli
from ddbench.core import memory
from ddbench.core.errors import DataError, StoreError, UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.store.files import StoreWarning
from ddbench.data.prepared import room
from ddbench.data.prepared.on_disk import Prepared
from ddbench.data.prepared.prepare import prepare, prepared_revision, resolve
from ddbench.data.prepared.sources import Source, parse_source
from ddbench.data.readers.framing import PLAIN, Framing
from tests.unit.data import data_files as files

pytestmark = pytest.mark.usefixtures("fresh_home")

SMALL, CUT, GREY = Framing(resize=6), Framing(resize=6, crop="center"), Framing(resize=6, gray=True)


def source(text: str, framing: Framing = PLAIN) -> Source:
    return parse_source(text, installed().datasets, framing)


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    return files.write_folder(tmp_path / "squares", size=12)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Of several shapes, below a name with a comma."""
    place = tmp_path / "Smith, 2024"
    for c, name in enumerate(("cat", "dog")):
        (place / name).mkdir(parents=True)
        for i in range(12):
            pixels = files.pixels(20 + i, 31 - i, 3, seed=100 * c + i)
            Image.fromarray(pixels).save(place / name / f"{i}.jpg")
    return place


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.data, arguments, catch_exceptions=False)


def test_each_way_of_reading_a_folder_is_a_copy_of_its_own(squares: Path) -> None:
    text = f"mine=folder:{squares}"
    ways = [PLAIN, SMALL, GREY, Framing(resize=7), Framing(gray=True)]
    made = [resolve(source(text, way)) for way in ways]
    assert len({copy.revision for copy in made}) == len(ways)
    assert [copy.meta.shape[1:] for copy in made] == [(3, 12, 12), (3, 6, 6), (1, 6, 6), (3, 7, 7), (1, 12, 12)]
    for way, copy in zip(ways, made, strict=True):
        assert resolve(source(text, way)) == copy and prepared_revision(source(text, way)) == copy.revision


def test_a_way_that_changes_no_pixel_is_the_same_revision(squares: Path) -> None:
    text = f"mine=folder:{squares}"
    assert resolve(source(text)).revision == resolve(source(text, Framing(resize=12, crop="pad"))).revision


def test_a_name_with_a_framing_means_the_copy_that_was_made_so(squares: Path) -> None:
    text = f"mine=folder:{squares}"
    small, grey = resolve(source(text, SMALL)), resolve(source(text, GREY))
    make_last(grey)
    assert resolve(source("mine", SMALL)) == small
    assert resolve(source("mine", GREY)) == grey
    with pytest.raises(
        DataError, match=r"not prepared with --resize 9, only with .*run `ddbench data prepare mine=.* --resize 9`"
    ):
        resolve(source("mine", Framing(resize=9)))
    with pytest.warns(
        StoreWarning, match=r"made last is used \(--resize 6 --gray\); others were made with --resize 6,"
    ):
        assert resolve(source("mine")) == grey


def make_last(copy: Prepared) -> None:
    for pointer in copy.folder.parent.glob("source-*.json"):
        last = json.loads(pointer.read_text())["revision"] == copy.revision
        os.utime(pointer, ns=(0, 2 * 10**18 + last))


def test_a_framed_copy_outlives_its_files_and_tells_of_changes(squares: Path) -> None:
    made = prepare(source(f"mine=folder:{squares}", SMALL))
    next(squares.rglob("*.png")).unlink()
    with pytest.warns(StoreWarning, match=r"changed since it was decoded; .*ddbench data prepare mine=.* --resize 6`"):
        assert resolve(source("mine")) == made
    changed = resolve(source(f"mine=folder:{squares}", SMALL))
    assert changed.revision != made.revision
    shutil.rmtree(squares)
    assert resolve(source("mine", SMALL)) == changed
    shutil.rmtree(changed.folder)
    with pytest.raises(DataError, match=r"gone or damaged: run `ddbench data prepare mine=.* --resize 6`"):
        resolve(source("mine"))


def test_a_path_without_its_framing_is_never_the_framed_copy(photographs: Path) -> None:
    text = f"mine=folder:{photographs}"
    with pytest.raises(
        DataError, match=r"squares of one size: --resize 64 with --crop .*options of `ddbench data prepare "
    ):
        resolve(source(text))
    prepare(source(text, CUT))
    with pytest.raises(DataError, match=r"--resize 6 --crop center is there: write mine alone\)"):
        resolve(source(text))


def test_pointers_of_plain_sources_stay_as_older_versions_wrote_them(squares: Path) -> None:
    made = prepare(source(f"mine=folder:{squares}"))
    (pointer,) = made.folder.parent.glob("source-*.json")
    assert set(json.loads(pointer.read_text())) == {"revision", "files", "fingerprint", "reader_version", "origin"}


@pytest.mark.parametrize("name", ["digits", "cifar10"])
def test_registered_data_sets_stay_as_they_are(name: str) -> None:
    with pytest.raises(UsageError, match=f"--resize 6: images of '{name}', a registered data set, stay as they are"):
        source(name, SMALL)


def test_a_copy_by_an_older_reader_is_told_apart_from_changed_files(squares: Path) -> None:
    made = prepare(source(f"mine=folder:{squares}"))
    (pointer,) = made.folder.parent.glob("source-*.json")
    pointer.write_text(json.dumps(json.loads(pointer.read_text()) | {"reader_version": 2}))
    with pytest.warns(StoreWarning, match="was decoded by an older ddbench, whose reader differs"):
        assert resolve(source("mine")) == made


# --- the command


def test_prepare_takes_photographs_below_a_comma(photographs: Path) -> None:
    result = run("prepare", f"mine=folder:{photographs}", "--resize", "8", "--crop", "pad", "--gray")
    assert "1×8×8, 2 classes" in result.stdout
    assert "24 of 24 images are not square: black margins were added" in result.stdout
    assert "images of 31×20 … 26×25 pixels were resized to 8×8" in result.stdout
    listed = run("list").stdout
    assert f"folder:{photographs} with --resize 8 --crop pad --gray" in listed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resize", "300"], "--resize: images have sides of 1 to 256 pixels, not 300"),
        (["--resize", "0"], "not 0"),
        (["--gray", "--rgb"], "--gray --rgb: gray and rgb exclude each other"),
    ],
)
def test_impossible_options_are_refused(squares: Path, options: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run("prepare", f"mine=folder:{squares}", *options)


def test_the_forecast_is_said_before_anything_is_decoded(squares: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("prepare", f"mine=folder:{squares}", "--resize", "200")
    assert result.stderr.startswith(
        "ddbench: 24 images of 3×200×200: 2.7 MB on disk, and 13.7 MB of memory in each process that holds all training"
    )
    monkeypatch.setattr(room, "total_mb", lambda: 13.0)
    monkeypatch.setattr("ddbench.data.prepared.prepare.decode", None)
    with pytest.raises(DataError, match=r"would take 13\.7 MB of memory, and this machine has 13\.0 MB: .*--resize"):
        run("prepare", f"mine=folder:{squares}", "--resize", "200")


def test_a_copy_that_the_disk_has_no_room_for_is_refused(squares: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 2**20))  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match=r"takes 2\.7 MB, and 1\.0 MB are free: set DDBENCH_HOME"):
        run("prepare", f"mine=folder:{squares}", "--resize", "200")
    monkeypatch.setattr(memory, "MEMINFO", squares)  # nothing says what memory there is
    monkeypatch.setattr(memory, "CGROUP", squares)
    assert run("prepare", f"mine=folder:{squares}").exit_code == 0


def test_pixels_of_a_framed_copy_are_those_of_the_images(photographs: Path) -> None:
    made = resolve(source(f"mine=folder:{photographs}", Framing(resize=9, crop="center")))
    with Image.open(photographs / "cat/3.jpg") as opened:
        image = opened.convert("RGB")
        width, height = image.size
        least = min(width, height)
        box = ((width - least) // 2, (height - least) // 2)
        square = image.crop((*box, box[0] + least, box[1] + least))
        expected: Any = np.asarray(square.resize((9, 9), Image.Resampling.BILINEAR))
    names = sorted(path.name for path in (photographs / "cat").iterdir())
    assert np.array_equal(made.images[names.index("3.jpg")].transpose(1, 2, 0), expected)
