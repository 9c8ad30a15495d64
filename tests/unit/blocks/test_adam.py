"""Adam and AdamW take torch's steps to the bit; LAMB is hand arithmetic."""

from __future__ import annotations

import math

import pytest
import torch

from ddbench.blocks.adam import Adam, Lamb
from tests.unit.blocks.test_sgd import tensors


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9)])
def test_it_takes_the_steps_of_torch(decoupled, weight_decay, betas):
    ours, theirs = tensors(0), [one.requires_grad_() for one in tensors(0)]
    mine = Adam(ours, 0.03, betas=betas, weight_decay=weight_decay, decoupled=decoupled)
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    oracle = kind(theirs, 0.03, betas=betas, weight_decay=weight_decay, foreach=False)
    for step in range(8):
        gradients = tensors(1 + step)
        if step in (0, 3):
            gradients[1] = None  # a parameter that the loss does not depend on
        if step == 5:
            mine.lr = oracle.param_groups[0]["lr"] = 0.01
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        mine.step(gradients)
        oracle.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("kind", [Adam, Lamb])
def test_a_copy_of_its_state_goes_on_alike(kind):
    whole, begun = tensors(0), tensors(0)
    one, two = kind(whole, 0.03), kind(begun, 0.03)
    for step in range(3):
        one.step(tensors(1 + step))
        two.step(tensors(1 + step))
    later = kind(begun, 0.7)
    later.load(two.state())
    for step in range(3, 6):
        one.step(tensors(1 + step))
        later.step(tensors(1 + step))
    assert all(torch.equal(a, b) for a, b in zip(whole, begun, strict=True))


def test_lamb_is_hand_arithmetic():
    """Two steps on two tensors, of which one starts at 0 (ratio 1), with numbers written out."""
    parameters = [torch.tensor([3.0, 4.0], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)]
    lamb = Lamb(parameters, 0.1, betas=(0.8, 0.5))
    lamb.step([torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)])
    # u = g / (|g| + 1e-6): (1, 0), of norm about 1; ‖θ‖ = 5; the second tensor has no size
    first = 1 / (1 + 1e-6)
    assert parameters[0].tolist() == pytest.approx([3 - 0.1 * 5 / first * first, 4], abs=1e-15)
    assert parameters[1].item() == pytest.approx(-0.1 * 2 / (2 + 1e-6), abs=1e-15)
    lamb.step([torch.tensor([0.0, 2.0], dtype=torch.float64), torch.tensor([0.0], dtype=torch.float64)])
    m = [0.8 * 0.2 * 1 / 0.36, 0.2 * 2 / 0.36]
    v = [math.sqrt(0.5 * 0.5 / 0.75), math.sqrt(0.5 * 4 / 0.75)]
    u = [a / (b + 1e-6) for a, b in zip(m, v, strict=True)]
    ratio = math.hypot(2.5, 4) / math.hypot(*u)
    assert parameters[0].tolist() == pytest.approx([2.5 - 0.1 * ratio * u[0], 4 - 0.1 * ratio * u[1]], abs=1e-12)


def test_the_trust_ratio_is_not_clamped():
    """A tensor a million times as large moves a million times as far; one whose gradient is 0 stays."""
    small, large = torch.full((3,), 1e-3), torch.full((3,), 1e3)
    before = large.clone()
    for one in (small, large):
        Lamb([one], 0.1).step([torch.ones(3)])
    assert torch.allclose(small * 1e6, large) and torch.allclose(large, 0.9 * before)
    still = torch.ones(2)
    Lamb([still], 0.1).step([torch.zeros(2)])
    assert torch.equal(still, torch.ones(2))
