"""What distillers say about their runs: how reproducible the window is, what was matched, and what moved."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest
import torch

from ddbench.blocks import matcher
from ddbench.blocks.continuations import Pair, continue_pairs
from ddbench.blocks.experts import build
from ddbench.blocks.moved import image_change, pixels_moved
from ddbench.blocks.parametrize import Parametrisation
from ddbench.blocks.said import SAID
from ddbench.blocks.trajectory import match, replayed, student_batches
from ddbench.core.specs import Budget
from ddbench_plugins.datm.params import DATMParams
from ddbench_plugins.dc.method import DC
from ddbench_plugins.dc.params import DCParams
from ddbench_plugins.dm.method import DM
from ddbench_plugins.dm.params import DMParams
from ddbench_plugins.dsa.method import DSAMatching
from ddbench_plugins.dsa.params import DSAParams
from ddbench_plugins.idc.method import IDC
from ddbench_plugins.idc.params import IDCParams
from tests.fakes import FakeContext, run, toy
from tests.unit.methods.test_first_step_size import FAST, METHODS

LONG = {**FAST, "lr_init": 0.05, "iterations": 50}
REPRODUCIBLE = {"c", "c_sd", "fresh_loss"}


@pytest.fixture
def ctx(tmp_path):
    folder = tmp_path / "experts"
    folder.mkdir()
    build(FakeContext(toy(), toy((2, 2, 2), seed=9)), folder, DATMParams(**FAST).pool)
    return lambda: FakeContext(toy(), toy((2, 2, 2), seed=9), Budget(ipc=2), artifacts={"experts": folder})


def made(name="mtt", **params):
    cls, its_params = METHODS[name]
    return cls(its_params(**LONG | params))


def after(context, steps, name="mtt", **params):
    """A run of so many steps; of more than five it has made two only, and does not know."""
    method = made(name, **params)
    run(method, context, steps if steps < 6 else 2)
    context.step = steps
    return method


@pytest.mark.parametrize(
    ("name", "params"), [("mtt", {}), ("ftd", {}), ("datm", {"batch_syn": 4}), ("tesla", {"labels": "teacher"})]
)
def test_saying_it_changes_nothing(ctx, name, params):
    context = ctx()
    method = after(context, 50, name, **params)
    before, draws = method.finalise(context), context.generator.get_state()
    first, second = method.diagnostics(context), method.diagnostics(context)
    assert first.keys() >= REPRODUCIBLE
    assert first == second
    now = method.finalise(context)
    assert torch.equal(now.images, before.images) and torch.equal(now.labels, before.labels)
    assert now.recipe == before.recipe
    assert torch.equal(context.generator.get_state(), draws)


@pytest.mark.parametrize(("name", "params"), [("mtt", {}), ("datm", {"batch_syn": 4}), ("ftd", {"ema": 0.9})])
def test_the_loss_on_fresh_experts_is_that_of_the_finished_set(ctx, name, params):
    """By :func:`match`, on both ends of each pair."""
    context = ctx()
    method = after(context, 50, name, **params)
    p, final = method.params, method.finalise(context)
    draws = torch.Generator().manual_seed(context.private_seed("diagnostics", "students"))
    losses, cosines = [], []
    for pair in continue_pairs(context, method.experts, p.pool, first=0, bound=2, length=2):
        batches = student_batches(6, p.batch_syn, p.syn_steps, draws)
        augment = replayed(method.dsa, batches, draws)
        for end in pair.ends:
            step = match(
                method.net, pair.start, end, final.images, final.labels, final.recipe.lr, batches, augment=augment
            )
            losses.append(float(step.loss))
        one, other = ((end - pair.start).double() for end in pair.ends)
        cosines.append(float(one @ other / (one.norm() * other.norm())))
    said = method.diagnostics(context)
    assert said["fresh_loss"] == pytest.approx(fmean(losses), rel=1e-4)
    assert said["c"] == pytest.approx(fmean(cosines), rel=1e-6)
    assert said["c_sd"] == pytest.approx(stdev(cosines), rel=1e-6)


def test_it_is_not_known_of_toys_and_of_imported_pools(ctx):
    context = ctx()
    method = after(context, 50)
    assert method.diagnostics(context).keys() >= REPRODUCIBLE
    context.step = 49
    assert not REPRODUCIBLE & method.diagnostics(context).keys()
    context.step = 50
    method.params = method.params.model_copy(update={"expert_source": "elsewhere"})
    assert not REPRODUCIBLE & method.diagnostics(context).keys()


@pytest.mark.parametrize(("cosine", "said"), [(0.499, True), (0.501, False)])
def test_a_window_of_noise_is_called_so(ctx, monkeypatch, cosine, said):
    """Both ways of each pair have this cosine by construction."""

    def pairs(ctx, experts, params, **window):
        assert window == {"first": 0, "bound": 2, "length": 2}
        for expert in (0, 1, 0):
            start = experts.snapshot(expert, 0)
            one, other = torch.zeros_like(start), torch.zeros_like(start)
            one[0], other[0], other[1] = 1.0, cosine, (1 - cosine**2) ** 0.5
            yield Pair(start, (start + one, start + other))

    monkeypatch.setattr(matcher, "continue_pairs", pairs)
    context = ctx()
    method = after(context, 50)
    assert method.diagnostics(context)["c"] == pytest.approx(cosine, abs=1e-4)
    assert [text for text in context.warnings if "noise-limited" in text] == (
        ["ipc 2: its window is noise-limited: c(t, M) = 0.5, two continuations of an expert share less than 0.5 of their "
         "way"] if said else []
    )  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "skipped", "marks"),
    [
        (50, 0, []), (49, 0, ["fewer than 50 steps"]), (100, 20, []), (100, 21, ["refused more than 20 %"]),
        (60, 11, ["fewer than 50 steps"]), (60, 13, ["fewer than 50 steps", "refused more than 20 %"]),
    ],
)  # fmt: skip
def test_few_steps_and_many_refused_ones_are_marked(ctx, steps, skipped, marks):
    context = ctx()
    method = made()
    method.prepare(context)
    method.tally |= {"steps": float(steps), "skipped": float(skipped)}
    said = method.diagnostics(context)
    assert (said["accepted_steps"], said["skipped_percent"]) == (steps - skipped, pytest.approx(100 * skipped / steps))
    assert len(context.warnings) == len(marks)
    for text, mark in zip(context.warnings, marks, strict=True):
        assert text.startswith("ipc 2: ") and mark in text and text.endswith("worded as run")


def test_without_steps_nothing_is_said_of_them(ctx):
    context = ctx()
    method = after(context, 0)
    said = method.diagnostics(context)
    assert not {"accepted_steps", "skipped_percent", "segment_norm", *REPRODUCIBLE} & said.keys()
    assert (said["pixel_moved"], said["moved_percent"], said["image_change"]) == (0, 0, 0)
    assert not context.warnings


def test_the_way_of_the_step_size_is_told_across_a_stop(ctx):
    context, seen = ctx(), [0.05]
    whole = made(lr_lr=1e-3)
    whole.prepare(context)
    for context.step in range(6):
        whole.step(context)
        seen.append(float(whole.lr.value))
        if context.step == 3:
            kept = whole.state_dict()
    resumed = made(lr_lr=1e-3)
    resumed.prepare(again := ctx())
    resumed.load_state_dict(kept)
    said, told = whole.diagnostics(context), resumed.diagnostics(again)
    assert (said["lr_first"], said["lr_last"], said["lr_low"], said["lr_high"]) == (
        0.05, seen[-1], min(seen), max(seen)
    )  # fmt: skip
    assert said["lr_low"] < said["lr_high"]
    assert (told["lr_low"], told["lr_high"]) == (min(seen[:5]), max(seen[:5]))


def test_a_state_from_before_says_no_range(ctx):
    """Where a run goes on from a state that did not note it, what came before is not known."""
    context = ctx()
    method = after(context, 3)
    state = method.state_dict()
    state["tally"] = {name: value for name, value in state["tally"].items() if not name.startswith("lr_")}
    method.load_state_dict(state)
    method.step(context)
    said = method.diagnostics(context)
    assert said["lr_first"] == 0.05
    assert not {"lr_low", "lr_high"} & said.keys()


def test_pixels_are_measured_in_deviations_of_real_ones(ctx):
    context, form = ctx(), Parametrisation()
    first = torch.zeros(2, 1, 8, 8)
    last = first.clone()
    unit = float(context.train.images().std())  # 90 images: the probe has all
    last[0] = 0.3 * unit
    last[1, 0, :4] = -0.09 * unit
    found = pixels_moved(context, form, first, last)
    assert found == {"pixel_moved": pytest.approx((0.3 + 0.09 / 2) / 2, rel=1e-5), "moved_percent": 50.0}
    assert image_change(first + 1, last + 1) == pytest.approx(float(last.norm()) / 128**0.5)


def test_a_small_stored_image_moves_what_it_decodes_to(ctx):
    form = Parametrisation("upsampled", 2)
    first = torch.zeros(1, 1, 4, 4)
    found = pixels_moved(ctx(), form, first, first + 1)
    assert found["moved_percent"] == 100.0
    assert found["pixel_moved"] == pytest.approx(1 / float(ctx().train.images().std()), rel=1e-5)


def test_of_an_average_it_is_the_average_that_moved(ctx):
    context = ctx()
    method = after(context, 5, "ftd", ema=0.9)
    said = method.diagnostics(context)
    assert said["image_change"] == image_change(method.start, method.images.value)
    expected = pixels_moved(context, method.form, method.start, method.average)
    assert {name: said[name] for name in expected} == expected
    assert expected != pixels_moved(context, method.form, method.start, method.images.value)


OTHERS = {
    "dm": (DM, DMParams, {}), "dc": (DC, DCParams, {"outer_steps": 2}), "dsa": (DSAMatching, DSAParams, {"outer_steps": 2}),
    "idc": (IDC, IDCParams, {"outer_steps": 2}),
}  # fmt: skip


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("name", OTHERS)
def test_other_distillers_say_how_far_images_moved(ctx, name, steps):
    cls, its_params, params = OTHERS[name]
    context = ctx()
    method = cls(its_params(**params))
    condensed = run(method, context, steps)
    said = method.diagnostics(context)
    assert {"image_change", "pixel_moved", "moved_percent"} <= said.keys()
    unit = float(context.train.images().std())
    moved = (condensed.images - method.form.decode(method.start)).abs() / unit
    assert said["pixel_moved"] == pytest.approx(float(moved.mean()), rel=1e-5, abs=1e-7)
    assert (said["pixel_moved"] > 0) == (said["image_change"] > 0) == (steps > 0)


def test_all_of_it_is_explained(ctx):
    known = {name for quantity in SAID for name in quantity.names}
    for name in METHODS:
        context = ctx()
        said = after(context, 50, name, lr_init="search").diagnostics(context)
        assert "lr_loss_0.1" in said
        assert said.keys() <= known
    for cls, its_params, params in OTHERS.values():
        context = ctx()
        method = cls(its_params(**params))
        run(method, context, 1)
        assert method.diagnostics(context).keys() <= known
