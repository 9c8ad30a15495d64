"""What features are looked at through: a queue of networks that learn from real images, and pairs of networks."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ddbench.blocks import pairs as block
from ddbench.blocks.augment import Composed
from ddbench.blocks.distribution_params import PairsParams
from ddbench.blocks.experts import Experts
from ddbench.blocks.functional import flatten
from ddbench.blocks.pairs import Pairs, build, mild, recipe
from ddbench.blocks.queue import WINDOW, Queue
from ddbench.blocks.training import TrainingRecipe
from ddbench.core.errors import NodeFailureError
from ddbench.core.store.tensors import load_state, save_state
from tests.fakes import FakeContext, toy

RECIPE = TrainingRecipe(0, 0.05, 16)
FEW = PairsParams(pairs=2, epochs=3, batch=30, lr=0.05)


def context(**fields):
    return FakeContext(toy(), toy((2, 2, 2), seed=9), **fields)


def parameters(net):
    return flatten(list(net.parameters()))


def test_the_oldest_network_leaves_a_full_queue():
    ctx = context()
    queue = Queue(ctx, 3, RECIPE)
    for _ in range(5):
        queue.push()
    fresh = [parameters(ctx.build_model(seed=ctx.seed("net", str(i)))) for i in (2, 3, 4)]
    assert queue.pushed == 5
    assert all(torch.equal(parameters(one.model), net) for one, net in zip(queue.members, fresh, strict=True))
    assert {id(queue.draw()) for _ in range(60)} == {id(member) for member in queue.members}


def test_networks_learn_by_sgd_from_random_images_and_only_as_many_as_are_asked_for():
    ctx, other = context(), context()
    queue = Queue(ctx, 4, RECIPE)
    for _ in range(4):
        queue.push()
    before = [parameters(member.model).clone() for member in queue.members]
    queue.train(2, 3)
    moved = [not torch.equal(parameters(m.model), old) for m, old in zip(queue.members, before, strict=True)]
    assert sum(moved) == 2

    first = int(torch.randperm(4, generator=other.generator)[0])
    net = other.build_model(seed=other.seed("net", str(first)))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    hits = []
    for _ in range(3):
        index = torch.randperm(90, generator=other.generator)[:16]
        logits, labels = net(other.train.images(index)), other.train.labels[index]
        hits.append(float((logits.argmax(1) == labels).double().mean()))
        optimiser.zero_grad()
        functional.cross_entropy(logits, labels).backward()
        optimiser.step()
    torch.testing.assert_close(parameters(queue.members[first].model), parameters(net))
    assert queue.members[first].percent == pytest.approx(100 * sum(hits) / 3)


def test_a_network_is_judged_by_its_last_batches_in_percent():
    queue = Queue(context(), 1, RECIPE)
    queue.push()
    (member,) = queue.members
    assert member.percent == 0.0
    queue.train(2, 0)
    assert member.percent == 0.0
    for _ in range(WINDOW + 20):
        member.update()
    assert len(member.window) == WINDOW
    assert member.percent == pytest.approx(100 * sum(member.window) / WINDOW) and member.percent > 90


def test_a_queue_resumes_to_the_bit(tmp_path):
    first = context()
    queue = Queue(first, 3, RECIPE)
    for _ in range(2):
        queue.push()
        queue.train(2, 2)
    save_state(tmp_path / "state", queue.state())
    second = context()
    second.generator.set_state(first.generator.get_state())
    resumed = Queue(second, 3, RECIPE)
    resumed.load(load_state(tmp_path / "state"))
    for one in (queue, resumed):
        one.push()
        one.train(2, 2)
    for a, b in zip(queue.members, resumed.members, strict=True):
        assert torch.equal(parameters(a.model), parameters(b.model)) and list(a.window) == list(b.window)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("pairs")
    build(context(), found, FEW)
    return found


def test_pairs_begin_as_fresh_networks_and_end_trained(folder):
    pool = Experts(folder)
    assert (len(pool), pool.last) == (2, 1)
    ctx = context()
    for j in range(2):
        fresh = ctx.build_model(seed=ctx.seed("pair", str(j), "model"))
        assert torch.equal(pool.snapshot(j, 0), parameters(fresh))
    assert bool((pool.train_top1[:, 1] > pool.train_top1[:, 0] + 20).all())
    assert not torch.equal(pool.snapshot(0, 1), pool.snapshot(1, 1))


def test_a_pair_is_trained_by_sgd_whose_rate_falls_twice(tmp_path):
    """The textbook loop; CutMix is off, so that batches are the images after their augmentation."""
    params, ctx = FEW.model_copy(update={"pairs": 1, "cutmix": 0.0}), context()
    build(context(), tmp_path, params)
    order, draws = (torch.Generator().manual_seed(ctx.seed("pair", "0", use)) for use in ("order", "augmentation"))
    net, augment = ctx.build_model(seed=ctx.seed("pair", "0", "model")), mild(ctx.dataset.flip)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(
        optimiser, [6, 8], gamma=0.2
    )  # 3 epochs of 3 updates: after 2/3, 5/6
    for _ in range(3):
        for index in torch.randperm(90, generator=order).split(30):
            images = augment(ctx.train.images(index), augment.draw(draws, n=30))
            optimiser.zero_grad()
            functional.cross_entropy(net(images), ctx.train.labels[index]).backward()
            optimiser.step()
            scheduler.step()
    torch.testing.assert_close(Experts(tmp_path).snapshot(0, 1), parameters(net), rtol=1e-4, atol=1e-5)


def test_the_rate_falls_after_two_thirds_and_five_sixths():
    rates = [recipe(PairsParams(lr=1.0), 60).rates.rate(done) for done in range(60)]
    assert rates == pytest.approx([1.0] * 40 + [0.2] * 10 + [0.04] * 10)


def test_a_killed_build_goes_on_to_the_same_pairs(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(block, "CHECKPOINT_S", 0.0)
    ctx, calls = context(), []

    def stop(done, total, what=""):
        calls.append(done)
        if len(calls) in (5, 14):
            raise KeyboardInterrupt

    ctx.progress = stop
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            build(ctx, tmp_path, FEW)
    build(ctx, tmp_path, FEW)
    for j in range(2):
        assert torch.equal(Experts(tmp_path).snapshot(j, 1), Experts(folder).snapshot(j, 1))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["expert_000.safetensors", "expert_001.safetensors"]


def test_a_pair_that_diverges_is_named(tmp_path):
    with pytest.raises(NodeFailureError, match="pair 0: its parameters are no numbers"):
        build(context(), tmp_path, FEW.model_copy(update={"lr": 1e30}))


def test_a_network_between_the_ends_of_a_pair(folder):
    ctx = context(artifacts={"pairs": folder})
    pairs, draws = Pairs(ctx, "between"), torch.Generator().manual_seed(5)
    seen, shares = set(), []
    for _ in range(40):
        between, trained = pairs.draw(draws)
        ends = [j for j in range(2) if torch.equal(parameters(trained), pairs.trained[j])]
        assert len(ends) == 1
        seen.add(ends[0])
        first, last, here = pairs.first[ends[0]], pairs.trained[ends[0]], parameters(between)
        share = float((here - last) @ (first - last) / (first - last).square().sum())
        torch.testing.assert_close(here, share * first + (1 - share) * last, rtol=1e-4, atol=1e-5)
        shares.append(share)
    assert seen == {0, 1} and 0 <= min(shares) < 0.2 and 0.8 < max(shares) <= 1
    assert not any(parameter.requires_grad for parameter in between.parameters())


@pytest.mark.parametrize("network", ["first", "trained"])
def test_a_network_at_an_end_of_a_pair(folder, network):
    pairs = Pairs(context(artifacts={"pairs": folder}), network)
    between, trained = pairs.draw(torch.Generator().manual_seed(0))
    j = int(torch.equal(parameters(trained), pairs.trained[1]))
    assert torch.equal(parameters(between), getattr(pairs, network)[j])


def test_networks_are_trained_without_cutout_and_mirrored_only_where_classes_survive_it():
    assert mild(True) == Composed(ops=("color", "crop", "flip", "scale", "rotate"))
    assert mild(False) == Composed(ops=("color", "crop", "scale", "rotate"))
