"""Proxy nets that diverged are refused, and those that never learned are told."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks.proxies import chance, refuse_diverged, tell_unless_learned
from ddbench.core.errors import NodeFailureError
from tests.fakes import FakeContext, toy


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_network_whose_parameters_are_no_numbers_is_a_failure_with_advice(wrong):
    net = FakeContext(toy(), toy()).build_model(seed=0)
    refuse_diverged(net, 1, 0.1)
    next(net.parameters()).data.view(-1)[0] = wrong
    with pytest.raises(NodeFailureError, match=r"no numbers by epoch 3: lower lr 0\.5$") as failure:
        refuse_diverged(net, 3, 0.5)
    assert failure.value.status == "nan"


@pytest.mark.parametrize(("classes", "n"), [(10, 1197), (10, 60000), (2, 400), (100, 5000)])
def test_guesses_stay_below_the_bound(classes, n):
    right = torch.distributions.Binomial(n, torch.tensor(1 / classes, dtype=torch.float64))
    torch.manual_seed(0)
    guessers = right.sample((20_000,)) / n
    assert float((guessers > chance(1 / classes, n)).double().mean()) < 0.004


@pytest.mark.parametrize(("p", "n", "bound"), [(0.1, 60000, 0.11), (0.1, 1197, 0.1 + 3 * (0.09 / 1197) ** 0.5)])
def test_the_bound_is_a_tenth_or_three_deviations_above_the_commonest_class(p, n, bound):
    assert chance(p, n) == pytest.approx(bound)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [2, 100, 100_000])
def test_a_network_that_learned_all_is_above_the_bound_however_common_a_class_is(p, n):
    assert p < chance(p, n) < 1


@pytest.mark.parametrize(("accuracy", "told"), [(1.0, False), (0.6, False), (0.45, True), (0.0, True)])
def test_a_network_that_hardly_learned_is_told(accuracy, told):
    ctx = FakeContext(toy(), toy())
    tell_unless_learned(ctx, accuracy)
    assert [text for text in ctx.warnings if "means little" in text] == ctx.warnings
    assert bool(ctx.warnings) is told
