"""The trainer: epochs, weights, schedules, and resuming to the bit."""

from __future__ import annotations

import math
from itertools import chain

import pytest
import torch
from torch import nn
from torch.nn import functional

from ddbench.blocks.adam import Lamb
from ddbench.blocks.training import Trainer, TrainingRecipe
from ddbench.core.store.tensors import load_state, save_state


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


ADAM = {"betas": (0.8, 0.95), "weight_decay": 0.03}
WARM = {"kind": "cosine", "warmup": 4, "lr_end": 0.1}


def by_hand(optimiser, *, updates=12, batch=4, seed=1):
    """Trained with an optimiser of torch or ours, as they are written in any loop; ``optimiser``: of parameters."""
    x, y = data()
    model = make(x, y).model
    parameters_of = list(model.parameters())
    made, order = optimiser(parameters_of), None if seed is None else torch.Generator().manual_seed(seed)
    done = 0
    while done < updates:
        rows = torch.arange(len(x)) if order is None else torch.randperm(len(x), generator=order)
        for index in rows.split(batch)[: updates - done]:
            loss = functional.cross_entropy(model(x[index]), y[index])
            gradients = torch.autograd.grad(loss, parameters_of)
            made(gradients, done)
            done += 1
    return torch.cat([p.detach().flatten() for p in parameters_of])


def of_torch(kind, rate=lambda done: 0.1, **settings):
    """Steps of an optimiser of torch."""

    def made(parameters_of):
        optimiser = kind(parameters_of, 0.1, **settings)

        def step(gradients, done):
            optimiser.param_groups[0]["lr"] = rate(done)
            for parameter, gradient in zip(parameters_of, gradients, strict=True):
                parameter.grad = gradient
            optimiser.step()

        return step

    return made


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_adam_takes_torchs_steps(name, kind):
    trainer = make(*data(), kind="constant", optimiser=name, **ADAM)
    for _ in range(12):
        trainer.update()
    assert torch.equal(parameters(trainer), by_hand(of_torch(kind, foreach=False, **ADAM)))
    other = make(*data(), kind="constant", optimiser={"adam": "adamw", "adamw": "adam"}[name], **ADAM)
    for _ in range(12):
        other.update()
    assert not torch.allclose(parameters(trainer), parameters(other)), "the decay is another"


def test_lamb_takes_the_steps_of_the_block():
    def made(parameters_of):
        lamb = Lamb(parameters_of, 0.1, **ADAM)
        return lambda gradients, done: lamb.step(gradients)

    trainer = make(*data(), kind="constant", optimiser="lamb", **ADAM)
    for _ in range(12):
        trainer.update()
    assert torch.equal(parameters(trainer), by_hand(made))


def test_cosine_with_warm_up_is_a_loop_with_the_formula():
    def rate(done):
        if done < 4:
            return 0.1 * (done + 1) / 4
        return 0.01 + 0.09 * (1 + math.cos(math.pi * (done - 4) / 8)) / 2

    trainer = make(*data(), optimiser="adam", **WARM, **ADAM)
    for _ in range(12):
        trainer.update()
    theirs = by_hand(of_torch(torch.optim.Adam, rate, foreach=False, **ADAM))
    torch.testing.assert_close(parameters(trainer), theirs, rtol=1e-10, atol=1e-12)


def test_ordered_batches_with_a_rate_for_each_update_are_an_explicit_loop():
    """Three batches in their order and five rates, both over and over; shuffled it is another training."""
    rates = (0.3, 0.1, 0.2, 0.05, 0.4)
    settings = {"momentum": 0.9, "weight_decay": 5e-4}
    ordered, shuffled = (make(*data(), seed=seed, lrs=rates) for seed in (None, 1))
    for _ in range(12):
        ordered.update(), shuffled.update()
    rate = lambda done: rates[done % 5]  # noqa: E731
    theirs = by_hand(of_torch(torch.optim.SGD, rate, foreach=True, **settings), seed=None)
    assert torch.equal(parameters(ordered), theirs)
    assert not torch.allclose(parameters(shuffled), theirs)


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 6, 7, 11])
@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw", "lamb"])
@pytest.mark.parametrize(
    "schedule",
    [{"kind": "step"}, WARM, {"kind": "drops", "drops": (0.25, 0.5), "warmup": 2}, {"lrs": (0.2, 0.1, 0.3)}],
    ids=["step", "cosine", "drops", "lrs"],
)
def test_every_optimiser_and_schedule_goes_on_to_the_bit(tmp_path, stop, optimiser, schedule):
    """Through the file, as a checkpoint does."""
    whole, half, rest = (make(*data(), optimiser=optimiser, seed=seed, **schedule) for seed in (1, 1, 99))
    for _ in range(12):
        whole.update()
    for _ in range(stop):
        half.update()
    save_state(tmp_path / "state", half.state())
    rest.load(load_state(tmp_path / "state"))
    for _ in range(12 - stop):
        rest.update()
    assert torch.equal(parameters(rest), parameters(whole))


def test_the_state_of_sgd_is_what_checkpoints_of_before_hold():
    trainer = make(*data())
    trainer.update()
    assert set(trainer.state()) == {"done", "model", "lr", "momentum", "rest", "order"}


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
