"""Laws of kernel ridge regression; oracles: scikit-learn, NumPy's pseudo-inverse, loops, finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from ddbench.blocks import kernel_ridge as ridge_of
from ddbench.blocks.kernel_names import kernel
from ddbench.blocks.kernels import cross, gram
from ddbench.core.api import CondensedSet, Preprocess, Recipe, StorageBytes
from ddbench.core.errors import NodeFailureError

K = 3
NAMED = kernel("fc2")


def of(n, seed=0):
    """n images, and their centred labels."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 1, 4, 4, generator=draws, dtype=torch.float64)
    return x, ridge_of.centred(torch.randint(K, (n,), generator=draws), K)


@pytest.mark.parametrize("ridge", [1e-6, 1e-2])
def test_predictions_are_scikit_learns(ridge):
    (x, y), (other, _) = of(12), of(7, seed=1)
    within, across = gram(NAMED, x), cross(NAMED, other, x)
    oracle = KernelRidge(alpha=ridge * float(within.trace()) / len(x), kernel="precomputed").fit(within, y)
    assert np.allclose(oracle.predict(across), across @ ridge_of.coefficients(within, y, ridge), rtol=1e-7)


def test_the_loss_is_a_mean_over_images_and_classes_and_differentiates_the_ridge():
    (x, y), (real, wanted) = of(4), of(6, seed=1)

    def found(at, labels):
        return ridge_of.loss(cross(NAMED, real, at), gram(NAMED, at), labels, wanted, 0.1)

    predicted = cross(NAMED, real, x) @ ridge_of.coefficients(gram(NAMED, x), y, 0.1)
    by_hand = sum(
        (float(wanted[i, c]) - float(predicted[i, c])) ** 2 / 2 for i in range(len(real)) for c in range(K)
    ) / (len(real) * K)
    assert float(found(x, y)) == pytest.approx(by_hand, rel=1e-12)
    assert torch.autograd.gradcheck(found, (x.requires_grad_(), y.requires_grad_()))


@pytest.mark.parametrize(("n", "real", "block"), [(20, 300, 64), (20, 300, 7), (20, 30, 300), (30, 20, 6), (5, 40, 1)])
def test_best_labels_are_the_pseudo_inverses_whatever_the_blocks(n, real, block):
    (x, _), (images, wanted) = of(n), of(real, seed=1)
    within, across = gram(NAMED, x), cross(NAMED, images, x)
    design = np.linalg.solve(ridge_of.regularised(within, 1e-3).numpy(), across.numpy().T).T
    expected = np.linalg.pinv(design, rcond=real * np.finfo(float).eps) @ wanted.numpy()
    found = ridge_of.best_labels(within, zip(across.split(block), wanted.split(block), strict=True), 1e-3)
    assert np.abs(found.numpy() - expected).max() < 1e-8 * np.abs(expected).max()


def test_no_other_labels_have_a_smaller_loss_on_the_real_images():
    (x, first), (real, wanted) = of(10), of(80, seed=1)
    within, across = gram(NAMED, x), cross(NAMED, real, x)
    best = ridge_of.best_labels(within, [(across, wanted)], 1e-6).requires_grad_()
    found = ridge_of.loss(across, within, best, wanted, 1e-6)
    (slope,) = torch.autograd.grad(found, best)
    assert slope.abs().max() < 1e-12 and found < ridge_of.loss(across, within, first, wanted, 1e-6)


def test_best_labels_without_real_images_are_refused():
    with pytest.raises(ValueError, match="no real images"):
        ridge_of.best_labels(gram(NAMED, of(3)[0]), [], 1e-6)


def test_labels_of_every_form_become_targets():
    size, space = StorageBytes(0), Preprocess(id="meanstd")
    hard = CondensedSet(torch.zeros(2, 1, 1, 1), torch.tensor([2, 0]), "hard", space, Recipe(), size)
    logits = torch.tensor([[0.0, 1.0, 3.0], [2.0, 0.0, 0.0]])
    third = 1 / 3
    wanted = torch.tensor([[-third, -third, 1 - third], [1 - third, -third, -third]], dtype=torch.float64)
    assert torch.allclose(ridge_of.targets(hard, K), wanted)
    soft = replace(hard, labels=logits, label_space="logits")
    assert torch.allclose(ridge_of.targets(soft, K), logits.double().softmax(1) - third)
    probs = replace(soft, labels=logits.softmax(1), label_space="probs")
    assert torch.allclose(ridge_of.targets(probs, K), ridge_of.targets(soft, K), atol=1e-7)
    assert torch.equal(ridge_of.targets(replace(soft, label_space="centred"), K), logits.double())
    with pytest.raises(NodeFailureError, match="images are weighted"):
        ridge_of.targets(replace(hard, weights=torch.ones(2)), K)


def test_ridges_that_float64_cannot_solve_for_are_left_out_and_none_at_all_is_no_result():
    x, y = of(3)
    singular = gram(NAMED, x.repeat(2, 1, 1, 1)) - 1e-9 * torch.eye(6, dtype=torch.float64)
    labels = torch.cat([y, y])
    assert list(ridge_of.solutions(singular, labels, (1e-18, 1e-3, 1e-1))) == [1e-3, 1e-1]
    with pytest.raises(NodeFailureError, match="cannot be solved for with any ridge") as failed:
        ridge_of.solutions(singular, labels, (1e-18,))
    assert failed.value.status == "nan"


def test_a_kernel_that_is_not_positive_definite_is_no_result_and_says_why():
    x, y = of(3)
    singular = gram(NAMED, x.repeat(2, 1, 1, 1)) - 1e-9 * torch.eye(6, dtype=torch.float64)
    solving = (
        lambda: ridge_of.coefficients(singular, torch.cat([y, y]), 1e-18),
        lambda: ridge_of.best_labels(singular, [(singular, torch.cat([y, y]))], 1e-18),
    )
    for solve in solving:
        with pytest.raises(NodeFailureError, match="not positive definite with ridge 1e-18: images diverged") as failed:
            solve()
        assert failed.value.status == "nan"
