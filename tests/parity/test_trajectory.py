"""Our gradients through a student's training are the published implementation's."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks.sam import gsam_step
from ddbench.blocks.trajectory import match
from tests.parity.published import assert_agrees, network, read


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


def test_a_gsam_step_agrees():
    numbers = read("gsam_step")
    net = network(numbers)
    gsam_step(net, numbers["x"], numbers["y"], **{name: float(numbers[name]) for name in ("lr", "rho", "alpha")})
    for ours, theirs in zip(net.parameters(), parameters(numbers, "after"), strict=True):
        assert_agrees(ours, theirs)
    assert torch.is_grad_enabled()
