"""Our distribution matching computes the published loss and gradient."""

from __future__ import annotations

import torch

from ddbench.blocks.features import frozen
from ddbench_plugins.dm.method import DM
from ddbench_plugins.dm.params import DMParams
from tests.parity.published import assert_agrees, network, read
from tests.parity.reference.dm import dm_loss


def class_major(images, labels):
    order = labels.argsort(stable=True)
    return order, images[order], labels.bincount().tolist()


def test_loss_and_gradient_agree():
    numbers = read("dm_distribution_matching")
    net = frozen(network(numbers), numbers["x_real"])
    _, real, real_counts = class_major(numbers["x_real"], numbers["y_real"])
    order, syn, counts = class_major(numbers["x_syn"], numbers["y_syn"])
    method = DM(DMParams(augment="none"))
    method.counts, method.chunk = counts, 7
    syn.requires_grad_()
    loss = method.loss(net, real, syn, real_counts)
    (gradient,) = torch.autograd.grad(loss, syn)
    assert_agrees(loss, numbers["loss"])
    assert_agrees(gradient, numbers["grad_x_syn"][order])


def test_plain_reference_loop_agrees():
    numbers = read("dm_distribution_matching")
    net = network(numbers)
    _, real, real_counts = class_major(numbers["x_real"], numbers["y_real"])
    _, syn, counts = class_major(numbers["x_syn"], numbers["y_syn"])
    assert_agrees(dm_loss(net, real.split(real_counts), syn.split(counts)), numbers["loss"])
