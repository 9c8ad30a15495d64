"""Which images of a ranking are kept: laws, and CCS's allocation against a slow reading of the paper."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.blocks.dynamics_params import ScoreParams
from ddbench.blocks.ranking import RULES, easiest, hardest, ranked, stratified
from ddbench.blocks.sampling import class_order, whole_order
from ddbench.core.errors import NodeFailureError
from ddbench.core.specs import Budget
from tests.fakes import FakeContext, toy

COUNTS = (12, 7, 20)


def context(budget=None):
    return FakeContext(toy(COUNTS), toy((2, 2, 2), seed=9), budget or Budget(ipc=3))


def kept(ctx, hardness, **params):
    return ranked(ctx, hardness, ScoreParams(**params)).indices.tolist()


def by_hand(scores, n, strata):
    """Buckets by comparing with their bounds, one image at a time; then the smallest bucket first."""
    count, low, high = min(strata, n), min(scores), max(scores)
    width = (high - low) / count
    buckets = [[] for _ in range(count)]
    for i, score in enumerate(scores):
        inside = [b for b in range(count) if score >= low + b * width] if width else [0]
        buckets[max(inside)].append(i)
    chosen, wanted, left = [], n, sorted(buckets, key=len)
    while left:
        bucket = left.pop(0)
        share = min(len(bucket), wanted // (len(left) + 1))
        chosen += bucket[:share]
        wanted -= share
    return chosen


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.data())
def test_strata_equal_a_slow_reading_of_the_paper(scores, data):
    n = data.draw(st.integers(1, len(scores)))
    strata = data.draw(st.sampled_from([1, 2, 4, 8]))  # widths that are exact in binary
    if (max(scores) - min(scores)) % min(strata, n):
        return  # bounds that are no floats: which of two strata they open is rounding
    found = stratified(torch.tensor(scores, dtype=torch.float64), n, strata)
    assert sorted(found.tolist()) == sorted(by_hand(scores, n, strata))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.data())
def test_strata_fill_the_budget_with_distinct_images(scores, data):
    n = data.draw(st.integers(1, len(scores)))
    found = stratified(torch.tensor(scores, dtype=torch.float64), n)
    assert len(set(found.tolist())) == n


def test_strata_give_alike_where_they_have_enough():
    """Four strata of 2, 10, 30 and 100 images: of 40 wanted the first gives all, the others share the rest."""
    sizes = (2, 10, 30, 100)
    scores = torch.cat([torch.full((size,), float(i)) for i, size in enumerate(sizes)]).double()
    found = stratified(scores, 40, 4)
    assert scores[found].long().bincount(minlength=4).tolist() == [2, 10, 14, 14]


@pytest.mark.parametrize("order", ["hard_first", "easy_first"])
@pytest.mark.parametrize("balance", ["per_class", "global"])
def test_the_hardest_and_the_easiest_are_kept(order, balance):
    ctx = context()
    hardness = torch.randn(39, generator=torch.Generator().manual_seed(3))
    found = kept(ctx, hardness, order=order, balance=balance)
    sign = -1 if order == "hard_first" else 1
    groups = [ctx.train.of_class(c).tolist() for c in range(3)] if balance == "per_class" else [list(range(39))]
    n = 3 if balance == "per_class" else 9
    expected = {i for group in groups for i in sorted(group, key=lambda i: sign * float(hardness[i]))[:n]}
    assert set(found) == expected
    assert len(found) == 9


@pytest.mark.parametrize("order", list(RULES))
def test_each_class_gives_its_budget(order):
    ctx = context(Budget(fraction=0.4))
    found = torch.tensor(kept(ctx, torch.rand(39), order=order, balance="per_class"))
    assert ctx.train.labels[found].bincount(minlength=3).tolist() == list(ctx.per_class)


def test_equals_are_kept_in_the_order_of_the_repetition():
    ctx = context()
    of_class = [class_order(ctx, c)[:3].tolist() for c in range(3)]
    for order in ("hard_first", "easy_first"):
        assert kept(ctx, torch.ones(39), order=order, balance="per_class") == [i for one in of_class for i in one]
        assert kept(ctx, torch.ones(39), order=order, balance="global") == whole_order(ctx)[:9].tolist()


def test_a_budget_contains_the_smaller_ones():
    hardness = torch.rand(39)
    for order in ("hard_first", "easy_first"):
        small, large = (kept(context(Budget(ipc=n)), hardness, order=order) for n in (2, 5))
        assert large[: len(small)] == small


def test_orders_of_all_images_are_easy_backwards_hard():
    hardness = torch.randperm(30).double()
    assert hardest(hardness, 30).tolist() == easiest(hardness, 30).flip(0).tolist()


def test_a_score_that_is_no_number_fails_the_cell():
    hardness = torch.rand(39)
    hardness[[4, 7]] = torch.tensor([torch.nan, torch.inf])
    with pytest.raises(NodeFailureError, match="score of 2 of 39 images is no number") as caught:
        kept(context(), hardness)
    assert caught.value.status == "nan"


def test_that_classes_compete_is_told_and_scores_are_kept():
    ctx = context()
    hardness = torch.rand(39)
    found = ranked(ctx, hardness, ScoreParams(balance="global"))
    assert ["classes are not balanced" in text for text in ctx.warnings] == [True]
    assert torch.equal(found.scores, hardness)
    ranked(ctx, hardness, ScoreParams(balance="per_class"))
    assert len(ctx.warnings) == 1


def test_class_counts_are_promised_as_they_are():
    assert ScoreParams(balance="global").class_counts == "total"
    assert ScoreParams(balance="per_class").class_counts == "exact"
