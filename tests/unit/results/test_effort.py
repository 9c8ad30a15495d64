"""Each row says how far its parameters are below the published recipe."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ddbench.core.infos import MethodInfo
from ddbench.core.plugin.loader import installed, params_class
from ddbench.core.specs import Budget
from ddbench.core.store.jsonl import read_records
from ddbench.plan.presets import choose
from ddbench.results.tables.tables import tables_of
from tests.factories import cell


def run(method, ipc, profile="short", dataset="digits", **fields):
    info = installed().methods.get(method)
    chosen = {**choose(info, dataset, Budget(ipc=ipc), profile).params, **fields.pop("changed", {})}
    params = params_class(info).model_validate(chosen).model_dump(mode="json")
    return cell(method, [50.0, 51.0], ipc=ipc, params=params, data={"name": dataset}, **fields)


def notes(records):
    (table,) = tables_of(records)
    return [note for note in table.footnotes if "published recipe" in note]


KRR = {"trains_student": False, "regime": "kernel ridge regression"}


@pytest.mark.parametrize(
    ("method", "changed", "student", "told"),
    [
        ("kip", {}, "ntk-fc1", []),
        ("kip", {}, "ntk-fc3", ["kip: made for ntk-fc1"]),
        ("kip", {"kernel": "conv3"}, "ntk-fc3", ["kip: made for ntk-conv3"]),
        ("label_solve", {"kernel": "fc2"}, "ntk-fc3", ["label_solve: made for ntk-fc2"]),
        ("dm", {}, "ntk-fc3", []),
    ],
)
def test_a_row_made_for_another_predictor_than_the_tables_says_which(method, changed, student, told):
    def told_in(facts):
        (table,) = tables_of(run(method, 1, changed=changed, eval_arch=student, protocol="krr-x@1", facts=facts))
        return [note for note in table.footnotes if "made for" in note]

    assert told_in({"protocol": KRR}) == told
    assert told_in({}) == [], "where networks are trained, no kernel stands in the table's head"


def test_what_is_as_published_says_nothing():
    for method in ("dc", "dm", "mtt", "datm"):
        assert notes(run(method, 10, "paper", "cifar10")) == []
    assert notes(run("mtt", 10, "paper", "cifar10", changed={"iterations": 6000})) == [], "more is not below"


def test_fewer_steps_and_experts_are_told_beside_those_of_the_paper():
    changed = {"iterations": 100, "experts": 5, "syn_steps": 10}
    (note,) = notes(run("datm", 10, "paper", "cifar10", changed=changed))
    assert note == "datm: below the published recipe: 100 of 10,000 iterations, 5 of 100 experts, 10 of 80 syn_steps"


def test_other_settings_are_no_effort():
    assert notes(run("mtt", 10, "paper", "cifar10", changed={"lr_img": 0.1, "momentum": 0.0})) == []


def test_data_without_a_recipe_are_held_against_cifar10_and_budgets_against_the_nearest_smaller():
    (note,) = notes(run("mtt", 24, "paper", "cifar10", changed={"iterations": 100}))
    assert note == "mtt: below the published recipe (at ipc 24 that of ipc 10): 100 of 5,000 iterations"
    params = params_class(installed().methods.get("mtt"))(iterations=100).model_dump(mode="json")
    (note,) = notes(cell("mtt", [50.0], ipc=10, params=params))
    assert note == "mtt: below the published recipe (cifar10's): 100 of 5,000 iterations"


def test_budgets_of_a_row_are_one_note_with_the_range_of_each_parameter():
    records = [
        *run("mtt", 1, "paper", "cifar10", changed={"iterations": 200, "syn_steps": 20}),
        *run("mtt", 10, "paper", "cifar10", changed={"iterations": 100, "syn_steps": 10}),
    ]
    assert notes(records) == ["mtt: below the published recipe: 100–200 of 5,000 iterations, 10–20 of 30–50 syn_steps"]


@pytest.mark.parametrize("role", ["start", "control"])
def test_controls_have_no_published_recipe(role):
    facts = {"role": {"kind": role, "of": ["mtt"]}}
    assert notes(run("mtt", 10, "paper", "cifar10", changed={"iterations": 0}, facts=facts)) == []


@pytest.mark.parametrize(
    ("effort", "presets", "said"),
    [
        (("iterations", "epochs"), None, []),  # the plugin is broken: planning says so
        (
            ("iterations", "selection", "rate"),
            None,
            ["mine: below its defaults: 1 of 9 iterations"],
        ),
        (("iterations",), "presets.yaml", []),
    ],
    ids=["no parameter", "no number", "no presets"],
)
def test_a_broken_plugin_takes_no_table_away(effort, presets, said, monkeypatch, tmp_path):
    name = f"mine{len(effort)}{presets is None}"
    text = "from ddbench import DistillationParams\n\nclass P(DistillationParams):\n"
    text += f"    effort = {effort!r}\n    iterations: int = 9\n    rate: float | None = None\n"
    (tmp_path / name).mkdir()
    (tmp_path / name / "params.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    info = MethodInfo(name="mine", kind="distillation", target=f"{name}.params:P", params=f"{name}.params:P",
                      summary="mine", presets=presets)  # fmt: skip
    known = installed()
    methods = {one.name: one for one in known.methods} | {"mine": info}
    monkeypatch.setattr("ddbench.results.tables.effort.active", lambda: SimpleNamespace(
        methods=SimpleNamespace(find=methods.get)
    ))  # fmt: skip
    params = {"iterations": 1, "selection": "last", "rate": 0.5, "epochs": 1}
    (table,) = tables_of(cell("mine", [50.0, 51.0], ipc=1, params=params))
    assert [note for note in table.footnotes if "below" in note] == said
    assert len(table.cells()) == 1


def test_every_parameter_of_effort_is_a_number_of_its_method():
    told = 0
    for info in installed().methods:
        fields = params_class(info).model_fields
        for name in params_class(info).effort:
            assert name in fields, f"{info.name}: no parameter {name}"
            told += 1
    assert told > 20


def test_what_is_said_does_not_depend_on_the_order_of_records():
    path = Path(__file__).parents[3] / "leaderboards" / "records" / "cpu-digits.jsonl"
    records = [record for record in read_records(path) if record.document.label == "dsa"]
    (first,), (second,) = (tables_of(found) for found in (records, records[::-1]))
    assert len(first.columns) == 3 and any("outer_steps" in note for note in first.footnotes)
    assert first.footnotes == second.footnotes
