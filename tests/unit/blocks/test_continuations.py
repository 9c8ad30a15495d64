"""c(t, M): what two continuations of an expert from one snapshot share."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks.continuations import PAIRS, Pair, continue_pairs, places
from ddbench.blocks.experts import Experts, build, continued
from ddbench.blocks.params import ExpertsParams
from tests.fakes import FakeContext, toy

PLAIN = {"experts": 2, "epochs": 4, "batch": 32, "lr": 0.05}


def context():
    return FakeContext(toy(), toy((2, 2, 2), seed=9))


@pytest.fixture
def pool(tmp_path):
    def make(**params):
        wanted = ExpertsParams(**PLAIN | params)
        build(context(), tmp_path, wanted)
        return Experts(tmp_path), wanted

    return make


def cosines(pool, params, ctx, **window):
    return [p.cosine for p in continue_pairs(ctx, pool, params, **{"first": 0, "bound": 3, "length": 1} | window)]


@pytest.mark.parametrize(
    ("params", "snapshots", "steps"),
    [({"augment": "none"}, 2, 6), ({"snapshot_updates": 1}, 4, 4), ({"optimiser": "gsam", "rho": 0.05}, 2, 6)],
)
def test_with_an_experts_own_draws_it_is_that_experts_way(pool, params, snapshots, steps):
    """From the start, with the seeds of its building, to the bit."""
    experts, wanted = pool(**params)
    ctx = context()
    order, draws = (torch.Generator().manual_seed(ctx.seed("expert", "1", use)) for use in ("order", "augmentation"))
    start = experts.snapshot(1, 0)
    end = continued(ctx, wanted, start, snapshots, order, draws)
    assert wanted.between(90) * snapshots == steps
    assert torch.equal(end, experts.snapshot(1, snapshots))
    assert torch.equal(start, experts.snapshot(1, 0)), "the start is not written to"


def test_where_nothing_is_drawn_all_of_the_way_is_shared(pool):
    experts, wanted = pool(batch=90, augment="none")
    assert cosines(experts, wanted, context()) == pytest.approx([1.0] * PAIRS, abs=1e-4)


def test_small_batches_share_less_than_large_ones(pool):
    experts, wanted = pool(augment="none")
    noisy, calm = (
        sum(cosines(experts, wanted.model_copy(update={"batch": size, "snapshot_updates": 3}), context()))
        for size in (2, 60)
    )
    assert noisy < calm - 0.5


def test_ways_without_relation_share_nothing_and_opposite_ones_less():
    draws = torch.Generator().manual_seed(0)
    start, one, other = torch.randn(3, 100_000, generator=draws)
    assert abs(Pair(start, (start + one, start + other)).cosine) < 0.02
    assert Pair(start, (start + one, start - 3 * one)).cosine == pytest.approx(-1.0, abs=1e-6)
    assert Pair(start, (start + one, start + 1e-3 * one)).cosine == pytest.approx(1.0, abs=1e-3)


def test_pairs_are_spread_over_the_window_and_the_pool():
    assert places(10, 3, 12) == [(0, 3), (2, 5), (4, 7), (6, 9), (8, 11)]
    assert places(2, 0, 1) == [(0, 0), (1, 0), (0, 0), (1, 0), (0, 0)]
    assert [t for _, t in places(5, 60, 210)] == [60, 97, 134, 172, 209]


def test_they_are_deterministic_differ_and_leave_the_runs_generator_alone(pool):
    experts, wanted = pool()
    ctx = context()
    before = ctx.generator.get_state()
    first = list(continue_pairs(ctx, experts, wanted, first=1, bound=3, length=2))
    again = list(continue_pairs(context(), experts, wanted, first=1, bound=3, length=2))
    assert torch.equal(ctx.generator.get_state(), before)
    assert len(first) == PAIRS
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.ends, other.ends, strict=True))
        assert not torch.equal(*one.ends)
    starts = [(0, 1), (1, 1), (0, 2), (1, 2), (0, 2)]
    assert [torch.equal(p.start, experts.snapshot(*place)) for p, place in zip(first, starts, strict=True)] == [
        True
    ] * 5
    assert not torch.equal(first[2].ends[0], first[4].ends[0]), "equal starts are continued by other draws"
