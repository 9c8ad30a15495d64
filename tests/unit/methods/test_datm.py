"""DATM, FTD and TESLA: against plain loops with all graphs kept, and what sets each apart."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from ddbench.blocks.experts import Experts, build
from ddbench.blocks.sampling import class_order, first_of_each_class
from ddbench.blocks.teachers import average_where_correct, correct_first, expert_logits
from ddbench.blocks.trajectory import growing, segment, student_batches
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
from tests.unit.methods.test_mtt import INFO, cell

POOL = {"experts": 2, "expert_epochs": 4, "expert_batch": 32, "expert_lr": 0.2, "expert_optimiser": "sgd"}
FAST = {**POOL, "iterations": 3, "max_start": 2, "syn_steps": 3, "lr_img": 0.5, "lr_lr": 1e-5, "lr_init": 0.05}


@pytest.fixture
def ctx(tmp_path):
    folder = tmp_path / "experts"
    folder.mkdir()
    build(FakeContext(toy(), toy((2, 2, 2), seed=9)), folder, DATMParams(**FAST).pool)

    def make(dtype=torch.float32, ipc=2):
        return FakeContext(toy(dtype=dtype), toy((2, 2, 2), seed=9), Budget(ipc=ipc), artifacts={"experts": folder})

    return make


def begun(method, context):
    method.prepare(context)
    return method


# ------------------------------------------------------------------------------------------------ DATM's algorithm


def plain_soft_step(net, start, target, images, logits, lr, batches):
    """The loop of algorithm 1 with softmax targets, every graph kept: loss and gradients of images, labels, lr."""
    leaves = [x.clone().requires_grad_() for x in (images, logits, lr)]
    x, y, beta = leaves
    names, shapes = zip(*((name, p.shape) for name, p in net.named_parameters()), strict=True)
    theta = start.clone().requires_grad_()
    for batch in batches:
        parts = [t.view(s) for t, s in zip(theta.split([s.numel() for s in shapes]), shapes, strict=True)]
        scores = torch.func.functional_call(net, dict(zip(names, parts, strict=True)), (x[batch],))
        loss = -(y[batch].softmax(1) * scores.log_softmax(1)).sum(1).mean()
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        theta = theta - beta * gradient
    loss = (theta - target).square().sum() / (start - target).square().sum()
    return (loss, *torch.autograd.grad(loss, leaves))


def test_datm_is_the_plain_algorithm_with_learned_logits(ctx):
    context = ctx(torch.float64)
    p = DATMParams(**{**FAST, "augment": "none", "batch_syn": 4, "lr_label": 0.7, "gate": 0.0})
    method = begun(DATM(p), context)
    method.net.double()
    images, logits, lr = method.images.value.clone(), method.soft.value.clone(), method.lr.value.double()
    method.lr.value = lr.clone()
    sgd = torch.optim.SGD
    optimisers = [
        sgd([images], lr=p.lr_img, momentum=0.5), sgd([logits], lr=0.7, momentum=0.9), sgd([lr], lr=1e-5, momentum=0.5)
    ]  # fmt: skip
    same = torch.Generator()
    same.set_state(context.generator.get_state())
    for step in range(3):
        context.step = step
        start, target = segment(method.experts, first=0, bound=2, length=2, generator=same)
        batches = student_batches(6, 4, 3, same)
        loss, images.grad, logits.grad, lr.grad = plain_soft_step(
            method.net, start.double(), target.double(), images, logits, lr, batches
        )
        [optimiser.step() for optimiser in optimisers]
        assert method.step(context)["loss"] == pytest.approx(float(loss.detach()), rel=1e-6)
        for ours, theirs in ((method.images.value, images), (method.soft.value, logits), (method.lr.value, lr)):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_the_window_grows_from_t_to_t_plus_in_k_steps():
    assert [growing(step, 10, 20, 1000) for step in (0, 99, 100, 500, 999, 1000, 9999)] == [10, 10, 11, 15, 19, 20, 20]
    assert {growing(step, 4, 4, 7) for step in range(20)} == {4}


def test_starts_come_from_the_window_as_wide_as_it_is(ctx, monkeypatch):
    context, bounds = ctx(), []
    method = begun(DATM(DATMParams(**{**FAST, "iterations": 4, "first_max_start": 1, "growth_steps": 2})), context)
    draw = method.draw
    monkeypatch.setattr(method, "draw", lambda ctx, bound: bounds.append(bound) or draw(ctx, bound))
    for context.step in range(4):
        method.step(context)
    assert bounds == [1, 1, 2, 2]


@pytest.mark.parametrize(("labels", "moves"), [("learned", True), ("fixed", False)])
def test_labels_are_learned_or_kept(ctx, labels, moves):
    context = ctx()
    method = DATM(DATMParams(**FAST, labels=labels))
    first = begun(method, context).soft.value.clone()
    condensed = run(DATM(DATMParams(**FAST, labels=labels)), ctx())
    assert condensed.label_space == "logits"
    assert torch.equal(condensed.labels, first) is not moves
    assert condensed.aux["classes"].tolist() == [0, 0, 1, 1, 2, 2]
    assert (condensed.storage.labels, condensed.storage.lrs) == (6 * 3 * 4, 4)


def test_hard_labels_are_the_classes(ctx):
    condensed = run(DATM(DATMParams(**FAST, labels="hard")), ctx())
    assert (condensed.label_space, condensed.labels.tolist()) == ("hard", [0, 0, 1, 1, 2, 2])


def test_the_recipe_says_how_the_authors_train_on_their_sets(ctx):
    context = ctx()
    method = DATM(DATMParams(**FAST))
    recipe = run(method, context).recipe
    assert (recipe.batch, recipe.loss, recipe.augmentation) == (128, "ce", "dsa")
    assert recipe.lr == pytest.approx(float(method.lr.value))
    assert run(DATM(DATMParams(**FAST, augment="none")), ctx()).recipe.augmentation == "none"


def test_a_shut_gate_changes_nothing_and_is_counted(ctx):
    context = ctx()
    method = begun(DATM(DATMParams(**FAST, gate=1e-9)), context)
    before = method.state_dict()
    for context.step in range(3):
        method.step(context)
    after = method.state_dict()
    said = method.diagnostics(context)
    assert (after["tally"]["skipped"], said["skipped_percent"]) == (3, 100)
    assert said["matching_loss"] > 1e-9  # of refused steps as well
    assert any("refused more than 20 % of the steps" in text for text in context.warnings)
    for name in ("images", "lr", "soft"):
        torch.testing.assert_close(after[name]["value"], before[name]["value"], rtol=0, atol=0)
        assert after[name]["velocity"] is None


def test_a_diverging_student_is_refused_by_the_gate_and_fails_a_method_without_one(ctx):
    wild = {**FAST, "lr_init": 1e30}
    gated = begun(DATM(DATMParams(**wild)), context := ctx())
    assert gated.step(context) == {"skipped": 1}
    assert torch.equal(gated.images.value, gated.start)
    plain = begun(MTT(MTTParams(**wild)), context := ctx())
    assert not torch.isfinite(torch.tensor(plain.step(context)["loss"]))


# ------------------------------------------------------------------------------------------ images and labels to start


def rewritten(folder, change):
    """Replace every expert's last snapshot."""
    for path in Experts(folder).files:
        tensors = load_file(path)
        tensors["snapshots"][-1] = change(tensors["snapshots"][-1], int(path.stem[-3:]))
        save_file(tensors, path)


def only_knows(c):
    """A snapshot that calls everything class ``c``: zero weights, and a bias in the last layer."""

    def change(snapshot, _):
        flat = torch.zeros_like(snapshot)
        flat[len(flat) - 3 + c] = 1.0
        return flat

    return change


def test_images_start_from_the_first_that_expert_0_classifies_correctly(ctx):
    context = ctx(ipc=4)
    net, pool = context.build_model(seed=0), Experts(context.artifacts["experts"])
    chosen = correct_first(context, net, pool)
    for c in range(3):
        order = class_order(context, c)
        known = expert_logits(net, pool.snapshot(0, pool.last), context.train.images(order)).argmax(1) == c
        assert chosen[4 * c : 4 * c + 4].tolist() == order[known][:4].tolist()
    assert context.warnings == []


def test_where_expert_0_knows_too_few_the_next_expert_helps(ctx):
    context = ctx()
    rewritten(
        context.artifacts["experts"], lambda flat, e: only_knows(0)(flat, e) if e == 0 else only_knows(1)(flat, e)
    )
    chosen = correct_first(context, context.build_model(seed=0), Experts(context.artifacts["experts"]))
    assert chosen[2:4].tolist() == class_order(context, 1)[:2].tolist()  # expert 1 knows all of class 1
    (warning,) = context.warnings
    assert "1 of 3 classes" in warning and "class 2: 0 of 2" in warning


def test_a_class_that_nobody_knows_is_filled_up_with_a_warning(ctx):
    context = ctx(ipc=30)  # all images of a class: the authors' code would search for ever
    rewritten(context.artifacts["experts"], only_knows(2))
    chosen = correct_first(context, context.build_model(seed=0), Experts(context.artifacts["experts"]))
    assert sorted(chosen.tolist()) == list(range(90))
    assert "2 of 3 classes" in context.warnings[0]


def test_first_labels_are_the_mean_of_those_experts_that_are_right():
    labels = torch.tensor([0, 1, 1])
    one = torch.tensor([[2.0, 0.0], [1.0, 0.0], [3.0, 1.0]])
    two = torch.tensor([[4.0, 1.0], [0.0, 5.0], [2.0, 0.0]])
    expected = torch.tensor([[3.0, 0.5], [0.0, 5.0], [2.5, 0.5]])  # both right; the second right; none: the mean of all
    torch.testing.assert_close(average_where_correct(iter([one, two]), labels), expected)


def test_real_images_get_the_logits_of_one_expert(ctx):
    context = ctx()
    method = begun(DATM(DATMParams(**FAST, init="real")), context)
    pool, real = method.experts, context.train.images(first_of_each_class(context))
    torch.testing.assert_close(method.soft.value, expert_logits(method.net, pool.snapshot(0, pool.last), real))


def test_noise_shows_no_class_and_gets_the_labels_of_randoms_images(ctx):
    context = ctx()
    method = begun(DATM(DATMParams(**FAST, init="noise")), context)
    pool, real = method.experts, context.train.images(first_of_each_class(context))
    logits = [expert_logits(method.net, pool.snapshot(e, pool.last), real) for e in range(2)]
    torch.testing.assert_close(method.soft.value, average_where_correct(logits, method.classes))


def test_noise_has_the_shape_of_the_budget_and_is_repeatable(ctx):
    sets = [run(DATM(DATMParams(**FAST, init="noise")), ctx()) for _ in range(2)]
    assert torch.equal(sets[0].images, sets[1].images)
    first = begun(DATM(DATMParams(**FAST, init="noise")), ctx()).start
    assert first.shape == (6, 1, 8, 8)
    assert abs(float(first.std()) - 1) < 0.15


# ------------------------------------------------------------------------------------------------------ FTD and TESLA


def test_ftd_reports_the_average_of_the_images_and_the_live_rate(ctx):
    context = ctx()
    method = begun(FTD(FTDParams(**FAST, ema=0.9)), context)
    average = method.start.double()
    for context.step in range(3):
        method.step(context)
        average = 0.9 * average + 0.1 * method.images.value.double()
    condensed = method.finalise(context)
    torch.testing.assert_close(condensed.images, average.float(), rtol=1e-5, atol=1e-6)
    assert condensed.recipe.lr == pytest.approx(float(method.lr.value))


def test_ftd_without_averaging_is_mtt(ctx):
    ftd, mtt = run(FTD(FTDParams(**FAST, ema=0)), ctx()), run(MTT(MTTParams(**FAST)), ctx())
    assert torch.equal(ftd.images, mtt.images)


def test_tesla_is_mtt_with_teslas_gradient(ctx):
    tesla = run(TESLA(TESLAParams(**FAST)), ctx())
    assert torch.equal(tesla.images, run(MTT(MTTParams(**FAST, gradients="tesla")), ctx()).images)
    exact = run(TESLA(TESLAParams(**FAST, gradients="exact")), ctx())
    assert torch.equal(exact.images, run(MTT(MTTParams(**FAST)), ctx()).images)


def test_tesla_and_mtt_agree_when_the_student_takes_one_step(ctx):
    one = {**FAST, "syn_steps": 1}
    tesla, mtt = run(TESLA(TESLAParams(**one)), ctx()), run(MTT(MTTParams(**one)), ctx())
    torch.testing.assert_close(tesla.images, mtt.images, rtol=1e-5, atol=1e-6)


def test_teacher_labels_are_those_of_the_last_target(ctx):
    context = ctx()
    method = begun(TESLA(TESLAParams(**FAST, labels="teacher")), context)
    seen = []
    draw, update = method.draw, method.update
    method.draw = lambda ctx, bound: seen.append(draw(ctx, bound)) or seen[-1]
    labels = []

    def noting(ctx, found):
        labels.append(expert_logits(method.net, seen[-1][1], method.images.value))
        return update(ctx, found)

    method.update = noting
    for context.step in range(3):
        method.step(context)
    torch.testing.assert_close(method.finalise(context).labels, labels[-1])


# ------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"first_max_start": 25, "max_start": 20}, "the window cannot grow"),
        ({"first_max_start": 5, "min_start": 5}, "the window cannot grow"),
        ({"min_start": 99, "max_start": 101}, "reaches snapshot 102, and the experts' last is 100"),
        ({"min_start": 20, "max_start": 20}, "the window is empty"),
    ],
)
def test_impossible_windows_are_said_at_plan_time(params, reason):
    assert reason in DATMParams(**params).unsupported(cell(method="datm"), INFO)


def test_a_pool_does_not_depend_on_what_it_does_not_use():
    sgd = MTTParams(expert_rho=0.5, expert_alpha=2.0)
    assert sgd.pool == MTTParams().pool
    assert FTDParams(expert_alpha=1.0).pool != FTDParams().pool
    assert DATMParams(init="kmeans").artifacts(cell()).keys() == {"experts", "features"}


def test_what_a_run_says_about_itself(ctx):
    context = ctx()
    method = DATM(DATMParams(**FAST))
    condensed = run(method, context)
    said, curve = method.diagnostics(context), method.experts.train_top1.mean(0)
    assert said["window_first_top1"] == pytest.approx(float(curve[0]))
    assert said["window_last_top1"] == pytest.approx(float(curve[1]))
    change = (condensed.images - method.start).norm() / method.start.norm()
    assert said["image_change"] == pytest.approx(float(change))
    lengths = [float((method.experts.snapshot(e, t + 2) - method.experts.snapshot(e, t)).norm())
               for e in range(2) for t in range(2)]  # fmt: skip
    assert min(lengths) <= said["segment_norm"] <= max(lengths)
