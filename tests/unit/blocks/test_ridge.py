"""Ridge regression in closed form: against scikit-learn, plain NumPy, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from ddbench.blocks.ridge import ridge_weights


def problem(n=7, d=5, k=3):
    draws = torch.Generator().manual_seed(0)
    return (torch.randn(rows, width, generator=draws, dtype=torch.float64) for rows, width in ((n, d), (n, k), (4, d)))


@pytest.mark.parametrize("relative", [False, True])
def test_predictions_are_those_of_kernel_ridge_on_the_linear_kernel(relative):
    features, targets, others = problem()
    penalty = 0.3 * float((features**2).sum()) / 7 if relative else 0.3
    oracle = KernelRidge(alpha=penalty, kernel="precomputed").fit(features @ features.T, targets)
    found = others @ ridge_weights(features, targets, 0.3, relative=relative)
    np.testing.assert_allclose(found, oracle.predict((others @ features.T).numpy()), rtol=1e-10)


@pytest.mark.parametrize("shape", [(7, 5), (3, 8)])
def test_weights_are_those_of_the_primal_problem(shape):
    features, targets, _ = problem(*shape)
    oracle = Ridge(alpha=2.0, fit_intercept=False).fit(features, targets)
    np.testing.assert_allclose(ridge_weights(features, targets, 2.0), oracle.coef_.T, rtol=1e-9)


def test_the_gradient_knows_of_the_relative_penalty():
    features, targets, others = problem()

    def predict(features, targets):
        return others @ ridge_weights(features, targets, 0.5, relative=True)

    assert torch.autograd.gradcheck(predict, (features.requires_grad_(), targets.requires_grad_()))
