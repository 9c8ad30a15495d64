"""LD: both gradients of the labels against NumPy and finite differences, the simplex, and when networks start anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ddbench.blocks.sampling import first_of_each_class
from ddbench.core.specs import Budget
from ddbench_plugins.ld.method import LD, on_simplex, soft_cross_entropy
from ddbench_plugins.ld.params import LDParams
from ddbench_plugins.ld.plateau import Plateau
from tests.fakes import FakeContext, run, toy

VARIANTS = ["second_order", "ridge"]


class Softmax(nn.Module):
    """Softmax regression."""

    def __init__(self, d, k):
        super().__init__()
        self.classifier = nn.Linear(d, k)

    def embed(self, x):
        return x.flatten(1)

    def forward(self, x):
        return self.classifier(self.embed(x))


class Linear(FakeContext):
    """Whose networks are softmax regressions."""

    def build_model(self, arch=None, *, seed):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return Softmax(64, 3).to(self.train.images().dtype)


def context(cls=FakeContext, ipc=2, **fields):
    return cls(toy(dtype=torch.float64), toy((2, 2, 2), seed=9), Budget(ipc=ipc), **fields)


def prepared(ctx, labels=None, **given):
    method = LD(LDParams(**{"batch_real": 12, "iterations": 40, **given}))
    method.prepare(ctx)
    if labels is not None:
        method.labels.copy_(labels)
    return method


def some_labels(n=6, k=3):
    return torch.rand(n, k, generator=torch.Generator().manual_seed(4), dtype=torch.float64).softmax(1)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def label_gradient(method):
    """Of the one step that was made: Adam's first moment is a tenth of it."""
    return 10 * method.adam.first[0]


def test_the_second_order_gradient_is_that_of_softmax_regression_in_numpy():
    ctx = context(Linear)
    method = prepared(ctx, some_labels(), lr_inner=0.3)
    net = method.net.classifier
    W, b = net.weight.detach().numpy().copy(), net.bias.detach().numpy().copy()
    x, y = method.images.flatten(1).numpy(), some_labels().numpy()
    real, classes = ctx.train.images()[:12], ctx.train.labels[:12]
    r, truth = real.flatten(1).numpy(), np.eye(3)[classes]

    def outer(y):
        p = softmax(x @ W.T + b)
        gap = (p * y.sum(1, keepdims=True) - y) / len(x)  # rows need not sum to 1 here
        moved = softmax(r @ (W - 0.3 * gap.T @ x).T + b - 0.3 * gap.sum(0))
        return -np.mean(np.sum(truth * np.log(moved), 1)), float((moved.argmax(1) != classes.numpy()).mean())

    loss, error = method.second_order(torch.arange(6), real, classes)
    assert (loss, error) == pytest.approx(outer(y), rel=1e-12)
    differences = np.zeros_like(y)
    for i in range(6):
        for c in range(3):
            step = np.zeros_like(y)
            step[i, c] = 1e-5
            differences[i, c] = (outer(y + step)[0] - outer(y - step)[0]) / 2e-5
    np.testing.assert_allclose(label_gradient(method), differences, rtol=1e-6, atol=1e-10)


def test_the_second_order_gradient_of_a_convnet_is_a_finite_difference():
    ctx = context()
    method = prepared(ctx, some_labels(), lr_inner=0.3)
    real, classes = ctx.train.images()[:12], ctx.train.labels[:12]
    along = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def outer(labels):
        other = prepared(ctx, labels, lr_inner=0.3)
        return other.second_order(torch.arange(6), real, classes)[0]

    method.second_order(torch.arange(6), real, classes)
    difference = (outer(some_labels() + 1e-5 * along) - outer(some_labels() - 1e-5 * along)) / 2e-5
    assert float((label_gradient(method) * along).sum()) == pytest.approx(difference, rel=1e-5)


def test_the_network_learns_by_the_labels_of_before():
    ctx = context()
    method = prepared(ctx, some_labels(), lr_labels=0.5)
    parameters = list(method.net.parameters())
    before = torch.autograd.grad(soft_cross_entropy(method.net(method.images), some_labels()), parameters)
    method.second_order(torch.arange(6), ctx.train.images()[:12], ctx.train.labels[:12])
    assert not torch.allclose(method.labels, some_labels())
    for moment, gradient in zip(method.net_adam.first, before, strict=True):
        torch.testing.assert_close(10 * moment, gradient)


def test_the_ridge_form_is_that_of_numpy():
    ctx = context()
    method = prepared(ctx, some_labels(), variant="ridge", ridge=0.7, mix=0.2, lr_labels=0.05)
    method.layer.copy_(torch.randn(method.layer.shape, generator=torch.Generator().manual_seed(2)))
    method.scale.fill_(1.5)
    real, classes = ctx.train.images()[:12], ctx.train.labels[:12]
    with torch.no_grad():
        phi, seen = (
            np.pad(method.net.embed(x).numpy(), ((0, 0), (0, 1)), constant_values=1.0) for x in (method.images, real)
        )
    before, y, truth = method.layer.numpy().copy(), some_labels().numpy(), np.eye(3)[classes]

    loss, error = method.ridge(torch.arange(6), real, classes)

    inverse = np.linalg.inv(phi @ phi.T + 0.7 * np.eye(6))
    W = 0.8 * before + 0.2 * phi.T @ inverse @ y
    p = softmax(1.5 * seen @ W)
    assert loss == pytest.approx(-np.mean(np.sum(truth * np.log(p), 1)), rel=1e-10)
    assert error == pytest.approx((p.argmax(1) != classes.numpy()).mean())
    wanted = 0.2 * inverse @ phi @ (1.5 * seen.T @ (p - truth) / 12)
    np.testing.assert_allclose(label_gradient(method), wanted, rtol=1e-9)
    np.testing.assert_allclose(method.layer, W, rtol=1e-10)
    # The scale's step: by the new labels, with W of the old ones.
    new, own = method.labels.numpy(), softmax(1.5 * phi @ W)
    of_scale = np.mean(np.sum((own - new) * (phi @ W), 1))
    assert 10 * float(method.scale_adam.first[0]) == pytest.approx(of_scale, rel=1e-9)


def test_features_learn_through_the_solution_of_the_regression():
    ctx = context()
    real, classes = ctx.train.images()[:12], ctx.train.labels[:12]
    method = prepared(ctx, some_labels(), variant="ridge", mix=0.5, lr_labels=0.05)
    weight = next(method.net.parameters())
    first = weight.detach().clone()
    method.ridge(torch.arange(6), real, classes)
    new, gradient = method.labels.clone(), 10 * method.net_adam.first[0]

    def of_features(at):
        """The loss of the features with one filter bank elsewhere: W of the old labels, the new ones as targets."""
        net = ctx.build_model(seed=ctx.seed("net", "0"))
        with torch.no_grad():
            next(net.parameters()).copy_(at)
            phi = torch.cat([net.embed(method.images), torch.ones(6, 1, dtype=torch.float64)], 1)
        eye = torch.eye(6, dtype=torch.float64)
        W = 0.5 * phi.T @ torch.linalg.inv(phi @ phi.T + eye) @ some_labels()
        return float(-(new * (phi @ W).log_softmax(1)).sum() / 6)

    along = torch.randn(first.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    difference = (of_features(first + 1e-6 * along) - of_features(first - 1e-6 * along)) / 2e-6
    assert float((gradient * along).sum()) == pytest.approx(difference, rel=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_labels_stay_on_the_simplex_and_come_to_prefer_the_class_of_their_image(variant):
    ctx = context(ipc=5)
    method = prepared(ctx, variant=variant, lr_labels=0.02)
    assert torch.equal(method.labels, torch.full((15, 3), 1 / 3, dtype=torch.float64))
    for _ in range(40):
        method.step(ctx)
        assert float(method.labels.min()) >= 0
        torch.testing.assert_close(method.labels.sum(1), torch.ones(15, dtype=torch.float64))
    assert torch.equal(method.labels.argmax(1), method.classes)


def test_back_onto_the_simplex_by_hand():
    found = on_simplex(torch.tensor([[1.5, 0.5, -0.2], [-0.1, -0.2, 0.0], [0.2, 0.3, 0.5]]))
    expected = torch.tensor([[2 / 3, 1 / 3, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.2, 0.3, 0.5]])
    torch.testing.assert_close(found, expected)


def lengths_by_hand(errors, gap):
    """Where the network starts anew, looking at all of its errors in each step."""
    found, own = [], []
    for error in errors:
        own.append(error)
        means = [sum(own[i - gap : i]) for i in range(gap, len(own) + 1)]
        if means and len(own) - (gap + int(np.argmin(means))) > gap:
            found.append(gap + int(np.argmin(means)))
            own = []
    return found


@pytest.mark.parametrize("gap", [1, 3, 7])
def test_networks_are_given_up_when_the_moving_mean_no_longer_falls(gap):
    errors = np.random.default_rng(gap).integers(0, 64, 300) / 64  # exact sums
    plateau = Plateau(gap)
    given_up = [plateau.gives_up(error) for error in errors]
    assert plateau.lengths == lengths_by_hand(errors, gap)
    assert sum(given_up) == len(plateau.lengths) > 5


def test_the_length_of_a_training_by_hand():
    plateau = Plateau(2)
    assert not any(plateau.gives_up(error) for error in (0.9, 0.7, 0.5, 0.3, 0.4, 0.5))  # means .8 .6 .4 .35 .45
    assert plateau.at_least == plateau.updates() == 5
    assert [plateau.gives_up(error) for error in (0.5, 0.5)] == [False, True]
    assert plateau.lengths == [5]


def test_updates_are_the_mean_of_the_last_three_lengths():
    plateau = Plateau(2)
    plateau.lengths = [1, 10, 20, 33]
    assert plateau.updates() == 21
    assert Plateau(2).updates() == 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_network_that_starts_anew_leaves_labels_and_their_moments(variant):
    ctx = context()
    method = prepared(ctx, variant=variant, patience=1)
    while method.nets == 1:
        method.step(ctx)
    assert method.adam.steps == [sum(method.plateau.lengths) + 2], "given up at the second step without a new minimum"
    assert method.net_adam.steps == [0] * len(list(method.net.parameters()))
    assert float(method.scale) == 1
    assert not method.layer.any()
    fresh = ctx.build_model(seed=ctx.seed("net", "1"))
    assert all(torch.equal(a, b) for a, b in zip(method.net.parameters(), fresh.parameters(), strict=True))


def test_the_set_is_randoms_images_with_learned_labels():
    ctx = FakeContext(toy(), toy((2, 2, 2)), Budget(ipc=4))
    params = LDParams(iterations=5, batch_real=8)
    made = run(LD(params), ctx)
    assert torch.equal(made.indices, first_of_each_class(ctx))
    assert made.aux["classes"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert made.label_space == "probs"
    assert made.storage.total == params.stored_bytes(12, ctx.dataset) == 12 * (64 + 4 * 3) + 4
    assert made.storage.lrs == 4 * made.recipe.stored_rates == 4
    recipe = made.recipe
    assert (recipe.optimiser, recipe.lr, recipe.loss, recipe.augmentation) == ("adam", 1e-3, "ce", "none")
    assert (recipe.schedule, recipe.batch, recipe.weight_decay, recipe.updates) == ("constant", 10, 0.0, 5)


@pytest.mark.parametrize(
    ("n", "classes", "batch", "gap"),
    [(8, 10, 8, 50), (10, 10, 10, 50), (20, 10, 10, 50), (50, 10, 25, 50), (100, 100, 50, 100), (500, 10, 50, 200)],
)
def test_batches_and_patience_are_the_authors(n, classes, batch, gap):
    assert (LDParams().batch(n), LDParams().gap(n, classes)) == (batch, gap)
    assert (LDParams(batch_syn=7, patience=3).batch(n), LDParams(batch_syn=7, patience=3).gap(n, classes)) == (7, 3)
