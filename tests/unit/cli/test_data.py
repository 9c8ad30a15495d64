"""``ddbench data list`` and ``prepare``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ddbench.cli import data as cli
from ddbench.core.errors import DataError, UsageError
from tests.unit.data import data_files as files

pytestmark = pytest.mark.usefixtures("fresh_home")


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """ddbench's own data sets, whatever plugins are installed."""

    class Installed:
        datasets = files.known()

    monkeypatch.setattr(cli, "active", Installed)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.data, arguments, catch_exceptions=False)


def test_list_shows_every_data_set_and_which_are_prepared() -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert {row["name"] for row in rows} == {record.name for record in files.known()}
    assert all(row["revision"] is None for row in rows)
    assert {row["name"]: row["licence"] for row in rows} == {record.name: record.licence for record in files.known()}
    run("prepare", "digits")
    row = next(row for row in json.loads(run("list", "--json").stdout) if row["name"] == "digits")
    assert (row["shape"], row["classes"], row["splits"]["train"]) == ([1, 8, 8], 10, 1197)
    assert row["revision"] in run("list").stdout


def test_prepare_prints_place_revision_and_counts(tmp_path: Path, fresh_home: Path) -> None:
    files.write_mnist(tmp_path)
    result = run("prepare", "mnist", "--from", str(tmp_path))
    folder = next((fresh_home / "data/mnist").glob("*/meta.json")).parent
    assert str(folder) in result.stdout and folder.name in result.stdout
    assert "train 30, val 10, test 20" in result.stdout
    assert "CC BY-SA 3.0" in result.stdout


def test_prepare_takes_a_path_of_the_users(tmp_path: Path) -> None:
    result = run("prepare", f"mine=folder:{files.write_folder(tmp_path / 'images')}")
    assert "3×8×8, 2 classes" in result.stdout and "no test split" in result.stdout


def test_prepare_raises_errors_for_the_main_entry_to_show(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        run("prepare", "mnist", "--from", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="--from is for registered data sets"):
        run("prepare", "digits", "--from", str(tmp_path))
    with pytest.raises(UsageError, match="unknown data set"):
        run("prepare", "mnits")


def _damage(folder: Path, how: str) -> None:
    if how == "gone":
        shutil.rmtree(folder)
    elif how == "cut":
        (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:100])
    elif how == "pointer":
        next(folder.parent.glob("*.json")).write_text("{")
    else:
        meta = folder / "meta.json"
        meta.write_text(json.dumps(json.loads(meta.read_text()) | {"colours": 3}))


@pytest.mark.parametrize("how", ["gone", "cut", "pointer", "newer"])
def test_a_copy_of_ones_own_that_cannot_be_opened_is_listed_with_the_next_step(tmp_path: Path, fresh_home, how) -> None:
    text = f"mine=folder:{files.write_folder(tmp_path / 'my images')}"
    run("prepare", text)
    _damage(next((fresh_home / "data/mine").glob("*/meta.json")).parent, how)
    row = next(row for row in json.loads(run("list", "--json").stdout) if row["name"] == "mine")
    assert row["revision"] is None and row["problem"] == ("newer" if how == "newer" else "damaged")
    step = "update ddbench" if how == "newer" else "ddbench data prepare "
    step += "mine=SCHEME:PATH" if how == "pointer" else "" if how == "newer" else f"'{text}'"
    assert step in row["summary"]
    line = next(line for line in run("list").stdout.splitlines() if line.startswith("mine "))
    assert row["problem"] in line and step in line


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_damaged_copy_of_a_registered_data_set_is_listed_with_the_next_step(tmp_path: Path, fresh_home, how) -> None:
    files.write_mnist(tmp_path / "idx")
    run("prepare", "mnist", "--from", str(tmp_path / "idx"))
    _damage(next((fresh_home / "data/mnist").glob("*/meta.json")).parent, how)
    line = next(line for line in run("list").stdout.splitlines() if line.startswith("mnist "))
    assert " damaged " in line and f"run `ddbench data prepare mnist --from {tmp_path / 'idx'}`" in line


def test_the_schemes_stand_in_lines_of_their_own() -> None:
    lines = [line.split() for line in run("prepare", "--help").stdout.splitlines()]
    assert all([f"{scheme}:PATH"] in [line[:1] for line in lines] for scheme in ("folder", "hf", "npz", "svhn", "tiny"))


def test_prepare_takes_the_column_of_labels_and_the_list_says_where_the_copy_is_from(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": files.encoded(image), "path": None} for image in files.pixels(24, 8, 8, 3)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"image": pa.array(images, kind), "label": pa.array([0, 1] * 12), "target": pa.array([0, 1, 2, 3] * 6)}
    pq.write_table(pa.table(columns), tmp_path / "train-0.parquet")
    with pytest.raises(DataError, match="label, target: choose one with --label COLUMN"):
        run("prepare", f"two=hf:{tmp_path}")
    assert "3×8×8, 4 classes" in run("prepare", f"two=hf:{tmp_path}", "--label", "target").stdout
    (row,) = [row for row in json.loads(run("list", "--json").stdout) if row["name"] == "two"]
    assert (row["classes"], row["source"]) == (4, f"hf:{tmp_path}")
    with pytest.raises(UsageError, match="parquet files alone"):
        run("prepare", "digits", "--label", "target")
