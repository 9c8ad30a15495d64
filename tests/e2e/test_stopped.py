"""``full`` stopped at the seconds of a set: how many updates fit, and what is written."""

from __future__ import annotations

import math

import pytest
import torch

from ddbench.core.plugin.loader import installed
from ddbench.core.records import Cost, Record, Seconds
from ddbench.core.store.folder import Store, write_record
from ddbench.core.store.tensors import load_set
from ddbench.results.audit import full_stopped
from ddbench.work.evaluate.stage import Evaluation
from tests.e2e.runs import SMOKE, contents, ddbench, evaluations
from tests.factories import pair

RUN = ("run", "--methods", "random,dm", "--ipc", "1", "--seeds", "2", "--set", "dm.iterations=2")


def record(kind, *, updates=3000, **cost):
    made, student = pair("full", 90.0, updates=updates)
    return (made if kind == "condense" else student).model_copy(update={"cost": Cost(**cost)})


@pytest.mark.parametrize(
    ("seconds", "updates"),
    [(3.0, 300), (0.0, 1), (0.01, 1), (0.99, 99), (1.237, 120), (29.99, 2900), (30.0, 3000), (1e9, 3000)],
)
def test_as_many_updates_as_fit_at_the_pace_of_full_rounded_down_to_two_digits(seconds, updates):
    """3000 updates in 30 seconds."""
    assert full_stopped.fitting(seconds, record("evaluation", evaluate_s=30.0), "wall") == updates


def test_the_pace_of_full_leaves_out_its_search_for_a_learning_rate():
    searched = record("evaluation", evaluate_s=90.0, steps=9000)
    assert full_stopped.fitting(3.0, searched, "wall") == 300


def test_a_set_costs_its_condensing_its_artifacts_and_one_student():
    cpu = {"prepare_s": 0.5, "condense_s": 10.0, "artifact_s": 100.0, "artifact_rest_s": 99.0}
    made = record("condense", prepare_s=1.0, condense_s=20.0, artifact_s=300.0, artifact_rest_s=99.0, cpu=cpu)
    student = record("evaluation", updates=1000, evaluate_s=8000.0, steps=2000, cpu={"evaluate_s": 3000.0})
    assert full_stopped.seconds_of(made, student, "wall") == 4321.0
    assert full_stopped.seconds_of(made, student, "cpu") == 1610.5
    assert full_stopped.seconds_of(made, student, "device") is None
    pool_of_before = record("condense", condense_s=20.0, artifact_s=300.0, cpu=cpu | {"artifact_s": None})
    assert full_stopped.seconds_of(pool_of_before, student, "cpu") is None


def test_a_table_is_stopped_by_one_kind_of_seconds(tmp_path):
    def job(spent, paced):
        full = pair("full", 90.0, updates=3000, evaluate_s=30.0, student=paced)
        made = [x for r in range(2) for x in pair("dm", 50.0, r=r, cost={"prepare_s": 0.0}, student=spent[r])]
        full += pair("full", 90.0, r=1, updates=3000, evaluate_s=30.0, student=paced)[1:]
        known = [(tmp_path / str(i), record) for i, record in enumerate([*full, *made])]
        return [(one.timer, one.updates) for one in full_stopped.jobs_of(known, tmp_path)]

    cpu = {"cpu": {"evaluate_s": 3.0}}
    sets = {"cpu": {"evaluate_s": 1.0}}
    assert job([sets, sets], cpu) == [("wall", 500)] * 2, "how long the sets took is known on the wall alone"
    assert job([sets, {}], cpu) == [("wall", 500)] * 2


def test_records_get_the_accuracy_of_full_trained_for_so_long_and_nothing_else_changes(tmp_path, capsys, monkeypatch):
    out = tmp_path / "runs"
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    assert ddbench(*RUN, "--protocols", "hard,native", "--out", out, *SMOKE) == 0
    pace(Store(out))
    before, files = evaluations(out), contents(out)
    capsys.readouterr()
    assert ddbench("results", "full-stopped", "--out", out) == 0
    told = capsys.readouterr()
    assert "4 of 8 evaluations have full_stopped; 4 new" in told.out
    assert "digits native@2 convnet2-w32-in: full was not measured there: no full_stopped" in told.err
    assert contents(out) == files
    store = Store(out)
    known = list(store.records())
    sets = {one.key: one for _, one in known if one.kind == "condense"}
    fulls = {
        one.evaluation.eval.r: (path, one) for path, one in known if one.kind == "evaluation" and one.evaluation.whole
    }
    for path, found in evaluations(out).items():
        names = ("full_stopped", "full_stopped_updates", "full_stopped_by")
        top1, updates, timer = (found["metrics"].pop(name, None) for name in names)
        assert found | {"seal": ""} == before[path] | {"seal": ""}
        if found["spec"]["eval"]["protocol"] == "native":
            assert top1 is None
            continue
        assert timer == "cpu"
        place, full = fulls[found["spec"]["eval"]["r"]]
        made = sets[found["spec"]["eval"]["set"]].cost.cpu
        student_s, whole_s = (record.train_s("cpu") for record in (Record.model_validate(found), full))
        spent = made.prepare_s + made.condense_s + made.artifact_s + student_s
        whole = full.evaluation.eval.protocol_params["updates"]
        assert whole < 100, "so that nothing is rounded"
        assert 1 <= updates == math.floor(whole * spent / whole_s) < whole
        assert top1 == pytest.approx(by_hand(place, full, updates))
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    assert ddbench("results", "full-stopped", "--out", out, "--protocols", "hard") == 0
    assert "4 of 4 evaluations have full_stopped; 0 new" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.json")} == stamps


def pace(store):
    """Seconds that do not depend on the machine: 10 for `full`, 3 for any other student, 1 for a set."""
    for path, found in list(store.records()):
        if found.kind == "condense":
            cost = found.cost.model_copy(update={"cpu": Seconds(condense_s=1.0, artifact_s=0.0)})
        else:
            updates = found.evaluation.eval.protocol_params["updates"]
            seconds = (10.0 if found.evaluation.whole else 3.0) * max(1.0, found.cost.steps / updates)
            cost = found.cost.model_copy(update={"cpu": Seconds(evaluate_s=seconds)})
        write_record(path, found.model_copy(update={"cost": cost}))


def by_hand(path, full, updates):
    """Accuracy of `full` under a recipe of so many updates, through the evaluation stage alone."""
    spec = full.evaluation.eval
    params = {**spec.protocol_params, "updates": updates, "drop_after": math.ceil(updates / 2)}
    found = Evaluation(
        spec.model_copy(update={"protocol_params": params}), installed().protocols.get("hard"),
        full.document.cell.data, load_set(path.parents[1] / "condensed.safetensors"),
        torch.device("cpu"), installed(), whole=True, chosen=full.selection,
    )  # fmt: skip
    return found.run().metrics["top1"]


def test_what_is_there_is_not_denied_when_full_is_gone(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    out = tmp_path / "runs"
    assert ddbench(*RUN, "--out", out, *SMOKE) == 0
    assert ddbench("results", "full-stopped", "--out", out) == 0
    (full,) = (tmp_path / "home" / "artifacts" / "full").glob("*/condense.json")
    assert ddbench("results", "rm", full.parent.name, "--shared", "--out", out) == 0
    capsys.readouterr()
    assert ddbench("results", "full-stopped", "--out", out) == 0
    assert "4 of 4 evaluations have full_stopped; 0 new" in capsys.readouterr().out


def test_without_full_there_is_nothing_to_stop(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    out = tmp_path / "runs"
    assert ddbench("results", "full-stopped", "--out", out) == 2
    assert "no such results folder" in capsys.readouterr().err
    assert ddbench(*RUN, "--reference-limit", "0", "--out", out, *SMOKE) == 0
    capsys.readouterr()
    before = contents(out)
    assert ddbench("results", "full-stopped", "--out", out) == 0
    told = capsys.readouterr()
    assert "full was not measured there: no full_stopped" in told.err
    assert "0 of 4 evaluations have full_stopped; 0 new" in told.out
    assert contents(out) == before
