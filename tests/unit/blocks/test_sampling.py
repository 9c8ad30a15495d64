"""Shared orders and random batches of real images."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks.sampling import ClassSampler, class_order, first_of_each_class
from ddbench.core.specs import Budget
from tests.fakes import FakeContext, toy


def context(**fields):
    return FakeContext(toy((12, 7, 20)), toy((3, 3, 3), seed=1), **fields)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_class_order_is_a_permutation_of_the_class():
    ctx = context()
    for c in range(3):
        assert class_order(ctx, c).sort().values.tolist() == ctx.train.of_class(c).tolist()


def test_methods_and_budgets_share_the_order_and_repetitions_do_not():
    one, two, other = context(method="a"), context(method="b", budget=Budget(ipc=5)), context(master=1)
    assert torch.equal(class_order(one, 2), class_order(two, 2))
    assert not torch.equal(class_order(one, 2), class_order(other, 2))


def test_a_budget_contains_the_smaller_ones():
    small, large = (set(first_of_each_class(context(budget=Budget(ipc=n))).tolist()) for n in (1, 5))
    assert small < large


@pytest.mark.parametrize("budget", [Budget(ipc=4), Budget(fraction=0.3)])
def test_first_images_fill_the_budget_class_by_class(budget):
    ctx = context(budget=budget)
    labels = ctx.train.labels[first_of_each_class(ctx)]
    assert labels.bincount(minlength=3).tolist() == list(ctx.per_class)
    assert torch.equal(labels, labels.sort().values)


def test_draws_are_distinct_images_of_each_class():
    ctx = context()
    sampler = ClassSampler([ctx.train.of_class(c) for c in range(3)])
    for seed in range(20):
        drawn = sampler.draw(5, generator(seed))
        assert len(drawn.unique()) == 15
        assert ctx.train.labels[drawn].tolist() == [0] * 5 + [1] * 5 + [2] * 5


def test_a_small_class_gives_all_it_has():
    ctx = context()
    sampler = ClassSampler([ctx.train.of_class(c) for c in range(3)])
    assert sampler.counts(15) == [12, 7, 15]
    drawn = sampler.draw(15, generator())
    assert ctx.train.labels[drawn].bincount().tolist() == [12, 7, 15]
    assert drawn[12:19].sort().values.tolist() == ctx.train.of_class(1).tolist()
    assert sampler.real(1, 15, generator()).sort().values.tolist() == ctx.train.of_class(1).tolist()


def test_every_image_is_drawn_equally_often():
    sampler, source = ClassSampler([torch.arange(10), torch.arange(10, 16)]), generator()
    both = torch.cat([sampler.draw(3, source) for _ in range(4000)])
    single = torch.cat([sampler.real(0, 3, source) for _ in range(4000)])
    for counts, share in ((both.bincount()[:10], 0.3), (both.bincount()[10:], 0.5), (single.bincount(), 0.3)):
        assert (counts / 4000 - share).abs().max() < 4 * (share * (1 - share) / 4000) ** 0.5


def test_draws_follow_their_generator_only():
    sampler = ClassSampler([torch.arange(10), torch.arange(10, 16)])
    before = torch.random.get_rng_state()
    assert torch.equal(sampler.draw(3, generator(1)), sampler.draw(3, generator(1)))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_empty_classes_are_refused():
    with pytest.raises(ValueError, match="without images"):
        ClassSampler([torch.arange(3), torch.arange(0)])
