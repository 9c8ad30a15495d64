"""Data sets of users' own that were prepared: named alone, whatever became of their files."""

from __future__ import annotations

import json
import os
import shutil
import warnings

import numpy as np
import pytest
from click.testing import CliRunner

from ddbench.cli import data as cli
from ddbench.core.errors import DataError, NewerRecordError, UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.store.files import StoreWarning
from ddbench.data.catalog import DATASETS, SCHEMES
from ddbench.data.dataset import open_data
from ddbench.data.prepared.on_disk import META
from ddbench.data.prepared.prepare import prepare, resolve
from ddbench.data.prepared.sources import own_names, parse_source
from tests.unit.data import data_files as files

pytestmark = pytest.mark.usefixtures("fresh_home")


def source(text):
    return parse_source(text, installed().datasets)


@pytest.fixture
def images(tmp_path):
    return files.write_folder(tmp_path / "images")


def test_a_prepared_set_is_known_by_its_name_with_the_same_key(images):
    by_path = open_data(f"my-own=folder:{images}", None, "default", "meanstd", installed())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_data("my-own", None, "default", "meanstd", installed()) == by_path
        assert open_data("My_Own", None, "default", "MeanStd", installed()) == by_path


def test_its_files_may_be_gone(images):
    made = prepare(source(f"mine=folder:{images}"))
    shutil.rmtree(images)
    assert resolve(source("mine")).revision == made.revision
    with pytest.raises(DataError, match=r"no such file or folder.*write mine alone"):
        source(f"mine=folder:{images}")


def test_files_that_changed_are_told_and_the_copy_is_used(images):
    made = prepare(source(f"mine=folder:{images}"))
    (next(images.rglob("*.png"))).unlink()
    with pytest.warns(StoreWarning, match=r"changed since it was decoded.*ddbench data prepare"):
        assert resolve(source("mine")).revision == made.revision


def test_the_copy_that_was_made_last_is_meant(images, tmp_path):
    first = prepare(source(f"mine=folder:{images}"))
    other = tmp_path / "other"
    shutil.copytree(images, other)
    next(other.rglob("*.png")).unlink()
    second = prepare(source(f"mine=folder:{other}"))
    assert first.revision != second.revision
    for pointer in first.folder.parent.glob("source-*.json"):
        last = json.loads(pointer.read_text())["revision"] == second.revision
        os.utime(pointer, ns=(0, 2 * 10**18 + last))
    assert resolve(source("mine")).revision == second.revision


def test_copies_that_are_gone_are_refused_with_the_command_that_makes_them(images):
    made = prepare(source(f"mine=folder:{images}"))
    shutil.rmtree(made.folder)
    with pytest.raises(DataError, match=f"gone or damaged: run `ddbench data prepare mine=folder:{images}`"):
        resolve(source("mine"))


@pytest.mark.parametrize("damaged", ["images.npy", "meta.json", "pointer", "labels"])
def test_a_damaged_copy_is_never_replaced_by_one_of_other_images(images, tmp_path, damaged):
    prepare(source(f"mine=folder:{images}"))
    other = tmp_path / "other"
    shutil.copytree(images, other)
    next(other.rglob("*.png")).unlink()
    last = prepare(source(f"mine=folder:{other}"))
    for pointer in last.folder.parent.glob("source-*.json"):
        latest = json.loads(pointer.read_text())["revision"] == last.revision
        if latest and damaged == "pointer":
            pointer.write_text("{")
        os.utime(pointer, ns=(0, 2 * 10**18 + latest))
    if damaged == "labels":
        labels = np.load(last.folder / "labels.npy")
        labels[0] = 2
        np.save(last.folder / "labels.npy", labels)
    elif damaged != "pointer":
        (last.folder / damaged).write_bytes(b"")
    with pytest.raises(DataError, match=r"that was made last, .* gone or damaged"):
        resolve(source("mine"))


def test_a_name_that_nobody_has_is_refused_with_own_names_among_the_known(images):
    prepare(source(f"zebra=folder:{images}"))
    assert own_names() == ["zebra"]
    with pytest.raises(UsageError, match="did you mean zebra"):
        source("zebar")


def test_preparing_it_again_needs_its_source(images):
    prepare(source(f"mine=folder:{images}"))
    with pytest.raises(UsageError, match=f"run `ddbench data prepare mine=folder:{images}`"):
        prepare(source("mine"))


@pytest.mark.parametrize("name", ["cifar-10", "m_nist", "fashion-mnist"])
def test_own_names_do_not_read_like_official_ones(images, name):
    with pytest.raises(UsageError, match="reads like"):
        source(f"{name}=folder:{images}")


def test_the_list_shows_it_with_its_source_and_says_when_that_is_gone(images):
    prepare(source(f"mine=folder:{images}"))

    def listed(*more):
        return CliRunner().invoke(cli.data, ["list", *more], catch_exceptions=False).stdout

    row = next(row for row in json.loads(listed("--json")) if row["name"] == "mine")
    assert (row["source"], row["classes"], row["embedded"]) == (f"folder:{images}", 2, False)
    assert f"your own, {sum(row['splits'].values())} images, from folder:{images}\n" in listed() + "\n"
    shutil.rmtree(images)
    assert "(not there any more)" in listed()


@pytest.mark.parametrize("change", [{"layout": 2}, {"hue": 1.0}])
def test_what_a_newer_ddbench_prepared_is_not_prepared_again(images, change):
    made = prepare(source(f"mine=folder:{images}"))
    meta = made.folder / META
    meta.write_text(json.dumps(json.loads(meta.read_text()) | change))
    before = {path: path.read_bytes() for path in made.folder.iterdir()}
    for text in ("mine", f"mine=folder:{images}"):
        with pytest.raises(NewerRecordError, match="newer than this ddbench"):
            resolve(source(text))
    assert {path: path.read_bytes() for path in made.folder.iterdir()} == before


@pytest.mark.parametrize("record", DATASETS, ids=lambda record: record.name)
def test_official_names_are_names_though_schemes_are_called_so(record):
    for text in (record.name, record.name.upper(), *record.aliases):
        assert parse_source(text, files.known()).record.name == record.name


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_with_a_path_alone_is_asked_for_a_name(scheme):
    with pytest.raises(UsageError, match=f"give the data set a name of your own: NAME={scheme}:x"):
        parse_source(f"{scheme}:x", files.known())
