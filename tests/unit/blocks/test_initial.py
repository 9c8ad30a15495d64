"""Where distillers start: each rule gives what it says, for every method that has the parameter."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from ddbench.blocks.clusters import cover
from ddbench.blocks.initial import class_slots, first_images, real_start
from ddbench.blocks.params import StartParams
from ddbench.blocks.sampling import first_of_each_class
from ddbench.core.plugin.loader import installed, params_class
from ddbench.core.specs import Budget
from tests.fakes import FakeContext, toy
from tests.unit.methods.test_mtt import INFO, cell

METHODS = ("dm", "dc", "dsa", "mtt", "tesla", "ftd", "datm")


def context(tmp_path, train, budget):
    save_file({"features": train.images().flatten(1).contiguous()}, tmp_path / "features.safetensors")
    return FakeContext(train, toy((2, 2, 2), seed=9), budget, artifacts={"features": tmp_path})


@pytest.fixture
def ctx(tmp_path):
    return context(tmp_path, toy(), Budget(ipc=3))


def test_real_images_are_randoms(ctx):
    assert torch.equal(real_start(ctx, "real"), first_of_each_class(ctx))
    assert torch.equal(first_images(ctx, "real"), ctx.train.images(first_of_each_class(ctx)))


@pytest.mark.parametrize("rule", ["real", "kcenter", "kmeans"])
def test_every_rule_keeps_distinct_images_of_each_class(ctx, rule):
    chosen = real_start(ctx, rule)
    assert len(torch.unique(chosen)) == 9
    assert torch.equal(ctx.train.labels[chosen], class_slots(ctx))


@pytest.mark.parametrize("rule", ["real", "kcenter", "kmeans"])
def test_every_rule_starts_from_all_images_of_a_class_that_has_fewer(tmp_path, rule):
    short = context(tmp_path, toy((12, 5, 0, 20)), Budget(ipc=12))
    chosen = real_start(short, rule)
    assert short.train.labels[chosen].bincount(minlength=4).tolist() == [12, 5, 0, 12]
    assert len(torch.unique(chosen)) == 29
    assert torch.equal(short.train.labels[chosen], class_slots(short))
    assert len(first_images(short, "noise", 4)) == len(class_slots(short, 4)) == 4 * 29


def test_kcenter_starts_from_what_the_selector_would_keep(ctx):
    members = ctx.train.of_class(1)
    expected = members[cover(ctx.train.images(members).flatten(1).double(), 3)]
    assert torch.equal(real_start(ctx, "kcenter")[3:6], expected)


def test_noise_is_standard_normal_and_comes_from_the_runs_generator(ctx):
    images = first_images(ctx, "noise")
    assert images.shape == (9, 1, 8, 8)
    assert abs(float(images.mean())) < 0.15 and abs(float(images.std()) - 1) < 0.15
    again = FakeContext(ctx.train, ctx.val, Budget(ipc=3))
    assert torch.equal(first_images(again, "noise"), images)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("rule", ["real", "noise", "kcenter", "kmeans"])
def test_every_distiller_offers_the_rules_and_declares_what_they_read(name, rule):
    params = params_class(installed().methods.get(name)).model_validate({"init": rule})
    assert isinstance(params, StartParams)
    assert ("features" in params.artifacts(cell())) == (rule in ("kcenter", "kmeans"))


@pytest.mark.parametrize("name", METHODS)
def test_only_noise_needs_no_real_images(name):
    cls = params_class(installed().methods.get(name))
    large = cell(budget=Budget(ipc=101))
    assert "ipc is at most 100" in cls.model_validate({"init": "real"}).unsupported(large, INFO)
    assert cls.model_validate({"init": "noise"}).unsupported(large, INFO) is None
