"""Our SGD takes torch's steps to the bit, whatever its settings, and imports none of torch's machinery for them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ddbench.blocks.sgd import SGD

SHAPES = ((3, 2, 5), (7,), (1, 1), (4, 4))


def tensors(seed):
    draws = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=draws) for shape in SHAPES]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
@pytest.mark.parametrize("nesterov", [False, True])
def test_it_takes_the_steps_of_torch(momentum, weight_decay, nesterov):
    if nesterov and not momentum:
        pytest.skip("Nesterov's needs a momentum")
    ours, theirs = tensors(0), [one.requires_grad_() for one in tensors(0)]
    settings = {"momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
    sgd, oracle = SGD(ours, 0.03, **settings), torch.optim.SGD(theirs, 0.03, foreach=True, **settings)
    for step in range(8):
        gradients = tensors(1 + step)
        if step in (0, 3):
            gradients[1] = None  # a parameter that the loss does not depend on
        if step == 5:
            sgd.lr = oracle.param_groups[0]["lr"] = 0.01
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        sgd.step(gradients)
        oracle.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_training_imports_no_optimiser_of_torch():
    code = """
import sys, torch
from ddbench.blocks.training import Trainer, TrainingRecipe
net = torch.nn.Linear(4, 2)
images, classes = torch.randn(6, 4), torch.arange(6) % 2
recipe = TrainingRecipe(updates=3, lr=0.1, batch=4)
trainer = Trainer(net, images.__getitem__, classes, recipe, order=None)
[trainer.update() for _ in range(3)]
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
