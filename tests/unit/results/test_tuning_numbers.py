"""What choosing among k configurations is worth, by the formulas and by trying all draws; where grids go on."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.results import tuning
from ddbench.results.tuning import best_of, next_value, within

SCORE = st.one_of(st.none(), st.floats(0, 100).map(lambda x: round(x, 2)))
SECONDS = st.integers(1, 50).map(float)
law = settings(max_examples=60, deadline=None, derandomize=True)


def worth(bests):
    """Mean of the bests that there are, and their share."""
    some = [best for best in bests if best is not None]
    return (fmean(some) if some else None), len(some) / len(bests)


def best(scores):
    return max((score for score in scores if score is not None), default=None)


def close(found, wanted):
    assert (found[0] is None) == (wanted[0] is None)
    assert found == (pytest.approx(wanted[0]), pytest.approx(wanted[1])) if wanted[0] is not None else found[1] == 0


@law
@given(st.lists(SCORE, min_size=1, max_size=7), st.data())
def test_the_best_of_k_is_the_mean_over_all_draws(scores, data):
    k = data.draw(st.integers(1, len(scores)))
    close(best_of(scores, k), worth([best(drawn) for drawn in combinations(scores, k)]))


@law
@given(st.lists(st.floats(0, 100), min_size=2, max_size=9))
def test_more_draws_are_worth_no_less_from_the_mean_to_the_best(scores):
    curve = [best_of(scores, k)[0] for k in range(1, len(scores) + 1)]
    assert curve[0] == pytest.approx(fmean(scores))
    assert curve[-1] == pytest.approx(max(scores))
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(curve))


def tried_in(order, seconds):
    """The scores of what fits, one after the other, until something does not."""
    left, done = seconds, []
    for score, cost in order:
        if cost > left:
            break
        left -= cost
        done.append(score)
    return done


@law
@given(st.lists(st.tuples(SCORE, SECONDS), min_size=1, max_size=6), st.floats(0, 200))
def test_a_limit_in_seconds_is_the_mean_over_all_orders(trials, seconds):
    close(within(trials, seconds), worth([best(tried_in(order, seconds)) for order in permutations(trials)]))


def test_the_whole_cost_buys_the_best_and_none_buys_nothing():
    trials = [(50.0, 0.1), (80.0, 0.2), (70.0, 0.3)]
    assert within(trials, sum(cost for _, cost in trials)) == (80.0, pytest.approx(1))
    assert within(trials, 0.0) == (None, 0)


def test_many_configurations_are_drawn_and_agree_with_what_is_counted(monkeypatch):
    trials = [(float(60 + i), 1.0 + i % 3) for i in range(8)]
    exact = within(trials, 6.0)
    monkeypatch.setattr(tuning, "EXACT", 4)
    drawn = within(trials, 6.0)
    assert drawn != exact
    assert drawn == within(trials, 6.0)
    assert drawn[0] == pytest.approx(exact[0], abs=0.1)


@pytest.mark.parametrize(
    ("grid", "wanted"),
    [
        ([30.0, 100.0, 300.0, 1000.0], 3000),
        ([1000.0, 300.0, 100.0, 30.0], 10),
        ([0.3, 1.0, 3.0, 10.0], 30),
        ([1.0, 2.0, 4.0], 8),
        ([4, 8, 12], 16),
        ([12, 8, 4], 0),
        ([0.0, 0.5], 1.0),
        ([0.01, 0.1], 1.0),
    ],
)
def test_where_a_grid_goes_on(grid, wanted):
    assert next_value(grid) == pytest.approx(wanted)
