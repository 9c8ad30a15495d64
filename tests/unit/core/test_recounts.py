"""Accuracies in files of records are held against each other: an edited one is no row, with or without a seal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ddbench.core.plugin.loader import installed
from ddbench.core.store.files import StoreWarning
from ddbench.core.store.jsonl import read_records, write_records
from ddbench.core.trust import sizes_told, wrong_mean
from ddbench.data.dataset import open_data
from ddbench.work.evaluate.predictions import Recounter, labels_of_test
from tests.factories import keyed, pair, unsealed

RECORDS = Path(__file__).parents[3] / "leaderboards" / "records"
DIGITS = [30, 30, 30, 31, 30, 30, 30, 30, 29, 30]


def lines_of(name):
    return [json.loads(line) for line in (RECORDS / f"{name}.jsonl").read_text().splitlines()]


def measured(lines):
    return [i for i, line in enumerate(lines) if line["kind"] == "evaluation" and line["status"] == "ok"]


def left_out(lines, folder):
    """How many lines of a file are not believed, and what is said of the first."""
    file = folder / "a.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.warns(StoreWarning) as told:
        found = read_records(file)
    return len(lines) - len(found), str(told[0].message)


@pytest.mark.parametrize("top1", ["99.9", "one more image"])
@pytest.mark.parametrize("name", ["digits", "digits-cross-arch", "digits-trajectory", "mnist-fifth", "families-digits"])
def test_an_accuracy_that_was_edited_is_no_row(tmp_path, name, top1):
    """Of records with the images that were right, and of older ones, where the other lines tell how large classes are."""
    lines = lines_of(name)
    line = lines[measured(lines)[3]]
    n = line["n_test"]
    line["metrics"]["top1"] = 99.9 if top1 == "99.9" else line["metrics"]["top1"] + 100 / n
    line.pop("seal", None)
    count, told = left_out(lines, tmp_path)
    assert count == 1 and "top1" in told


@pytest.mark.parametrize("value", [99.9, 50.001, 33.3])
def test_an_accuracy_is_a_whole_number_of_test_images(tmp_path, value):
    (_, record) = keyed(pair("dm", 50.0))
    content = unsealed(record)
    content["metrics"]["top1"] = value
    assert left_out([content, unsealed(keyed(pair("random"))[1])], tmp_path)[1].endswith(
        f"top1 {value:g} is no whole number of 300 test images; it is left out"
    )


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("mnist-fifth", (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)),
        ("digits-cross-arch", tuple(DIGITS)),
        ("fashionmnist-trajectory", (1000,) * 10),
        ("mnist-ipc500", None),  # three students leave other sizes possible
    ],
)
def test_accuracies_of_classes_tell_how_large_these_are(name, sizes):
    records = [record for record in read_records(RECORDS / f"{name}.jsonl") if record.kind == "evaluation"]
    measured = [record for record in records if record.status == "ok"]
    assert sizes_told(measured) == sizes
    assert sizes is None or not any(wrong_mean(record, sizes) for record in measured)


def of_classes(right, **fields):
    """An evaluation of digits whose student was right about so many images of each class; it does not say which."""
    shares = [100 * k / n for k, n in zip(right, DIGITS, strict=True)]
    return keyed(pair("dm", 100 * sum(right) / 300, metrics={"per_class": shares}, **fields))[1]


@pytest.mark.parametrize("moved", [1, 5, -3])
def test_where_the_data_are_here_classes_are_weighed_by_their_images(tmp_path, moved):
    spec = open_data("digits", None, "default", "meanstd", installed()).spec
    assert np.bincount(labels_of_test(spec)).tolist() == DIGITS
    data = {"revision": spec.revision}
    honest = of_classes([15] * 10, data=data)
    write_records(tmp_path / "a.jsonl", [honest])
    assert read_records(tmp_path / "a.jsonl", recount=Recounter()) == [honest]
    forged = honest.model_copy(update={"metrics": honest.metrics | {"top1": 50 + moved / 3}})
    write_records(tmp_path / "c.jsonl", [forged, keyed(pair("random", 40.0, data=data))[1]])
    with pytest.warns(StoreWarning, match="its classes' accuracies come to 50"):
        assert len(read_records(tmp_path / "c.jsonl", recount=Recounter())) == 1


def test_sets_of_a_file_are_those_that_its_evaluations_are_of(tmp_path):
    made, student = keyed(pair("dm", 50.0))
    other = keyed(pair("random", 40.0))
    for digests, lost in ((("a", "a"), 0), (("a", "b"), 1)):
        made.set_sha256, student.set_sha256 = (digest * 64 for digest in digests)
        write_records(tmp_path / "a.jsonl", [made, student, *other])
        if lost:
            with pytest.warns(StoreWarning, match="evaluates another set than line"):
                assert len(read_records(tmp_path / "a.jsonl")) == 3
        else:
            assert len(read_records(tmp_path / "a.jsonl")) == 4
