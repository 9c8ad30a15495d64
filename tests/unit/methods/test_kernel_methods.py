"""KIP, Label Solve and the krr protocols on toy data."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from ddbench.blocks.kernel_names import kernel
from ddbench.blocks.kernel_ridge import coefficients, loss
from ddbench.blocks.kernels import cross, gram
from ddbench.blocks.ridge import centred
from ddbench.blocks.sampling import first_of_each_class
from ddbench.core.api import CondensedSet, Recipe, StorageBytes
from ddbench.core.errors import NodeFailureError
from ddbench.core.specs import Budget, CellSpec, DataSpec, EvalSpec, PlannedEvaluation
from ddbench_plugins.kip.method import KIP
from ddbench_plugins.kip.params import KIPParams
from ddbench_plugins.krr.params import KRRParams
from ddbench_plugins.krr.protocol import KRR, parted
from ddbench_plugins.label_solve.method import LabelSolve
from ddbench_plugins.label_solve.params import LabelSolveParams
from tests.fakes import FakeContext, run, toy

FC1 = kernel("fc1")


def context(counts=(40, 24, 32), **fields):
    return FakeContext(toy(counts), toy((10, 10, 10), seed=1), **fields)


def whole_loss(ctx, condensed, ridge=1e-6):
    """KIP's loss of a set on all training images."""
    images = ctx.train.images(condensed.indices) if condensed.images is None else condensed.images
    hard = condensed.label_space == "hard"
    labels = centred(condensed.labels, 3) if hard else condensed.labels.double()
    across, wanted = cross(FC1, ctx.train.images(), images), centred(ctx.train.labels, 3)
    return float(loss(across, gram(FC1, images), labels, wanted, ridge))


def of_random(ctx):
    """What ``random`` keeps."""
    index = first_of_each_class(ctx)
    return CondensedSet(
        None, ctx.train.labels[index], "hard", ctx.train.preprocess, Recipe(), StorageBytes(0), indices=index
    )


# ----------------------------------------------------------------------------------------------------------------- KIP


@pytest.mark.parametrize("learn_labels", [False, True])
def test_steps_are_those_of_torchs_adam_on_the_papers_loss(learn_labels):
    ctx = context()
    method = KIP(KIPParams(iterations=3, batch_real=8, lr=0.1, learn_labels=learn_labels, kernel="fc2"))
    method.prepare(ctx)
    x, y = method.images.clone().requires_grad_(), method.labels.clone().requires_grad_()
    optimiser = torch.optim.Adam([x, y] if learn_labels else [x], lr=0.1)
    generator = torch.Generator()
    generator.set_state(ctx.generator.get_state())
    named = kernel("fc2")
    for step in range(3):
        ctx.step = step
        real = method.sampler.draw(8, generator)
        assert ctx.train.labels[real].bincount().tolist() == [8, 8, 8], "batches are class-balanced"
        within = gram(named, x)
        ridged = within + 1e-6 * within.trace() / len(x) * torch.eye(len(x), dtype=torch.float64)
        predicted = cross(named, ctx.train.images(real), x) @ torch.linalg.inv(ridged) @ y
        expected = (centred(ctx.train.labels[real], 3) - predicted).square().mean() / 2
        optimiser.zero_grad()
        expected.backward()
        optimiser.step()
        assert method.step(ctx)["loss"] == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(method.images, x.detach(), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(method.labels, y.detach(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("learn_labels", [False, True])
def test_the_loss_on_all_images_falls_far_below_that_of_random(learn_labels):
    ctx = context(budget=Budget(ipc=1))
    first = whole_loss(ctx, of_random(ctx))
    found = run(KIP(KIPParams(iterations=60, batch_real=40, learn_labels=learn_labels)), ctx)
    assert whole_loss(ctx, found) < 0.5 * first


def test_it_starts_from_random_and_images_alone_keep_hard_labels():
    ctx = context()
    made = run(KIP(KIPParams(iterations=0)), ctx)
    assert torch.equal(made.images, ctx.train.images(first_of_each_class(ctx)))
    assert made.label_space == "hard" and made.recipe.loss == "ce"
    learned = run(KIP(KIPParams(iterations=0, learn_labels=True)), context())
    assert learned.label_space == "centred" and learned.recipe.loss == "mse"
    assert torch.equal(learned.aux["classes"], made.labels)
    assert torch.equal(learned.labels, centred(made.labels, 3).float())


@pytest.mark.parametrize("cls", [KIPParams, LabelSolveParams])
def test_kernels_that_are_too_large_are_told_while_planning(cls):
    cell = CellSpec(
        method="kip", method_version=1, origin="ddbench", params={}, data=DataSpec(name="toy", revision="0"),
        budget=Budget(ipc=3), arch="convnet2-w8-in", master=0, r=0,
    )  # fmt: skip
    info = replace(context().dataset, size=28)
    assert cls().unsupported(cell, info) is None
    assert "pools" in cls(kernel="convpool3").unsupported(cell, info)
    assert "have" in cls().unsupported(cell.model_copy(update={"budget": Budget(ipc=99)}), info)


# --------------------------------------------------------------------------------------------------------- Label Solve


def test_label_solve_keeps_randoms_images_and_no_labels_of_these_have_a_smaller_loss():
    ctx = context()
    made = run(LabelSolve(LabelSolveParams(rows=10)), ctx)
    assert torch.equal(made.indices, first_of_each_class(ctx)) and made.label_space == "centred"
    best = whole_loss(ctx, made)
    assert best < whole_loss(ctx, of_random(ctx))
    for seed in range(5):
        nudge = 1e-2 * torch.randn(made.labels.shape, generator=torch.Generator().manual_seed(seed))
        assert whole_loss(ctx, replace(made, labels=made.labels + nudge)) > best
    images = run(KIP(KIPParams(iterations=0, learn_labels=True)), ctx)
    assert whole_loss(ctx, images) > best


def test_label_solve_has_the_same_labels_whatever_it_holds_at_once():
    one, other = (run(LabelSolve(LabelSolveParams(rows=rows)), context()) for rows in (1000, 7))
    torch.testing.assert_close(one.labels, other.labels, rtol=1e-5, atol=1e-6)


# ----------------------------------------------------------------------------------------------------------------- krr


def fitted(ctx, condensed, val=True, **params):
    noted = {}
    inputs = SimpleNamespace(
        params=KRRParams(kernel="fc1", images=len(condensed), **params), train=ctx.train, val=ctx.val if val else None,
        dataset=ctx.dataset, device=ctx.device, note=noted.__setitem__,
    )  # fmt: skip
    return KRR().fit(condensed, None, 0, inputs), noted


def test_the_ridge_is_the_best_on_val_the_first_of_equals_and_noted():
    ctx = context()
    condensed = of_random(ctx)
    predict, noted = fitted(ctx, condensed)
    x = ctx.train.images(condensed.indices)
    found = {}
    for ridge in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
        alpha = coefficients(gram(FC1, x), centred(condensed.labels, 3), ridge)
        predicted = (cross(FC1, ctx.val.images(), x) @ alpha).argmax(1)
        found[ridge] = 100 * float((predicted == ctx.val.labels).double().mean())
    assert noted["ridge_val_top1"] == {f"{ridge:g}": pytest.approx(top1) for ridge, top1 in found.items()}
    assert noted["ridge"] == next(ridge for ridge, top1 in found.items() if top1 == max(found.values()))
    alpha = coefficients(gram(FC1, x), centred(condensed.labels, 3), noted["ridge"])
    torch.testing.assert_close(predict(ctx.val.images()), (cross(FC1, ctx.val.images(), x) @ alpha).float())
    _, noted = fitted(ctx, condensed, ridges=(1e-2, 1.0001e-2))
    assert noted["ridge"] == 1e-2


def test_a_tenth_of_each_class_chooses_for_full_which_is_then_solved_on_all():
    rest, held = parted(torch.arange(3).repeat_interleave(torch.tensor([25, 9, 10])))
    assert held.tolist() == [9, 19, 43] and sorted([*rest.tolist(), *held.tolist()]) == list(range(44))
    ctx = context()
    condensed = replace(of_random(ctx), labels=ctx.train.labels, indices=torch.arange(len(ctx.train)))
    predict, noted = fitted(ctx, condensed, val=False)
    alpha = coefficients(gram(FC1, ctx.train.images()), centred(ctx.train.labels, 3), noted["ridge"])
    expected = (cross(FC1, ctx.val.images(), ctx.train.images()) @ alpha).float()
    torch.testing.assert_close(predict(ctx.val.images()), expected)


def test_weighted_sets_are_refused():
    condensed = of_random(context())
    with pytest.raises(NodeFailureError, match="weighted"):
        fitted(context(), replace(condensed, weights=torch.ones(len(condensed))))


@pytest.mark.parametrize(
    ("kernel_name", "images", "size", "val", "why"),
    [
        ("fc3", 10_000, 28, (10,), None),
        ("fc3", 54_000, 28, (10,), "not measured: a kernel of at most 10,000 images is solved for, not of 54,000"),
        ("convpool3", 10, 28, (10,), "not measured: convpool3 pools"),
        ("fc1", 10, 8, (0,), "not measured: the ridge is chosen on val, and there is none"),
    ],
)
def test_what_cannot_be_solved_for_is_told_while_planning(kernel_name, images, size, val, why):
    data = replace(context().dataset, size=size, val_counts=val)
    spec = EvalSpec(
        set="0" * 64, protocol="krr", protocol_version=1, protocol_params={}, arch="ntk", master=0, r=0, e=0
    )
    cell = CellSpec(
        method="random", method_version=1, origin="ddbench", params={}, data=DataSpec(name="toy", revision="0"),
        budget=Budget(ipc=1), arch="convnet2-w8-in", master=0, r=0,
    )  # fmt: skip
    found = KRRParams(kernel=kernel_name, images=images).unsupported(PlannedEvaluation(spec, cell), data)
    assert found is None if why is None else (found or "").startswith(why)
