"""Our gradient matching computes the published loss and gradient."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks import matching
from ddbench.blocks.matching import class_gradients, gradient_distance
from ddbench_plugins.dc.method import DC
from ddbench_plugins.dc.params import DCParams
from tests.parity.published import assert_agrees, network, read
from tests.parity.reference.dc import dc_loss
from tests.parity.test_dm import class_major


@pytest.fixture
def case():
    numbers = read("dc_gradient_matching")
    order, syn, counts = class_major(numbers["x_syn"], numbers["y_syn"])
    _, real, real_counts = class_major(numbers["x_real"], numbers["y_real"])
    return numbers, network(numbers), real, real_counts, order, syn, counts


@pytest.mark.parametrize("together", [0, 100])
def test_loss_per_class_and_gradient_agree(case, monkeypatch, together):
    """Class by class, and all classes in one batched pass."""
    monkeypatch.setattr(matching, "TOGETHER", together)
    numbers, net, real, real_counts, order, syn, counts = case
    labels = torch.arange(len(counts))
    theirs = class_gradients(net, real, labels.repeat_interleave(torch.tensor(real_counts)), real_counts)
    syn.requires_grad_()
    ours = class_gradients(net, syn, labels.repeat_interleave(torch.tensor(counts)), counts, graph=True)
    losses = torch.stack([gradient_distance(a, b) for a, b in zip(theirs, ours, strict=True)])
    assert_agrees(losses, numbers["loss_per_class"])
    assert_agrees(losses.sum(), numbers["loss"])
    (gradient,) = torch.autograd.grad(losses.sum(), syn)
    assert_agrees(gradient, numbers["grad_x_syn"][order])


@pytest.mark.parametrize("together", [0, 100])
def test_the_methods_own_loss_agrees(case, monkeypatch, together):
    monkeypatch.setattr(matching, "TOGETHER", together)
    numbers, net, real, real_counts, order, syn, counts = case
    method = DC(DCParams())
    method.counts = counts
    method.labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    method.seconds = {"matching_s": 0.0}
    loss, gradient = method.match(net, real, real_counts, syn)
    assert_agrees(loss, numbers["loss"])
    assert_agrees(gradient, numbers["grad_x_syn"][order])


def test_plain_reference_loop_agrees(case):
    numbers, net, real, real_counts, order, syn, counts = case
    syn.requires_grad_()
    loss = dc_loss(net, real.split(real_counts), syn.split(counts))
    (gradient,) = torch.autograd.grad(loss, syn)
    assert_agrees(loss, numbers["loss"])
    assert_agrees(gradient, numbers["grad_x_syn"][order])
