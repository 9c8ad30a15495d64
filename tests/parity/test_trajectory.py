"""Our gradients through a student's training are the published implementation's."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks.functional import flatten
from ddbench.blocks.sam import gsam_step
from ddbench.blocks.trajectory import match
from tests.parity.published import assert_agrees, network, read
from tests.parity.reference.mtt import trajectory_loss


def parameters(numbers, prefix):
    return [numbers[key] for key in sorted(numbers) if key[: len(prefix)] == prefix and key[len(prefix) :].isdigit()]


@pytest.mark.parametrize("gradients", ["exact", "unrolled"])
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_loss_and_gradients_agree(kind, gradients):
    numbers = read(f"trajectory_{kind}")
    labels = numbers["y_syn"] if kind == "hard" else numbers["y_logits"]
    found = match(
        network(numbers, "start"), parameters(numbers, "start"), parameters(numbers, "target"), numbers["x_syn"], labels,
        numbers["lr"], numbers["batches"], gradients=gradients,
    )  # fmt: skip
    assert_agrees(found.loss, numbers["loss"])
    assert_agrees(found.grad_images, numbers["grad_x_syn"])
    assert_agrees(found.grad_lr, numbers["grad_lr"])
    if kind == "soft":
        assert_agrees(found.grad_labels, numbers["grad_y_logits"])
    else:
        assert found.grad_labels is None


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_plain_reference_loop_agrees(kind):
    numbers = read(f"trajectory_{kind}")
    images, lr = (numbers[name].clone().requires_grad_() for name in ("x_syn", "lr"))
    labels = numbers["y_syn"] if kind == "hard" else numbers["y_logits"].clone().requires_grad_()
    start, target = (flatten(parameters(numbers, prefix)) for prefix in ("start", "target"))
    net = network(numbers, "start")
    loss = trajectory_loss(net, start, target, images, labels, lr, list(numbers["batches"]))
    grads = torch.autograd.grad(loss, [images, lr, *([labels] if kind == "soft" else [])])
    assert_agrees(loss, numbers["loss"])
    for found, name in zip(grads, ("grad_x_syn", "grad_lr", "grad_y_logits"), strict=False):
        assert_agrees(found, numbers[name])


def test_the_reference_of_tesla_leaves_out_what_tesla_does():
    """The same loss; each step's gradient as if its start were a constant."""
    numbers = read("trajectory_hard")
    images = numbers["x_syn"].clone().requires_grad_()
    start, target = (flatten(parameters(numbers, prefix)) for prefix in ("start", "target"))
    net, batches = network(numbers, "start"), list(numbers["batches"])
    loss = trajectory_loss(
        net, start, target, images, numbers["y_syn"], numbers["lr"], batches, tesla=True
    )  # fmt: skip
    (gradient,) = torch.autograd.grad(loss, images)
    ours = match(net, start, target, images, numbers["y_syn"], numbers["lr"], batches, gradients="tesla")
    assert_agrees(loss, numbers["loss"])
    assert_agrees(gradient, ours.grad_images)


def test_a_gsam_step_agrees():
    numbers = read("gsam_step")
    net = network(numbers)
    gsam_step(net, numbers["x"], numbers["y"], **{name: float(numbers[name]) for name in ("lr", "rho", "alpha")})
    for ours, theirs in zip(net.parameters(), parameters(numbers, "after"), strict=True):
        assert_agrees(ours, theirs)
    assert torch.is_grad_enabled()
