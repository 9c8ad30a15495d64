"""Our trainer takes the published SGD steps."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks.training import Schedule, Trainer
from tests.parity.published import assert_agrees, network, read


@pytest.mark.parametrize("name", ["train_five_steps"])
def test_five_full_batch_steps_agree(name):
    numbers = read(name)
    net = network(numbers)
    trainer = Trainer(
        net, lambda index: numbers["x"][index], numbers["y"],
        lr=float(numbers["lr"]), momentum=float(numbers["momentum"]), weight_decay=float(numbers["weight_decay"]),
        schedule=Schedule(updates=5), batch=len(numbers["y"]), order=torch.Generator().manual_seed(0),
    )  # fmt: skip
    losses = torch.stack([trainer.update() for _ in range(5)])
    assert_agrees(losses, numbers["losses"])
    for i, parameter in enumerate(net.parameters()):
        assert_agrees(parameter, numbers[f"after{i:02d}"])
