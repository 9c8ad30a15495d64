"""``lr_init: search``: β₀ is the one of a few with which the first images match best."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
import torch
from pydantic import ValidationError

from ddbench.blocks import matcher
from ddbench.blocks.experts import build
from ddbench.blocks.trajectory import match, replayed, segment, student_batches
from ddbench.core.keys import digest
from ddbench.core.specs import Budget
from ddbench_plugins.datm.method import DATM
from ddbench_plugins.datm.params import DATMParams
from ddbench_plugins.ftd.method import FTD
from ddbench_plugins.ftd.params import FTDParams
from ddbench_plugins.mtt.method import MTT
from ddbench_plugins.mtt.params import MTTParams
from ddbench_plugins.tesla.method import TESLA
from ddbench_plugins.tesla.params import TESLAParams
from tests.fakes import FakeContext, run, toy
from tests.unit.methods.test_datm import FAST as GIVEN

FAST = {**GIVEN, "lr_init": "search"}
METHODS = {"mtt": (MTT, MTTParams), "ftd": (FTD, FTDParams), "datm": (DATM, DATMParams), "tesla": (TESLA, TESLAParams)}


@pytest.fixture
def ctx(tmp_path):
    folder = tmp_path / "experts"
    folder.mkdir()
    build(FakeContext(toy(), toy((2, 2, 2), seed=9)), folder, MTTParams(**FAST).pool)
    return lambda ipc=2: FakeContext(toy(), toy((2, 2, 2), seed=9), Budget(ipc=ipc), artifacts={"experts": folder})


def begun(context, name="mtt", **params):
    cls, its_params = METHODS[name]
    method = cls(its_params(**FAST | params))
    method.prepare(context)
    return method


def by_hand(method, context):
    """β → mean loss of :func:`match` over ten segments, the same for each."""
    p, found = method.params, {}
    for lr in (0.01, 0.03, 0.1, 0.3):
        draws = torch.Generator().manual_seed(context.private_seed("lr_init"))
        losses = []
        for _ in range(10):
            start, target = segment(method.experts, first=p.min_start, bound=p.max_start, length=2, generator=draws)
            batches = student_batches(len(method.start), p.batch_syn, p.syn_steps, draws)
            step = match(
                method.net, start, target, method.start, method.labels_for(target), lr, batches,
                augment=replayed(method.dsa, batches, draws),
            )  # fmt: skip
            losses.append(float(step.loss))
        found[lr] = fmean(losses)
    return found


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("mtt", {}), ("mtt", {"batch_syn": 4, "min_start": 1, "syn_steps": 6}), ("ftd", {"augment": "none"}),
        ("datm", {}), ("datm", {"labels": "hard"}), ("tesla", {"labels": "teacher"}),
    ],
)  # fmt: skip
def test_it_is_the_one_with_the_least_loss_by_brute_force(ctx, name, params):
    context = ctx()
    method = begun(context, name, **params)
    oracle = by_hand(method, context)
    assert method.lr_losses == pytest.approx(oracle, rel=1e-4)
    assert float(method.lr.value) == pytest.approx(min(oracle, key=oracle.get))
    said = method.diagnostics(context)
    assert said["lr_first"] == min(oracle, key=oracle.get)
    assert said["lr_loss_0.03"] == pytest.approx(oracle[0.03], rel=1e-4)


def test_the_choice_is_no_constant(ctx):
    """Long students overshoot with steps that short ones need."""
    found = {float(begun(ctx(), syn_steps=steps, match_snapshots=m).lr.value) for steps, m in ((1, 2), (40, 1))}
    assert len(found) == 2


def test_a_rate_that_is_given_is_not_searched_for(ctx):
    method = begun(context := ctx(), lr_init=0.05)
    assert method.lr_losses == {}
    assert method.diagnostics(context)["lr_first"] == 0.05
    assert not any(name.startswith("lr_loss") for name in method.diagnostics(context))


def test_a_search_draws_nothing_from_the_runs_generator(ctx):
    searched, given = ctx(), ctx()
    first = float(begun(searched).lr.value)
    begun(given, lr_init=0.05)
    assert torch.equal(searched.generator.get_state(), given.generator.get_state())
    a, b = run(MTT(MTTParams(**FAST)), ctx()), run(MTT(MTTParams(**FAST | {"lr_init": first})), ctx())
    assert torch.equal(a.images, b.images)


def test_rates_at_which_students_diverge_lose(ctx, monkeypatch):
    monkeypatch.setattr(matcher, "BETAS", (1e30, 0.03))
    method = begun(context := ctx())
    assert method.lr_losses[1e30] == math.inf
    assert float(method.lr.value) == pytest.approx(0.03)
    assert "lr_loss_1e+30" not in method.diagnostics(context)
    assert not context.warnings


def test_where_all_diverge_the_first_is_kept_and_it_is_said(ctx, monkeypatch):
    monkeypatch.setattr(matcher, "BETAS", (1e30, 1e31))
    method = begun(context := ctx())
    assert float(method.lr.value) == pytest.approx(1e30)
    assert any("students diverge from the first images at every β₀" in text for text in context.warnings)


def test_large_sets_are_looked_at_on_fewer_segments(ctx, monkeypatch):
    seen = []
    monkeypatch.setattr(matcher, "matching_loss", lambda *given: seen.append(given) or 1.0)
    for images, segments in ((10**9, 10), (4 * 3 * 6 * 7, 7), (1, 2)):
        monkeypatch.setattr(matcher, "SEARCH_IMAGES", images)
        seen.clear()
        begun(ctx())
        assert len(seen) == 4 * segments


def test_a_longer_run_and_a_resumed_one_keep_the_choice(ctx):
    whole = run(MTT(MTTParams(**FAST | {"iterations": 5})), ctx())
    short, context = begun(ctx()), ctx()
    short.prepare(context)
    for context.step in range(3):
        short.step(context)
    resumed = begun(again := ctx(), iterations=5)
    resumed.load_state_dict(short.state_dict())
    again.generator.set_state(context.generator.get_state())
    for again.step in (3, 4):
        resumed.step(again)
    assert torch.equal(resumed.finalise(again).images, whole.images)
    assert resumed.diagnostics(again)["lr_first"] == short.diagnostics(context)["lr_first"]


def test_a_state_from_before_has_no_first_rate_and_is_taken(ctx):
    method = begun(context := ctx())
    state = method.state_dict()
    del state["tally"]["lr_first"]
    method.load_state_dict(state)
    assert method.diagnostics(context)["lr_first"] == min(method.lr_losses, key=method.lr_losses.get)


@pytest.mark.parametrize("value", ["find", 0, -0.1, None, "0"])
def test_other_values_are_refused_in_one_sentence(value):
    with pytest.raises(ValidationError, match="should be a positive number, or search") as caught:
        MTTParams(lr_init=value)
    assert caught.value.error_count() == 1


GOLDEN = {
    "mtt": ["905776fe3492e3f1", "8088e5575360d675"],
    "ftd": ["599d0846c125ea95", "58a6376ba10c2e6c"],
    "datm": ["3a4d64b471bfb5a2", "137cc2f91896c23b"],
    "tesla": ["3074bbc9edb8c5c6", "73dc080260de5090"],
}


@pytest.mark.parametrize("name", METHODS)
def test_numbers_are_in_keys_as_before(name):
    """Golden values: what a key holds of the defaults, and of a given rate."""
    params = METHODS[name][1]
    assert params(lr_init=1).model_dump(mode="json")["lr_init"] == 1.0
    dumps = [params().model_dump(mode="json"), params(lr_init=0.03).model_dump(mode="json")]
    assert [digest(dump)[:16] for dump in dumps] == GOLDEN[name]
