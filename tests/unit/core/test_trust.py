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
from ddbench.core.store.folder import CONDENSE, Store, amend, read_record
from ddbench.core.store.jsonl import read_records, write_records
from ddbench.core.trust import doubt, doubt_of_labels, wrong_per_class
from tests.factories import cell, change, keyed, pair, placed, unsealed

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
    return unsealed(record) | fields


def condensation(**fields) -> dict:
    return unsealed(keyed(pair("dm"))[0]) | fields


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


# --------------------------------------------------------------------------------------------------------------- seals


def sealed_evaluation() -> dict:
    return json.loads(keyed(pair("dm", TRUE["top1"], metrics=TRUE))[1].to_json())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "label"), "another"),
        (("spec", "set", "label"), "another"),
        (("spec", "set", "profile"), "paper"),
        (("spec", "facts", "n_train"), 5),
        (("spec", "facts", "notes"), ["taken from the test images"]),
        (("spec", "facts", "role"), {"kind": "control", "of": []}),
        (("metrics", "loss"), 0.5),
        (("metrics", "train_top1"), 12.5),
        (("selection",), {"lr": 1.0}),
        (("cost", "evaluate_s"), 0.0),
        (("cost", "contended"), True),
        (("warnings",), ["mine"]),
        (("env",), {"device": "cuda"}),
        (("finished",), "2026-01-01T00:00:00+00:00"),
        (("seal",), "0" * 64),
        (("seal",), None),
        (("seal",), 3),
    ],
)
def test_whatever_is_changed_in_a_sealed_record_it_is_not_believed(path, value):
    content = sealed_evaluation()
    assert refused(content) is None
    at(content, *path[:-1])[path[-1]] = value
    assert refused(content) is not None


@pytest.mark.parametrize("name", ["seal", "cost", "label", "schema"])
def test_what_stands_twice_in_a_sealed_record_is_no_way_around_the_seal(name):
    text = json.dumps(sealed_evaluation()).replace(f'"{name}": ', f'"{name}": 1, "{name}": ', 1)
    with pytest.raises(CorruptFileError):
        Record.from_json(text, "here")


@pytest.mark.parametrize("field", ["schema", "cost", "env", "metrics"])
def test_what_every_record_says_is_missed(field):
    content = evaluation()
    del content[field]
    assert refused(content) is not None


def test_the_seal_is_of_the_content_however_that_is_written():
    (made, record) = keyed(pair("dm", 50.0, reason="größer"))
    for kind in (made, record):
        text = kind.to_json()
        content = json.loads(text)
        whole = json.loads(text, parse_float=lambda x: int(float(x)) if float(x).is_integer() else float(x))
        for same in (content, dict(reversed(content.items())), whole):
            again = Record.from_json(json.dumps(same), "here")
            assert again == kind and again.seal is None
            assert json.loads(again.to_json())["seal"] == content["seal"]
        assert kind.to_json(indent=None).count("\n") == 0


def test_a_changed_record_is_told_in_its_folder_and_in_a_file(tmp_path, fresh_home):
    made, path = placed(tmp_path, pair("dm", 50.0))
    text = path.read_text()
    write_records(tmp_path / "a.jsonl", [Record.from_json(one.read_bytes(), "here") for one in (made, path)])
    assert len(read_records(tmp_path / "a.jsonl")) == 2
    for one in (path, tmp_path / "a.jsonl"):
        one.write_text(
            one.read_text().replace('"n_train": 1197', '"n_train": 5').replace('n_train":1197', 'n_train":5')
        )
    found, told = looked_at(tmp_path)
    assert len(found) == 1 and "changed after it was written" in told[0]
    with pytest.warns(StoreWarning, match="changed after it was written"):
        assert len(read_records(tmp_path / "a.jsonl")) == 1
    path.write_text(text)
    assert amend(path, read_record(path), {"quartiles": [1.0, 2.0, 3.0, 4.0]}) is not None
    assert read_record(path).metrics["quartiles"] == [1.0, 2.0, 3.0, 4.0] and path.read_text() != text


# -------------------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("method", "label", "other"),
    [
        ("dm", "datm", "datm"),
        ("dm", "DATM", "datm"),
        ("dm", " datm ", "datm"),
        ("dm", "datm (0 steps)", "datm"),
        ("dm", "datm (lr_img=1.0)", "datm"),
        ("dm", "random@bytes (for datm)", "random"),
        ("random", "dm (recipe of datm)", "dm"),
        ("dm", "dm", None),
        ("dm", "dm (0 steps)", None),
        ("dm", "mine, better than datm", None),
        ("random", "random (recipe of datm)", None),
        ("random", "random@uint8 (for datm)", None),
        ("gone", "gone", None),
        ("imported", "datm", None),
    ],
)
def test_a_row_is_not_called_by_the_name_of_another_method(method, label, other):
    record = pair(method, 50.0, label=label)[1]
    why = doubt_of_labels(record, ["full", "random", "random_soft", "dm", "datm"])
    assert (why is None) if other is None else why.endswith(f"by the name of {other}")


@pytest.mark.parametrize("profile", ["cpu", "", "Short", "smoke ", "paper!"])
def test_profiles_are_those_that_there_are(profile):
    content = evaluation()
    content["spec"]["set"]["profile"] = profile
    assert "profile" in refused(content)


@pytest.mark.parametrize(
    "fields",
    [{"metrics": TRUE | {"loss": -5.0}}, *({"selection": {name: -3}} for name in ("lr", "own_lr", "step", "tried"))],
)
def test_losses_and_learning_rates_are_not_below_zero(fields):
    assert refused(evaluation(**fields)) is not None


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
