"""Schedules: the rate of every update equals the formula, written out for each."""

from __future__ import annotations

import math

import pytest

from ddbench.blocks.schedule import Schedule, middle


def rates(updates=10, lr=0.4, **given):
    schedule = Schedule(updates, lr, **given)
    return [schedule.rate(done) for done in range(updates)]


def test_a_constant_rate_is_one():
    assert rates() == [0.4] * 10


def test_step_drops_once_to_a_tenth():
    assert rates(kind="step", drop_after=4) == [0.4] * 4 + [0.1 * 0.4] * 6


def test_drops_multiply_at_each_share_rounded_up():
    found = rates(kind="drops", drops=(0.25, 0.5, 0.9), drop_factor=0.5)
    assert found == [0.4] * 3 + [0.2] * 2 + [0.1] * 4 + [0.05]  # 2.5 → 3


@pytest.mark.parametrize("updates", [10, 30, 70, 100, 2000])
@pytest.mark.parametrize("tenths", range(1, 10))
def test_a_share_that_is_a_whole_number_of_updates_is_that_number(updates, tenths):
    """0.7 · 10 and the like are no whole numbers in floating point."""
    found = rates(updates=updates, kind="drops", drops=(tenths / 10,))
    assert found.index(min(found)) == tenths * updates // 10


def test_cosine_goes_from_the_rate_to_its_end():
    found = rates(kind="cosine", lr_end=0.25, updates=8)
    assert found == pytest.approx([0.1 + 0.3 * (1 + math.cos(math.pi * u / 8)) / 2 for u in range(8)])
    assert found[0] == pytest.approx(0.4) and Schedule(8, 0.4, "cosine", lr_end=0.25).rate(8) == pytest.approx(0.1)


def test_a_warm_up_reaches_the_rate_and_leaves_the_rest_to_the_schedule():
    found = rates(updates=12, warmup=4, kind="cosine", lr_end=0.0)
    assert found[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert found[4:] == pytest.approx(rates(updates=8, kind="cosine"))
    assert rates(updates=12, warmup=4, kind="drops", drops=(0.5,))[4:] == rates(updates=8, kind="drops", drops=(0.5,))
    half = middle(12, 4)
    assert rates(updates=12, warmup=4, kind="step", drop_after=half)[4:] == rates(updates=8, kind="step", drop_after=4)


def test_all_updates_may_be_warm_up():
    assert rates(updates=4, warmup=4, kind="cosine") == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_rates_of_their_own_come_again_from_the_first():
    given = (0.3, 0.1, 0.2)
    assert rates(lrs=given, kind="step", drop_after=2) == [given[u % 3] for u in range(10)]


def test_only_step_forgets_its_momentum_and_only_once():
    step = Schedule(10, 0.4, "step", 4)
    assert [done for done in range(10) if step.starts_afresh(done)] == [4]
    for other in (Schedule(10, 0.4, "drops", 4, drops=(0.4,)), Schedule(10, 0.4, "step", 4, lrs=(0.1,))):
        assert not any(other.starts_afresh(done) for done in range(10))


@pytest.mark.parametrize(("updates", "warmup", "found"), [(10, 0, 5), (11, 0, 6), (1, 0, 1), (10, 3, 7), (4, 4, 4)])
def test_the_middle_is_behind_the_warm_up_and_rounded_up(updates, warmup, found):
    assert middle(updates, warmup) == found
