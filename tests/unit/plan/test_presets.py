"""Which preset a cell gets, and what the plan says when none is its own."""

from __future__ import annotations

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.specs import Budget
from ddbench.plan.presets import choose
from tests.unit.plan.test_planner import planned


def chosen(method, dataset="cifar10", profile="paper", per_class=None, **budget):
    return choose(installed().methods.get(method), dataset, Budget(**budget), profile, per_class=per_class)


def test_a_budget_between_two_takes_the_smaller_one_and_says_so():
    assert chosen("dc", ipc=10).note == ""
    found = chosen("dc", ipc=15)
    assert found.params["outer_steps"] == 10
    assert found.note == "dc: no preset for ipc 15, using that of ipc 10"


@pytest.mark.parametrize(("per_class", "expected"), [(1, 1), (12, 10), (50, 50), (1000, 50)])
def test_a_fraction_takes_the_preset_of_as_many_images_per_class(per_class, expected):
    found = chosen("dc", fraction=0.2, per_class=per_class)
    assert found.params == chosen("dc", ipc=expected).params
    assert found.note == f"dc: no preset for 20 %, using that of ipc {expected}"


def test_presets_for_fractions_or_for_any_budget_come_first():
    assert chosen("random_soft", profile="paper", fraction=0.2, per_class=1).params["experts"] == 100


def test_where_no_preset_fits_the_defaults_are_said_to_be_defaults():
    found = chosen("idc", dataset="tinyimagenet", ipc=1)
    assert found.params == {}
    assert found.note == "idc: no preset of profile paper for tinyimagenet, ipc 1: defaults"
    assert chosen("random", ipc=1).note == ""


def test_the_plan_resolves_fractions_by_the_data():
    made = planned(methods=["dc"], budget={"fraction": [0.1]}, profile="paper")
    node = next(node for node in made.nodes.values() if node.kind == "cell" and node.title.startswith("dc"))
    params = node.document.cell.params
    assert (params["outer_steps"], params["inner_epochs"]) == (10, 50)  # 10 % of digits: 12 per class


def test_the_best_snapshot_cannot_be_chosen_without_val():
    rows = [{"name": "dm", "params": {"selection": "val"}}]
    with pytest.raises(UsageError, match="selection: val needs validation images, and there are none"):
        planned(methods=rows, split="paper", protocols=["hard-fixed"])


def test_the_plan_says_in_which_space_a_preset_was_published():
    said = "datm: its preset is for zca-kornia, this run is in meanstd (`--preprocess`)"
    assert said in chosen("datm", ipc=10).notes("datm", "meanstd")
    assert chosen("datm", ipc=10).notes("datm", "zca-kornia") == ()
    assert chosen("mtt", dataset="cifar100", ipc=10).preprocess == "meanstd-mtt"
    assert chosen("dc", ipc=10).notes("dc", "meanstd") == ()
