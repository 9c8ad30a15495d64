"""``ddbench data list`` and ``prepare``."""

from __future__ import annotations

import json
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
