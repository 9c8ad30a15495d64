"""Classes taking turns: the loops as written with torch's optimisers, what permuting classes does, and plateaus."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks.turns import AdamWTurns, Plateau, SGDTurns
from ddbench.core.store.tensors import load_state, save_state

COUNTS = [2, 1, 3]
KINDS = ["sgd", "adamw"]


def values(n=6, seed=0):
    return torch.randn(n, 1, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


GOAL = values(seed=1)


def pull(seen, goal=GOAL):
    """The gradient of a loss of each image that is not linear in it."""
    return (seen - goal) ** 3 + 0.3 * (seen - goal)


def made(kind, shared, counts=COUNTS, start=None):
    start = values() if start is None else start
    if kind == "sgd":
        return SGDTurns(start, counts, 0.1, 0.9, shared=shared)
    return AdamWTurns(start, counts, 0.05, 0.1, shared=shared)


def optimiser_of(kind, parameters):
    if kind == "sgd":
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    return torch.optim.AdamW(parameters, lr=0.05, weight_decay=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_shared_is_one_optimiser_that_steps_the_whole_tensor_for_each_class(kind):
    turns, plain = made(kind, shared=True), values().requires_grad_()
    optimiser = optimiser_of(kind, [plain])
    for _ in range(4):
        turns.take(pull)
        end = 0
        for n in COUNTS:
            begin, end = end, end + n
            plain.grad = torch.zeros_like(plain)
            plain.grad[begin:end] = pull(plain.detach())[begin:end]
            optimiser.step()
        torch.testing.assert_close(turns.value, plain.detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_not_shared_is_an_optimiser_for_each_class(kind):
    turns, parts = made(kind, shared=False), [part.clone().requires_grad_() for part in values().split(COUNTS)]
    optimisers = [optimiser_of(kind, [part]) for part in parts]
    for _ in range(4):
        turns.take(pull)
        for part, goal, optimiser in zip(parts, GOAL.split(COUNTS), optimisers, strict=True):
            part.grad = pull(part.detach(), goal)
            optimiser.step()
        torch.testing.assert_close(turns.value, torch.cat(parts).detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_permuting_classes_permutes_the_result_unless_they_share_an_optimiser(kind):
    order, counts = [2, 0, 1], [3, 2, 1]
    rows = torch.cat([torch.arange(6).split(COUNTS)[c] for c in order])
    for shared in (False, True):
        turns, permuted = made(kind, shared), made(kind, shared, counts, values()[rows])
        for _ in range(3):
            turns.take(pull)
            permuted.take(lambda seen: pull(seen, GOAL[rows]))
        assert torch.allclose(permuted.value, turns.value[rows], rtol=1e-12, atol=1e-13) == (not shared)


def test_one_shared_adamw_moves_images_farther_and_decays_them_more_often():
    """The same gradient for all: √K times as far, about, and (1 − η λ)^(K · passes) without any."""
    own, shared = (AdamWTurns(torch.zeros(10, 1), [1] * 10, 1e-3, 0.0, shared=one) for one in (False, True))
    for _ in range(400):
        own.take(torch.ones_like)
        shared.take(torch.ones_like)
    assert float(own.value.abs().mean()) == pytest.approx(0.4, rel=0.02)
    assert 2.5 < float(shared.value.abs().mean() / own.value.abs().mean()) < 4.0
    for one, steps in ((False, 50), (True, 500)):
        still = AdamWTurns(torch.ones(10, 1, dtype=torch.float64), [1] * 10, 0.1, 0.1, shared=one)
        for _ in range(50):
            still.take(torch.zeros_like)
        torch.testing.assert_close(still.value, torch.full_like(still.value, 0.99**steps))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shared", [False, True])
def test_resumes_to_the_bit(kind, shared, tmp_path):
    whole, first = made(kind, shared), made(kind, shared)
    for turns in (whole, first):
        turns.take(pull)
        turns.lr *= 0.5
        turns.take(pull)
    save_state(tmp_path / "state", first.state())
    resumed = made(kind, shared)
    resumed.load(load_state(tmp_path / "state"))
    for turns in (whole, resumed):
        turns.take(pull)
    assert torch.equal(resumed.value, whole.value)


def test_a_pass_leaves_what_was_there_before():
    for kind in KINDS:
        turns = made(kind, shared=True)
        before, kept = turns.value, turns.value.clone()
        turns.take(pull)
        assert torch.equal(before, kept) and not torch.equal(turns.value, kept)


@pytest.mark.parametrize("patience", [0, 1, 4])
def test_plateaus_are_torchs(patience):
    draws = torch.Generator().manual_seed(patience)
    losses = (torch.rand(80, generator=draws) + torch.linspace(1, 0, 80).clamp_min(0.5)).tolist()
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=patience)
    ours, lr, rates = Plateau(0.5, patience), 0.1, set()
    for loss in losses:
        scheduler.step(loss)
        lr = ours.rate(lr, loss)
        assert lr == optimiser.param_groups[0]["lr"]
        rates.add(lr)
    assert len(rates) > 1
