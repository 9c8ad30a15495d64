"""The trainer: epochs, weights, schedules, and resuming to the bit."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from torch import nn
from torch.nn import functional

from ddbench.blocks.training import Trainer, TrainingRecipe


def data(n=10, classes=3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    return x, torch.arange(n) % classes


def make(x, y, *, batch=4, updates=12, kind="step", drop=6, weights=None, seed=1, seen=None, **more):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Linear(4, 3).double()

    def fetch(index):
        if seen is not None:
            seen.append(index.tolist())
        return x[index]

    order = None if seed is None else torch.Generator().manual_seed(seed)
    of_trainer = {name: more.pop(name) for name in ("mix", "step") if name in more}
    recipe = TrainingRecipe(updates, 0.1, batch, kind, drop, **more)
    return Trainer(model, fetch, y, recipe, order=order, weights=weights, **of_trainer)


def parameters(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def test_an_epoch_shows_every_image_once_and_keeps_the_remainder():
    seen: list[list[int]] = []
    trainer = make(*data(), seen=seen)
    for _ in range(6):
        trainer.update()
    assert [len(batch) for batch in seen] == [4, 4, 2, 4, 4, 2]
    first, second = list(chain(*seen[:3])), list(chain(*seen[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_without_a_generator_the_order_is_that_of_the_set():
    seen: list[list[int]] = []
    trainer = make(*data(), seed=None, seen=seen)
    for _ in range(3):
        trainer.update()
    assert list(chain(*seen)) == list(range(10))


@pytest.mark.parametrize("stop", [1, 5, 6, 7, 11])
@pytest.mark.parametrize("kind", ["step", "cosine", "constant"])
def test_a_resumed_training_ends_in_the_same_weights(stop, kind):
    whole = make(*data(), kind=kind)
    for _ in range(12):
        whole.update()
    half = make(*data(), kind=kind)
    for _ in range(stop):
        half.update()
    rest = make(*data(), kind=kind, seed=99)
    rest.load(half.state())
    for _ in range(12 - stop):
        rest.update()
    assert torch.equal(parameters(rest), parameters(whole))


def test_the_drop_comes_with_a_fresh_momentum_buffer():
    """After the drop the first step is a plain gradient step of a tenth of the learning rate."""
    trainer = make(*data(), batch=10, drop=3, weight_decay=0.0)
    for _ in range(3):
        trainer.update()
    before = parameters(trainer)
    x, y = data()
    loss = functional.cross_entropy(trainer.model(x), y)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(trainer.model.parameters()))])
    trainer.update()
    torch.testing.assert_close(parameters(trainer), before - 0.01 * gradient, rtol=1e-12, atol=1e-14)


def test_the_cosine_ends_near_zero_and_starts_at_the_full_rate():
    trainer = make(*data(), kind="cosine", updates=50)
    rates = []
    for _ in range(50):
        trainer.update()
        rates.append(trainer.state()["lr"])
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.001
    assert rates == sorted(rates, reverse=True)


def test_doubling_all_weights_changes_nothing_and_a_zero_weight_removes_an_image():
    x, y = data()
    weights = torch.rand(10, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 0.1
    runs = []
    for given in (weights, 2 * weights):
        trainer = make(x, y, weights=given)
        for _ in range(12):
            trainer.update()
        runs.append(parameters(trainer))
    torch.testing.assert_close(runs[0], runs[1])
    without = make(x[:8], y[:8], batch=8)
    zeroed = make(x, y, batch=10, weights=torch.tensor([1.0] * 8 + [0.0] * 2, dtype=torch.float64))
    without.update(), zeroed.update()
    torch.testing.assert_close(parameters(without), parameters(zeroed))


@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_a_batch_that_weighs_nothing_teaches_nothing(loss):
    """Of the set in its order the second batch has weight 0: three updates are the first and the last, and finite."""
    x, y = data(9)
    y = functional.one_hot(y, 3).double() if loss == "mse" else y
    weights = torch.tensor([1.0] * 3 + [0.0] * 3 + [2.0] * 3, dtype=torch.float64)
    options = {"batch": 3, "seed": None, "kind": "constant", "momentum": 0.0, "weight_decay": 0.0, "loss": loss}
    zeroed = make(x, y, weights=weights, **options)
    kept = [0, 1, 2, 6, 7, 8]
    without = make(x[kept], y[kept], **options)
    losses = [float(zeroed.update()) for _ in range(3)]
    assert losses[1] == 0.0
    assert losses[::2] == pytest.approx([float(without.update()) for _ in range(2)])
    torch.testing.assert_close(parameters(zeroed), parameters(without))


def test_soft_targets_that_are_one_hot_train_like_hard_ones():
    x, y = data()
    hard, soft = make(x, y), make(x, functional.one_hot(y, 3).double())
    for _ in range(12):
        hard.update(), soft.update()
    torch.testing.assert_close(parameters(hard), parameters(soft))


def test_training_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    trainer = make(*data())
    for _ in range(5):
        trainer.update()
    assert torch.equal(torch.random.get_rng_state(), before)
