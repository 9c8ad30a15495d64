"""A record is believed only where its key, its document, its place and its numbers agree."""

from __future__ import annotations

import json
import os
import warnings

import numpy as np
import pytest

from ddbench.core.correctness import pack
from ddbench.core.errors import CorruptFileError
from ddbench.core.records import Record
from ddbench.core.store.files import StoreWarning
from ddbench.core.store.folder import CONDENSE, Store, read_record
from ddbench.core.store.jsonl import read_records, write_records
from ddbench.core.trust import doubt, wrong_per_class
from tests.factories import cell, change, keyed, pair, placed

LABELS = np.arange(300) % 10
HITS = np.random.default_rng(0).random(300) < 0.6
TRUE = {
    "top1": 100.0 * HITS.mean(),
    "loss": 1.5,
    "per_class": [100.0 * HITS[c == LABELS].mean() for c in range(10)],
    "correct": pack(HITS),
    "train_top1": 90.0,
    "val_top1": {"10": None, "20": 50.0},
}


def evaluation(**fields) -> dict:
    """The JSON of an evaluation that agrees with itself."""
    record = keyed(pair("dm", TRUE["top1"], metrics=TRUE))[1]
    return json.loads(record.to_json()) | fields


def condensation(**fields) -> dict:
    return json.loads(keyed(pair("dm"))[0].to_json()) | fields


def refused(content: dict) -> str | None:
    """Why a record of this JSON is not used; NaN and infinities are written as Python writes them."""
    try:
        return doubt(Record.from_json(json.dumps(content), "here"))
    except CorruptFileError as error:
        return str(error)


def test_records_as_runs_leave_them_are_believed():
    assert refused(evaluation()) is None and refused(condensation()) is None
    for record in keyed([*cell("random", [40.0, None], ipc=1), *cell("full", [97.5])]):
        assert doubt(record) is None


@pytest.mark.parametrize("name", ["top1", "train_top1"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 100.001, 1e300, "50", True, [50.0], 10**20])
def test_accuracies_that_cannot_be_are_not_believed(name, value):
    assert refused(evaluation(metrics=TRUE | {name: value})) is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"top1": TRUE["top1"] + 100 / 300},
        {"top1": TRUE["top1"] + 1e-3},
        {"correct": pack(~HITS)},
        {"correct": pack(HITS[:200])},
        {"correct": "no base64!"},
        {"correct": 3},
        {"correct": {"a": 1}},
        {"per_class": [99.0] * 10},
        {"per_class": [1.0] * 10},
        {"per_class": [*TRUE["per_class"][:9], float("nan")]},
        {"per_class": "50"},
        {"per_class": {"0": 50.0}},
        {"val_top1": {"10": 101.0}},
        {"val_top1": [50.0]},
        {"loss": float("inf")},
        {"updates": "many"},
        {"mine": {"a": {"b": {"c": {"d": {"e": 1}}}}}},
    ],
)
def test_numbers_that_contradict_each_other_are_not_believed(changed):
    assert refused(evaluation(metrics=TRUE | changed)) is not None


@pytest.mark.parametrize("n_test", [0, -300, 299, 10**9, 2**60])
def test_the_number_of_test_images_is_that_of_the_correct_ones(n_test):
    assert refused(evaluation(n_test=n_test)) is not None


def at(content, *path):
    for name in path:
        content = content[name]
    return content


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("key",), "0" * 64),
        (("spec", "key"), "0" * 64),
        (("spec", "eval", "e"), 1),
        (("spec", "eval", "protocol"), "native"),
        (("spec", "eval", "protocol_params", "updates"), 7),
        (("spec", "eval", "set"), "0" * 64),
        (("spec", "set", "key"), "0" * 64),
        (("spec", "set", "cell", "method"), "datm"),
        (("spec", "set", "cell", "r"), 1),
        (("spec", "set", "cell", "data", "revision"), "1" * 16),
        (("spec", "set", "cell", "budget"), {"ipc": 50, "fraction": None}),
        (("spec", "set", "cell", "params"), {"iterations": 5}),
        (("spec", "facts", "n_train"), -5),
        (("cost", "evaluate_s"), float("nan")),
        (("cost", "steps"), -1),
        (("started",), "yesterday"),
        (("env",), {"engine": {"a": 1}}),
        (("env",), {"inputs": "eager"}),
        (("env",), {"plugin": " "}),
        (("selection",), {"lr": "fast"}),
        (("status",), "failed"),
    ],
)
def test_what_the_key_does_not_stand_for_is_not_believed(path, value):
    content = evaluation()
    at(content, *path[:-1])[path[-1]] = value
    assert refused(content) is not None


@pytest.mark.parametrize(
    "fields",
    [{"metrics": {"matching_loss": float("nan")}}, {"metrics": {"accepted_steps": "few"}}, {"key": "x"}, {"key": ""}],
)
def test_sets_are_held_to_the_same(fields):
    assert refused(condensation(**fields)) is not None


def test_accuracies_of_classes_are_recounted_where_the_labels_are_known():
    record = Record.from_json(json.dumps(evaluation()), "here")
    assert wrong_per_class(record, HITS, LABELS) is None
    record.metrics["per_class"] = TRUE["per_class"][::-1]
    assert "per_class says" in wrong_per_class(record, HITS, LABELS)
    assert "test images" in wrong_per_class(record, HITS[:9], LABELS)


# ------------------------------------------------------------------------------------------------------------- folders


def looked_at(folder):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = [record.key for _, record in Store(folder).records()]
    return found, [str(one.message) for one in told if issubclass(one.category, StoreWarning)]


@pytest.mark.parametrize("several", ["students", "sets"])
def test_exchanged_records_are_left_out_with_a_word_each_and_stay(tmp_path, fresh_home, several):
    more = {"e": 1} if several == "students" else {"ipc": 10}
    files = placed(tmp_path, [*pair("dm", 50.0), *pair("dm", 60.0, **more)])
    (_, one, *_, other) = files
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    found, told = looked_at(tmp_path)
    assert len(found) == len({*files}) - 2 and len(told) == 2
    assert one.read_bytes() == second


def test_an_evaluation_of_another_set_file_is_left_out(tmp_path, fresh_home):
    records = pair("dm", 50.0)
    for record, digest in zip(records, ("a" * 64, "b" * 64), strict=True):
        record.set_sha256 = digest
    placed(tmp_path, records)
    found, told = looked_at(tmp_path)
    assert len(found) == 1 and "another set" in told[0]


ODD = {
    "deep": "[" * 100_000,
    "deep object": '{"spec":' * 5000,
    "long integer": '{"schema": ' + "9" * 5000 + "}",
    "long key": json.dumps(evaluation(key="a" * 10**6)),
    "nan": json.dumps(evaluation(metrics=TRUE | {"top1": float("nan")})),
    "surrogate": json.dumps(evaluation()).replace('"dm"', '"\\ud800"', 1),
    "not utf-8": "\xff\xfe",
    "empty": "",
    "number": "3",
    "integer in params": json.dumps(condensation()).replace('"params": {}', '"params": {"a": ' + "9" * 5000 + "}"),
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["condense", "eval"])
def test_a_record_of_odd_structure_ends_nothing(tmp_path, fresh_home, text, name):
    path = placed(tmp_path, pair("dm"))[name == "eval"]
    path.write_bytes(text.encode("latin-1", "surrogatepass"))
    found, told = looked_at(tmp_path)
    assert len(found) == (name == "eval"), "an evaluation of a set that is not believed is none, either"
    assert len(told) == (1 if name == "eval" else 2)
    with pytest.warns(StoreWarning):
        assert read_record(path) is None
    assert not path.exists() and path.with_name(path.name + ".corrupt").exists()


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "nowhere"])
def test_what_is_no_file_is_no_record_and_nobody_waits_for_it(tmp_path, fresh_home, kind):
    path = placed(tmp_path, pair("dm"))[1]
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path if kind == "loop" else tmp_path / "nowhere")
    assert len(looked_at(tmp_path)[0]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_record(path) is None


def test_who_computes_nothing_renames_nothing(tmp_path, fresh_home):
    path = placed(tmp_path, pair("dm"))[0]
    path.write_text("{}")
    with pytest.warns(StoreWarning):
        assert Store(tmp_path, aside=False).condensation(path.parent) is None
    assert path.read_text() == "{}" and not path.with_name(f"{CONDENSE}.corrupt").exists()


def test_a_line_that_cannot_be_believed_is_left_out_of_a_file_of_records(tmp_path):
    good, bad = keyed([*pair("dm", 50.0), *pair("dm", 60.0, e=1)])[1:4:2]
    change(bad, eval={"e": 2})
    write_records(tmp_path / "a.jsonl", [good, bad])
    with pytest.warns(StoreWarning, match="left out"):
        assert read_records(tmp_path / "a.jsonl") == [good]


@pytest.mark.parametrize("how", ["forged", "no record", "not JSON"])
def test_evaluations_of_a_set_that_is_not_believed_are_left_out_of_a_file(tmp_path, how):
    made, student, *others = keyed([*pair("dm", 50.0), *pair("random", 40.0)])
    if how == "forged":
        change(made, cell={"params": {"lr": 1}})
    write_records(tmp_path / "a.jsonl", [made, student, *others])
    text = (tmp_path / "a.jsonl").read_text()
    mine = next(line for line in text.splitlines() if json.loads(line)["key"] == made.key)
    wrong = {"forged": mine, "no record": mine.replace('"metrics":{}', '"metrics":3'), "not JSON": mine[:99]}[how]
    (tmp_path / "a.jsonl").write_text(text.replace(mine, wrong))
    with pytest.warns(StoreWarning) as told:
        found = read_records(tmp_path / "a.jsonl")
    read = [Record.from_json(line, "here") for line in text.splitlines()]
    lost = [] if how == "not JSON" else [student]  # of a line that is cut nobody knows what it was about
    assert found == [record for record in read if record.key not in {made.key, *(one.key for one in lost)}]
    assert len(told) == 1 + len(lost)
