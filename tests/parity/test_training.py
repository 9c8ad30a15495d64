"""Our trainer takes the published SGD steps."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks.training import Trainer, TrainingRecipe
from tests.parity.published import assert_agrees, network, read
from tests.parity.reference.training import sgd_step


@pytest.mark.parametrize("name", ["train_five_steps"])
def test_five_full_batch_steps_agree(name):
    numbers = read(name)
    net = network(numbers)
    recipe = TrainingRecipe(
        updates=5, lr=float(numbers["lr"]), batch=len(numbers["y"]),
        momentum=float(numbers["momentum"]), weight_decay=float(numbers["weight_decay"]),
    )  # fmt: skip
    order = torch.Generator().manual_seed(0)
    trainer = Trainer(net, lambda index: numbers["x"][index], numbers["y"], recipe, order=order)
    losses = torch.stack([trainer.update() for _ in range(5)])
    assert_agrees(losses, numbers["losses"])
    for i, parameter in enumerate(net.parameters()):
        assert_agrees(parameter, numbers[f"after{i:02d}"])


def test_plain_reference_loop_agrees():
    numbers = read("train_five_steps")
    net = network(numbers)
    velocities = [torch.zeros_like(parameter) for parameter in net.parameters()]
    recipe = {name: float(numbers[name]) for name in ("lr", "momentum", "weight_decay")}
    losses = [sgd_step(net, velocities, numbers["x"], numbers["y"], **recipe) for _ in range(5)]
    assert_agrees(torch.stack(losses), numbers["losses"])
    for i, parameter in enumerate(net.parameters()):
        assert_agrees(parameter, numbers[f"after{i:02d}"])
