"""Fields that a run fills in together are held against each other: one that was edited alone is found, with a line."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path

import pytest

from ddbench.core.agreement import ROUNDING, contradicted
from ddbench.core.plugin.loader import installed
from ddbench.core.records import Record
from ddbench.core.store.files import StoreWarning
from ddbench.core.store.jsonl import read_records, write_records
from ddbench.core.trust import doubt
from ddbench.data.dataset import open_data
from ddbench.work import attempt
from ddbench.work.evaluate.predictions import Recounter
from tests.factories import keyed, pair

RECORDS = Path(__file__).parents[3] / "leaderboards" / "records"
SGD = {"updates": 1000, "drop_after": 500, "lr": [0.01, 0.03], "learned_lr": True}


def said(record):
    """Why a record in a file is not believed; None: it is."""
    return doubt(record) or contradicted(record)


def committed(name, which):
    """The lines of a file, and the first evaluation with a result of which something holds."""
    lines = [json.loads(line) for line in (RECORDS / f"{name}.jsonl").read_text().splitlines()]
    return lines, next(one for one in lines if one["kind"] == "evaluation" and one["status"] == "ok" and which(one))


def edited(content, path, value):
    content.pop("seal", None)
    *places, name = path.split("/")
    for place in places:
        content = content[place]
    content[name] = value


def refused(lines, folder):
    """What is said of the one line of a file that is left out."""
    file = folder / "a.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.warns(StoreWarning) as told:
        found = read_records(file)
    assert len(lines) - len(found) == 1
    return str(told[0].message)


def chosen_here(line):
    return len(line["selection"]["val_top1"]) > 1


def chosen_elsewhere(line):
    return line["spec"].get("choice") is not None


def of_recipe(line):
    return line["spec"]["eval"]["protocol"] == "native" and line["spec"].get("recipe") is not None


def fixed(line):
    return line["spec"]["eval"]["protocol"] == "hard-fixed"


def any_one(line):
    return line["metrics"]["top1"] < 100


def no_reference(line):
    return not line["spec"]["set"]["shared"]


@pytest.mark.parametrize(
    ("name", "which", "path", "value", "said"),
    [
        ("cpu-digits", chosen_here, "selection/lr", 12345, "selection.lr is 12345, which is not the best"),
        ("families-digits", chosen_elsewhere, "selection/lr", 12345, "but its protocol's are 0.003, 0.01, 0.03"),
        (
            "fashionmnist-reproduction",
            fixed,
            "selection/lr",
            12345,
            "selection.lr is 12345, but its protocol's are 0.01",
        ),
        ("cpu-digits", chosen_here, "selection/val_top1", {"0.01": 99.9}, "no learning rate to choose"),
        ("cpu-digits", chosen_here, "selection/val_top1", {"0.01": 90.0, "0.02": 80.0}, "is of the learning rates"),
        ("cpu-digits", chosen_here, "selection/val_top1", {}, "selection.val_top1 is empty"),
        ("cpu-digits", chosen_here, "selection/val_top1/0.01", 99.9, "no whole number of 300 val images"),
        ("cpu-digits", chosen_here, "selection/val_top1/0.03", 100.0, "not the best"),
        ("families-digits", chosen_elsewhere, "selection/val_top1", {"0.01": 99.9}, "no learning rate to choose"),
        ("families-digits", of_recipe, "selection/val_top1", {"0.01": 99.9}, "no learning rate to choose"),
        ("cpu-digits", chosen_here, "selection/tried", 9, "selection.tried is 9"),
        ("cpu-digits", chosen_here, "selection/learned", True, "selection.learned is True"),
        ("families-digits", any_one, "metrics/val_top1/U", 50.1, "no whole number of 300 val images"),
        ("families-digits", any_one, "cost/steps", 7, "cost.steps is 7, but the record is of"),
        ("cpu-digits", chosen_here, "cost/steps", 1000, "students of"),
        ("families-digits", chosen_elsewhere, "metrics/updates", 7, "metrics.updates is 7, but its protocol's are"),
        ("families-digits", of_recipe, "metrics/updates", 10**6, "but its protocol allows"),
        ("families-digits", of_recipe, "metrics/recipe_updates", 5, "metrics.recipe_updates is 5"),
        ("families-digits", no_reference, "spec/facts/n", 11, "facts.n is 11, but"),
        ("families-digits", any_one, "spec/facts/n_train", 100000, "but 1197 in line"),
        ("families-digits", any_one, "spec/facts/n_val", 600, "but 300 in line"),
        ("families-digits", any_one, "spec/facts/image_bytes", 1, "but 64 in line"),
        ("families-digits", any_one, "reason", "boom", "reason is 'boom', but its status is ok"),
        ("families-digits", any_one, "metrics/loss", 0.0, "wrong test images make it at least"),
        ("families-digits", any_one, "finished", "2020-01-01T00:00:00+00:00", "before it started"),
        ("families-digits", any_one, "finished", "2999-01-01T00:00:00+00:00", "but here it is"),
    ],
)
def test_one_field_that_was_edited_is_told_with_what_it_contradicts(tmp_path, name, which, path, value, said):
    lines, line = committed(name, which)
    edited(line, path, value)
    told = refused(lines, tmp_path)
    assert f"a.jsonl:{lines.index(line) + 1}: " in told and said in told


@pytest.mark.parametrize(
    ("path", "value"), [("reason", "boom"), ("finished", "2999-01-01"), ("finished", "2020-01-01")]
)
def test_sets_are_held_to_times_and_reasons_too(tmp_path, path, value):
    lines = [json.loads(line) for line in (RECORDS / "digits.jsonl").read_text().splitlines()]
    edited(next(line for line in lines if line["kind"] == "condense"), path, value)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.warns(StoreWarning, match=f"{path} is "):
        read_records(tmp_path / "a.jsonl")


def test_what_has_no_result_has_no_selection():
    record = keyed(pair("dm", status="failed", reason="it broke"))[1]
    assert said(record) is None
    record.selection = {"lr": 0.01}
    assert said(record) == "it is failed and has a selection"


def student(*, params=SGD, selection=None, metrics=None, steps=1000, top1=50.0, **fields):
    """An evaluation of a digits set that the given protocol's params are for."""
    made = pair("dm", top1, metrics={"per_class": [top1] * 10, **(metrics or {})}, steps=steps, **fields)[1]
    content = made.document.model_dump(mode="json")
    content["eval"]["protocol_params"] = params
    made.document = type(made.document).model_validate(content)
    made.selection = selection
    return keyed([made])[0]


@pytest.mark.parametrize(
    ("loss", "top1", "possible"),
    [
        (math.log(2) / 2, 50.0, True),
        (math.log(2) / 2 * (1 - 2 * ROUNDING), 50.0, False),
        (0.0, 100.0, True),
        (math.log(10), 100.0, True),
        (2.4, 100.0, False),
        (1e9, 99.0, True),
        (None, 50.0, True),
    ],
)
def test_a_loss_is_bounded_by_how_many_images_are_wrong(loss, top1, possible):
    assert (said(student(metrics={"loss": loss}, top1=top1)) is None) == possible


RATES = {"lr": 0.03, "learned": False, "tried": 2, "val_top1": {"0.01": 50.0, "0.03": 60.0}}
LEARNED = {"lr": 0.5, "learned": True, "tried": 3, "val_top1": {"0.01": None, "0.03": 50.0, "0.5": 60.0}, "own_lr": 0.5}
TIED = {"lr": 0.03, "learned": False, "tried": 2, "val_top1": {"0.01": 60.0, "0.03": 60.0}}


@pytest.mark.parametrize(
    ("fields", "believed"),
    [
        ({"selection": RATES, "steps": 2000}, True),
        ({"selection": TIED, "steps": 2000}, True),
        ({"selection": RATES, "steps": 2000, "metrics": {"val_top1": {"U": 60.0}}}, True),
        ({"selection": RATES, "steps": 3000}, False),
        ({"selection": RATES, "steps": 3000, "student": {"attempts": 2}}, True),  # the best one was trained again
        ({"selection": RATES, "steps": 1999, "student": {"attempts": 2}}, False),
        ({"selection": LEARNED, "steps": 3000}, True),
        ({"selection": LEARNED, "steps": 2017}, True),  # the first one diverged
        ({"selection": LEARNED, "steps": 1999}, False),
        ({"selection": {**LEARNED, "own_lr": 0.4}, "steps": 3000}, False),
        ({"selection": {n: v for n, v in LEARNED.items() if n != "own_lr"}, "steps": 3000}, True),  # of before
        ({"selection": LEARNED, "steps": 3000, "params": {**SGD, "learned_lr": False}}, False),
        ({"selection": {**RATES, "own_lr": 0.4}, "steps": 2000}, False),
        ({"selection": {**RATES, "own_lr": 0.4}, "steps": 2000, "params": {**SGD, "learned_lr": False}}, True),
        ({"selection": {**RATES, "val_top1": {"fast": 50.0, "0.03": 60.0}}, "steps": 2000}, False),
        ({"selection": {"lr": 7}, "params": {"lr": "x"}}, True),  # what its protocol does is not known
    ],
)
def test_rates_and_steps_are_those_that_a_run_can_leave(fields, believed):
    assert (said(student(**fields)) is None) == believed


def test_the_chosen_student_ends_where_its_learning_rate_was_scored():
    record = student(selection=RATES, steps=2000, metrics={"val_top1": {"U": 61.0}})
    assert said(record) is None
    record.env = {"device": "cpu"}
    assert "metrics.val_top1 ends at 61, but selection.val_top1 has 60" in said(record)
    record.cost.attempts = 2
    assert "ends at" not in (said(record) or "")


def test_of_protocols_of_others_only_what_the_stage_around_them_does_is_known():
    params = {"updates": 1000, "drop_after": 500, "lr": [0.01, 0.03], "learned_lr": False}
    record = student(params=params, selection={"lr": 7, "tried": 1, "val_top1": {}}, steps=3)
    assert "selection.lr is 7" in said(record)
    content = record.document.model_dump(mode="json")
    content["eval"]["origins"] = {"protocol": "somebody"}
    record.document = type(record.document).model_validate(content)
    (record,) = keyed([record])
    assert said(record) is None
    record.selection = {"lr": 7, "tried": 2, "val_top1": {"0.01": 1.0, "0.03": 2.0}}
    assert "not the best" in said(record)


@pytest.mark.parametrize(
    ("n", "budget", "short", "possible"),
    [
        (10, {"ipc": 1}, None, True),
        (11, {"ipc": 1}, None, False),
        (9, {"ipc": 1}, None, True),  # a class without images
        (95, {"ipc": 10}, {"classes": 2, "of": 10, "least": 6, "most": 9}, True),
        (91, {"ipc": 10}, {"classes": 2, "of": 10, "least": 6, "most": 9}, False),
        (99, {"ipc": 10}, {"classes": 2, "of": 10, "least": 6, "most": 9}, False),
        (120, {"fraction": 0.1}, None, True),
        (135, {"fraction": 0.1}, None, False),
        (100, {"fraction": 0.1}, None, False),
    ],
)
def test_images_of_a_set_are_those_of_its_budget(n, budget, short, possible):
    facts = {"n": n} | ({"short": short} if short else {})
    record = student(params={"updates": 1000}, facts=facts, ipc=budget.get("ipc"), fraction=budget.get("fraction"))
    assert (said(record) is None) == possible


def test_a_reference_is_trained_on_all_images():
    assert said(keyed(pair("full"))[1]) is None
    assert "come to 1497 images" in said(keyed(pair("full", facts={"n": 1496}))[1])


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"step": 4}, "the first of the best on val is 2"),
        ({"val_top1": {"2": 50.0, "4": 60.0}}, "the first of the best on val is 4"),
        ({"tried": 3}, "selection.tried is 3"),
        ({"val_top1": {"2": 60.0, "3": 60.0}}, "cost.steps is 4"),
    ],
)
def test_a_set_that_was_chosen_on_val_is_the_earliest_of_the_best(changed, expected):
    record = keyed(pair("dm", cost={"steps": 4}))[0]
    record.selection = {"rule": "val", "step": 2, "tried": 2, "val_top1": {"2": 60.0, "4": 60.0}} | changed
    why = said(record)
    assert why is None if expected is None else expected in why


def test_where_as_many_lines_say_one_thing_as_another_neither_is_believed(tmp_path):
    records = [record for r in range(2) for record in keyed(pair("dm", 50.0, r=r, facts={"n_train": 1197 + r}))]
    write_records(tmp_path / "a.jsonl", records)
    with pytest.warns(StoreWarning, match=r"facts.n_train is 119\d, but 119\d in line \d, of the same data") as told:
        assert all(record.kind == "condense" for record in read_records(tmp_path / "a.jsonl"))
    assert len(told) == 2


@pytest.mark.parametrize("name", ["n", "n_train", "n_val", "image_bytes"])
def test_where_the_data_are_here_images_are_counted(tmp_path, name):
    data = {"revision": open_data("digits", None, "default", "meanstd", installed()).spec.revision}
    write_records(tmp_path / "a.jsonl", keyed(pair("dm", 50.0, data=data)))
    assert len(read_records(tmp_path / "a.jsonl", recount=Recounter())) == 2
    write_records(tmp_path / "b.jsonl", keyed(pair("dm", 50.0, data=data, facts={name: 5})))
    with pytest.warns(StoreWarning, match=f"facts.{name} is 5, but .* is counted"):
        assert len(read_records(tmp_path / "b.jsonl", recount=Recounter())) == 1


def test_clocks_of_other_machines_may_be_ahead_and_results_folders_outlive_a_wrong_clock(tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    for hours, believed in ((14, 2), (48, 0)):
        records = keyed(pair("dm", 50.0))
        for record in records:
            record.finished = (now + datetime.timedelta(hours=hours)).isoformat(timespec="seconds")
            assert doubt(record) is None
        other = keyed(pair("random", 40.0))
        write_records(tmp_path / "a.jsonl", [*records, *other])
        if believed:
            assert len(read_records(tmp_path / "a.jsonl")) == 4
        else:
            with pytest.warns(StoreWarning, match="but here it is"):
                assert len(read_records(tmp_path / "a.jsonl")) == 2


def test_a_record_that_was_begun_before_the_clock_was_set_back_finishes_when_it_started(monkeypatch):
    document = keyed(pair("dm", 50.0))[1].document
    begun = attempt.Attempt(started="2026-01-02T00:00:00+00:00")
    monkeypatch.setattr(attempt, "now", lambda: "2026-01-01T00:00:00+00:00")
    ended = attempt.Ended(None, "failed", "it broke")
    record = begun.record(document, ended, Record.model_fields["cost"].default_factory(), {})
    assert said(record) is None and record.finished == record.started
