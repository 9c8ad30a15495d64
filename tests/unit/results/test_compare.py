"""Two collections of records, compared evaluation by evaluation."""

from __future__ import annotations

import json

import pytest

from ddbench.core.store.jsonl import write_records
from ddbench.publish.leaderboard import ordered
from ddbench.results.audit.compare import compare, machines_differ
from ddbench.results.stats.prediction import prediction_interval
from ddbench.results.tables.observations import ORIGIN
from tests.e2e.runs import ddbench
from tests.factories import cell, change, keyed, pair


def outcomes(first, second):
    return [found.outcome for found in compare(first, second)]


def with_correct(records, correct):
    for record in records:
        if record.kind == "evaluation":
            record.metrics["correct"] = correct
    return records


def test_the_same_records_are_equal_in_any_order():
    records = [*cell("dm", [50.0, 51.0, 54.0]), *cell("full", [97.0, 98.0, 98.0]), *cell("mtt", [None, 40.0, 41.0])]
    assert outcomes(records, records[::-1]) == ["equal"] * 9


def test_of_equal_keys_the_latest_counts_wherever_its_row_stands():
    def placed(records, place):
        facts = [
            r.document.facts.model_copy(update={"place": place}) if r.kind == "evaluation" else None for r in records
        ]
        return [
            r if known is None else r.model_copy(update={"document": r.document.model_copy(update={"facts": known})})
            for r, known in zip(records, facts, strict=True)
        ]

    old, new = cell("dm", [50.0]), cell("dm", [60.0])
    for first, last in ((5, 1), (1, 5)):
        assert outcomes([*placed(old, first), *placed(new, last)], new) == ["equal"]


def test_what_one_of_them_lacks_is_named_on_its_side():
    three, two = cell("dm", [50.0, 51.0, 54.0]), cell("dm", [50.0, 51.0])
    assert outcomes(three, two) == ["equal", "equal", "only in first"]
    assert outcomes(two, three) == ["equal", "equal", "only in second"]


@pytest.mark.parametrize("shift", [0.5, 30.0])
def test_another_accuracy_is_inside_or_outside_of_its_rows_interval(shift):
    scores = [50.0, 51.0, 54.0, 52.0]
    changed = [scores[0] + shift, *scores[1:]]
    interval = prediction_interval([[score] for score in scores], n_test=300)
    expected = "inside" if interval.contains(changed[0]) else "outside"
    assert outcomes(cell("dm", scores), cell("dm", changed)) == [expected, "equal", "equal", "equal"]
    assert (expected == "outside") == (shift > 10)


def test_intervals_of_several_differences_are_wider():
    scores = [50.0, 51.0, 54.0, 52.0]
    interval = prediction_interval([[score] for score in scores], n_test=300)
    mean, beyond = sum(scores) / 4, 1.02 * (interval.high - interval.low) / 2
    assert outcomes(cell("dm", scores), cell("dm", [mean + beyond, *scores[1:]])) == ["outside", *["equal"] * 3]
    changed = [mean + beyond, 51.5, 54.5, 52.5]
    assert outcomes(cell("dm", scores), cell("dm", changed)) == ["inside"] * 4


def test_equal_accuracies_on_other_images_are_not_equal():
    first, second = (with_correct(cell("dm", [50.0, 51.0, 54.0]), correct) for correct in ("0f", "f0"))
    assert outcomes(first, second) == ["inside"] * 3
    assert outcomes(first, cell("dm", [50.0, 51.0, 54.0])) == ["equal"] * 3  # older records do not say which


def test_another_set_is_not_equal_whatever_its_accuracy():
    first, second = cell("dm", [50.0, 51.0, 54.0]), cell("dm", [50.0, 51.0, 54.0])
    for record in second:
        record.set_sha256 = "ab" * 32
    found = compare(first, second)
    assert [one.outcome for one in found] == ["inside"] * 3
    assert all(one.why.startswith("another set; 5") for one in found)


def test_a_failure_beside_a_result_is_said_with_its_reason():
    (found,) = compare(pair("dm", 50.0), pair("dm", None, status="nan", reason="loss is nan at step 17"))
    assert (found.outcome, found.why, found.good) == ("status", "ok and nan: loss is nan at step 17", False)


def test_other_parameters_are_named():
    first, second = cell("dm", [50.0], params={"iterations": 100}), cell("dm", [50.0], params={"iterations": 200})
    (found,) = compare(first, second)
    assert (found.outcome, found.why) == ("other key", "iterations 100 and 200")


def test_weak_intervals_do_not_judge():
    (found,) = compare(pair("dm", 50.0), pair("dm", 90.0))
    assert (found.outcome, found.weak, found.good) == ("outside", True, True)


def test_machines_that_round_otherwise_are_named():
    first, second = pair("dm"), pair("dm")
    for records, threads in ((first, 1), (second, 2)):
        for record in records:
            record.env = {"threads": threads, "engine": "fused"}
    assert machines_differ(first, second) == ["threads: 1 and 2"]
    assert machines_differ(first, pair("dm")) == []  # older records do not say


def from_file(digit):
    """A cell of a one-file plugin, whose origin is the hash of its text."""
    records = cell("mine", [50.0])
    for record in records:
        change(record, cell={"origin": digit * 64})
    return keyed(records)


def test_places_stand_as_the_command_has_its_rows_and_repetitions_in_their_order():
    named = {"zeta": 1, "alpha": 2, "random": 3}
    records = [one for row, at in named.items() for one in cell(row, [50.0] * 3, ipc=10, facts={"place": at})]
    records += [*cell("zeta", [50.0], ipc=1, facts={"place": 1}), *cell("full", [97.0])]
    found = compare(ordered(keyed(records)), [])
    assert [(one.row, one.budget and one.budget.ipc) for one in found if not one.first.r] == [
        ("full", None), ("random", 10), ("zeta", 1), ("zeta", 10), ("alpha", 10)
    ]  # fmt: skip
    assert [one.first.r for one in found if one.budget and one.budget.ipc == 10] == [0, 1, 2] * 3


@pytest.mark.parametrize(("score", "end"), [(99.0, "100.00]"), (1.0, "[0.00, ")])
def test_an_interval_ends_where_accuracies_do(score, end):
    (found,) = compare(pair("dm", score), pair("dm", 50.0))
    assert end in found.why


def test_origins_are_short_and_the_command_says_what_they_are(tmp_path, capsys):
    (found,) = compare(from_file("a"), from_file("b"))
    assert (found.outcome, found.why) == ("other key", "origin aaaaaaaa and bbbbbbbb")
    files = [tmp_path / f"{digit}.jsonl" for digit in "ab"]
    for file in files:
        write_records(file, from_file(file.stem))
    assert ORIGIN in call(*files, capsys=capsys)[1].splitlines()
    assert ORIGIN not in call(files[0], files[0], capsys=capsys)[1].splitlines()


def test_the_hashes_of_compiled_operations_are_named():
    collections = [pair("dm"), pair("dm")]
    for digit, records in zip("ab", collections, strict=True):
        for record in records:
            record.env = {"compiled": digit * 16}
    (said,) = machines_differ(*collections)
    assert said == f"hashes of the compiled operations: {'a' * 16} and {'b' * 16}"


def call(*words, capsys):
    code = ddbench("results", "compare", *map(str, words))
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_command_counts_by_row_and_says_each_difference(tmp_path, capsys):
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    write_records(first, keyed([*cell("dm", [50.0, 51.0, 54.0]), *cell("mtt", [60.0, 61.0, 62.0])]))
    write_records(second, keyed([*cell("dm", [50.0, 51.0, 94.0]), *cell("mtt", [60.0, 61.0])]))
    code, out, _ = call(first, first, capsys=capsys)
    assert code == 0
    assert "equal: 6" in out
    code, out, _ = call(first, second, capsys=capsys)
    assert code == 1
    assert "dm ipc 1 · digits · hard@1 convnet2-w32-in · r2 e0: the same set, another student; 54.00 and 94.00" in out
    assert "only in first: 1\n  mtt ipc 1 · digits · hard@1 convnet2-w32-in · r2 e0\n" in out


def test_folders_without_results_and_files_that_are_not_there_are_refused(tmp_path, capsys):
    records = tmp_path / "records.jsonl"
    write_records(records, keyed(pair("dm")))
    for other, said in ((tmp_path / "gone", "no such results folder"), (tmp_path, "no evaluations")):
        code, _, err = call(records, other, capsys=capsys)
        assert code == 2
        assert said in err
        assert json.loads(records.read_text().splitlines()[0])  # nothing was written
