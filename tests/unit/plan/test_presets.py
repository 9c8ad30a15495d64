"""Which preset a cell gets, and what the plan says when none is its own."""

from __future__ import annotations

import itertools

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import installed
from ddbench.core.profiles import profiles
from ddbench.core.specs import Budget
from ddbench.plan.presets import Fit, Preset, _fit, choose, presets
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


@pytest.mark.parametrize("method", [info.name for info in installed().methods])
def test_every_preset_is_that_of_some_number_of_images_per_class(method):
    """One for every budget beside one of ipc 1 would be none at all: the nearest smaller budget comes first."""
    info = installed().methods.get(method)
    for preset in presets(info):
        where = preset.where
        given = [Budget(ipc=ipc) for ipc in (1, 2, 10, 50, 100)]
        own = [Budget(ipc=where.ipc)] if where.ipc else [Budget(fraction=where.fraction)] if where.fraction else given
        found = [
            choose(info, where.dataset or "other", budget, where.profile or "short", size=where.size) for budget in own
        ]
        assert any(dict(one.params) == preset.params and one.source == preset.source for one in found), preset


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


# --- presets by size


def without_sizes(info, dataset, budget, profile, per_class):
    """The choice as it was when presets named no sizes."""
    found = None
    for preset in presets(info):
        where = preset.where
        if where.size is None and where.dataset in (None, dataset) and where.profile in (None, profile):
            place = (where.dataset is not None, where.profile is not None, *_fit(where, budget, per_class, None))
            if place[2] is not Fit.NO and (found is None or place > found[0]):
                found = place, preset
    return {} if found is None else found[1].params


SIDES = {"digits": 8, "mnist": 28, "fashionmnist": 28, "svhn": 32, "cifar10": 32, "cifar100": 32, "tinyimagenet": 64}


def test_whatever_is_not_pooled_gets_what_it_got_before_presets_named_sizes():
    compared = 0
    budgets = [Budget(ipc=ipc) for ipc in (1, 2, 5, 10, 24, 50, 100, 500)]
    budgets += [Budget(fraction=fraction) for fraction in (0.01, 0.1, 0.2)]
    methods = [info for info in installed().methods if presets(info)]
    for info, (dataset, side), budget, profile in itertools.product(methods, SIDES.items(), budgets, profiles()):
        if any(preset.where.size in (side, *SIDES.values()) for preset in presets(info)):
            continue  # none is shipped so far; such a preset is a new choice
        for per_class in (1, 12, 500):
            expected = without_sizes(info, dataset, budget, profile, per_class)
            for known in ({}, {"size": side}):
                assert choose(info, dataset, budget, profile, per_class=per_class, **known).params == expected
                compared += 1
    assert len(methods) > 8 and compared > 10_000


def made(monkeypatch, *places):
    """``choose`` among presets for these places, each of which gives its number."""
    entries = tuple(
        Preset.model_validate({"for": place, "params": {"n": n}, "source": "x"}) for n, place in enumerate(places)
    )
    monkeypatch.setattr("ddbench.plan.presets.presets", lambda info: entries)

    def take(size=None, dataset="fashionmnist", profile="short", ipc=10, **known):
        return choose(installed().methods.get("dm"), dataset, Budget(ipc=ipc), profile, size=size, **known)

    return take


def test_a_more_specific_preset_that_does_not_fit_hides_none_that_does(monkeypatch):
    take = made(
        monkeypatch,
        {"profile": "short"},
        {"dataset": "fashionmnist", "size": 14, "profile": "short", "ipc": 50},
        {"dataset": "fashionmnist", "size": 14, "profile": "short", "fraction": 0.02},
        {"dataset": "fashionmnist", "size": 14, "profile": "short", "fraction": 0.1},
    )
    assert take(14, ipc=10).params == {"n": 0}  # the shares of ten images are not known here
    assert take(14, ipc=10).note == ""
    assert take(14, ipc=50).params == {"n": 1}
    assert take(14, ipc=9, share=9 / 500).params == {"n": 0}


@pytest.mark.parametrize(
    ("ipc", "expected", "said"), [(10, 2, "2 %"), (49, 2, "2 %"), (50, 3, "10 %"), (500, 3, "10 %")]
)
def test_an_ipc_takes_the_preset_of_the_same_share_and_says_so(monkeypatch, ipc, expected, said):
    places = [{"profile": "short"}, {}, *({"size": 14, "fraction": share} for share in (0.02, 0.1))]
    take = made(monkeypatch, *places)
    found = take(14, ipc=ipc, share=ipc / 500)
    assert found.params == {"n": expected}
    assert found.note == f"dm: no preset for ipc {ipc}, using that of {said}"
    assert found.budget == Budget(fraction=float(said.removesuffix(" %")) / 100)


def test_the_selectors_beside_distillers_have_the_presets_of_their_shares():
    for ipc, beta in ((10, 0.2), (50, 0.1), (100, 0.1)):
        found = choose(
            installed().methods.get("ccs"), "fashionmnist", Budget(ipc=ipc), "short", share=ipc / 500, size=14
        )
        assert found.params == {"epochs": 20, "batch": 64, "beta": beta}
    assert chosen("ccs", dataset="fashionmnist", profile="short", fraction=0.005).params["epochs"] == 20


def test_a_size_decides_after_the_data_set_and_before_profile_and_budget(monkeypatch):
    take = made(
        monkeypatch,
        {},
        {"size": 14},
        {"profile": "short", "ipc": 10},
        {"dataset": "fashionmnist", "profile": "short", "ipc": 10},
        {"dataset": "fashionmnist", "size": 14},
        {"dataset": "fashionmnist", "size": 7, "profile": "short", "ipc": 10},
    )
    assert take(14).params == {"n": 4}
    assert take(28).params == take().params == {"n": 3}
    assert take(7).params == {"n": 5} and take(7, profile="paper").params == {"n": 0}
    assert take(14, dataset="mnist").params == {"n": 1}
    assert take(28, dataset="mnist").params == {"n": 2}


def test_a_preset_for_another_size_is_never_taken(monkeypatch):
    take = made(monkeypatch, {"dataset": "fashionmnist", "size": 14, "profile": "short"})
    assert take(28).params == take().params == {} and "defaults" in take(28).note
    assert take(14).params == {"n": 0} and take(14, pool=2).notes("dm", "meanstd") == ()


def test_a_pooled_view_is_told_of_presets_for_its_data_sets_own_size(monkeypatch):
    take = made(monkeypatch, {"profile": "paper"}, {"dataset": "fashionmnist", "profile": "short"})
    said = "dm: its preset is for fashionmnist of 28 × 28 pixels, this view has 14 × 14"
    assert take(14, pool=2).notes("dm", "meanstd") == (said,)
    assert take(28).notes("dm", "meanstd") == () == take(14, pool=2, profile="paper").notes("dm", "meanstd")


def test_the_plan_says_so():
    data = [{"name": "digits", "view": {"pool": 2}}]
    said = "dm: its preset is for digits of 8 × 8 pixels, this view has 4 × 4"
    pooled = planned(methods=["dm"], datasets=data, profile="short")
    assert said in pooled.notes and said not in planned(methods=["dm"], profile="short").notes
    titles = [node.title for node in pooled.nodes.values()]
    assert any("dm" in title for title in titles)


def test_a_pool_that_does_not_fit_is_refused_while_planning():
    with pytest.raises(UsageError, match="view: pool 3: images of digits are 8 pixels wide"):
        planned(datasets=[{"name": "digits", "view": {"pool": 3}}])
