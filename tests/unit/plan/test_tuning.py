"""Tuning files: what they may say, and the grid that they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import active
from ddbench.core.specs import Budget
from ddbench.plan import planner, tuning

ONE, TEN = Budget(ipc=1), Budget(ipc=10)
DATA = {"name": "digits", "view": {"train_size": 200}}


def content(**changes):
    return {
        "schema": 1, "datasets": [DATA], "archs": ["mlp-w128"], "budget": {"ipc": [1, 10]}, "profile": "smoke",
        "base": [
            {"methods": ["dm"], "params": {"iterations": 2, "batch_real": 8}},
            {"methods": ["dm"], "budget": {"ipc": [10]}, "params": {"iterations": 3}},
        ],
        "configurations": [
            {"methods": ["dm"], "try": [{"lr_img": 1.0}, {"lr_img": 3.0}]},
            {"methods": ["dsa"], "try": [{"lr_img": 0.1, "iterations": 1}, {"iterations": 2}]},
        ],
        **changes,
    }  # fmt: skip


def parse(**changes):
    return tuning.parse(content(**changes), "tune.yaml", active())


def test_a_configuration_is_the_defaults_the_base_of_its_budget_and_its_own():
    file = parse()
    assert file.methods == ("dm", "dsa")
    assert file.count == 2
    first, second = file.of("dm", TEN)
    assert first.given == {"iterations": 3, "batch_real": 8, "lr_img": 1.0}
    assert second.own == {"lr_img": 3.0}
    assert first.params["augment"] == "dsa"  # a default
    assert file.of("dm", ONE)[0].params["iterations"] == 2
    assert first.label == "dm (lr_img=1.0)"


def test_presets_take_no_part(monkeypatch):
    """Neither their values nor what is said of them."""
    plan = planner.make(tuning.grid_of(parse(), active()))
    tried = {
        n.document.cell.params["momentum"]
        for n in plan.nodes.values()
        if n.kind == "cell"
        if n.document.label[:3] == "dsa"
    }
    assert tried == {0.5}
    assert plan.notes == []


def test_the_preset_of_before_stands_without_the_base():
    sections = [
        {"methods": ["dm"], "try": [{"lr_img": 1.0}, {"lr_img": 3.0}], "before": {"lr_img": 30.0}},
        {"methods": ["dsa"], "try": [{"iterations": 1}, {"iterations": 2}]},
    ]
    before = parse(configurations=sections).of("dm", ONE)[2]
    assert before.before
    assert before.params["iterations"] == 20_000
    assert before.label == "dm (preset before)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"configurations": [{"methods": ["dm"], "try": [{}, {"lr_img": 3.0}]}, {"methods": ["dsa"], "try": [{}]}]},
         "every method gets the same number at every budget, here dm 2 at ipc 1, dm 2 at ipc 10, dsa 1 at ipc 1"),
        ({"configurations": [{"methods": ["dm"], "budget": {"ipc": [1]}, "try": [{}]}], "base": []},
         "dm 1 at ipc 1, dm 0 at ipc 10"),
        ({"configurations": [{"methods": ["dm"], "try": [{"lr_image": 3.0}]}]}, "did you mean lr_img"),
        ({"configurations": [{"methods": ["dm"], "try": [{}, {"momentum": 0.5}]}]}, "are the same configuration"),
        ({"configurations": [{"methods": ["random"], "try": [{}]}], "base": []}, "random has nothing to tune"),
        ({"configurations": [{"methods": ["full"], "try": [{}]}], "base": []}, "full is a reference"),
        ({"configurations": [{"methods": ["random_soft"], "try": [{}]}], "base": []},
         "^tune.yaml: configurations: random_soft is a control"),
        ({"configurations": [{"methods": ["random_best_of_k"], "try": [{}]}], "base": []},
         "^tune.yaml: configurations: random_best_of_k is a control"),
        ({"protocol": "val"}, "^tune.yaml: protocol: val is what methods score their own sets by"),
        ({"protocol": "val@2"}, "^tune.yaml: protocol: val@2 is what methods score"),
        ({"configurations": [{"methods": ["dmm"], "try": [{}]}], "base": []}, "unknown method 'dmm'"),
        ({"configurations": [{"methods": ["dm"]}]}, "needs `try"),
        ({"configurations": [{"methods": ["dm"], "tries": [{}]}]}, "known keys: methods, budget, try, before"),
        ({"configurations": []}, "configurations"),
        ({"base": [{"methods": ["mtt"], "params": {}}]}, "base: method 'mtt' has no configurations"),
        ({"configurations": [{"methods": ["dmm"], "try": [{}]}]}, "unknown method 'dmm'"),
        ({"base": [{"methods": ["dmm"], "params": {}}]}, "unknown method 'dmm'"),
        ({"base": [{"methods": ["dm"], "budget": {"ipc": [50]}, "params": {}}]}, "ipc 50 is not among"),
        ({"protocols": ["hard", "native"]}, "unknown key 'protocols'"),
        ({"protocol": ["hard", "native"]}, "protocol"),
        ({"protocol": "hardest"}, "hardest"),
        ({"seeds": {"condense": 3}}, "unknown key 'seeds'"),
        ({"archs": ["mlp-w128", "convnet2-w32"]}, "archs: a ledger is of one"),
        ({"datasets": ["digits", "mnist"]}, "datasets: a ledger is of one"),
        ({"datasets": ["digits"]}, "leaves"),
        ({"budget": {"ipc": [0, 1]}}, "at least 1"),
        ({"master_seed": -1}, "master_seed"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused_with_the_file_and_the_reason(changes, message):
    with pytest.raises(UsageError, match=message) as error:
        tuning.grid_of(parse(**changes), active())
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[3] / "configs").glob("tune-*.yaml")), ids=lambda p: p.stem
)
def test_every_tuning_file_that_comes_along_is_valid(path):
    file = tuning.load(str(path), active())
    assert file.count > 1


def nodes(plan, kind):
    return [node.document for node in plan.nodes.values() if node.kind == kind]


def test_the_plan_has_each_configuration_twice_and_random_and_nothing_reported():
    plan = planner.make(tuning.grid_of(parse(), active()))
    cells = nodes(plan, "cell")
    assert {cell.cell.r for cell in cells} == {-1, -2}
    assert {cell.cell.data.split for cell in cells} == {"tune"}
    assert sorted({cell.label for cell in cells}) == [
        "dm (lr_img=1.0)", "dm (lr_img=3.0)", "dsa (iterations=1, lr_img=0.1)", "dsa (iterations=2)", "random",
    ]  # fmt: skip
    assert len(cells) == (2 + 2 + 1) * 2 * 2
    students = nodes(plan, "evaluation")
    assert len(students) == len(cells)
    assert {student.eval.e for student in students} == {0}
    assert {student.eval.r for student in students} == {-1, -2}


def test_the_learning_rate_is_chosen_by_the_first_repetition_for_both():
    for student in nodes(planner.make(tuning.grid_of(parse(), active())), "evaluation"):
        assert (student.choice is None) == (student.eval.r == -1)


def test_a_part_has_the_keys_of_the_whole():
    whole = planner.make(tuning.grid_of(parse(), active()))
    part = planner.make(tuning.grid_of(parse(), active(), methods=["dm"], budgets=[TEN]))
    assert part.nodes.keys() < whole.nodes.keys()
    assert {cell.cell.method for cell in nodes(part, "cell")} == {"dm", "random"}
    assert {cell.cell.budget for cell in nodes(part, "cell")} == {TEN}


@pytest.mark.parametrize(
    ("part", "message"),
    [({"methods": ["mtt"]}, "no configurations of 'mtt'"), ({"budgets": [Budget(ipc=50)]}, "does not tune ipc 50")],
)
def test_a_part_that_is_not_there_is_refused(part, message):
    with pytest.raises(UsageError, match=message):
        tuning.grid_of(parse(), active(), **part)
