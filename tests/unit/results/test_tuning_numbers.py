"""What choosing among k configurations is worth, by the formulas and by trying all draws; where grids go on."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.results import tries as tries_module
from ddbench.results.tries import Try, best_of, parts_of, seconds_of, within
from ddbench.results.tuning import next_value

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


INPUTS = {"a": 7.0, "b": 20.0, "c": 1.0}
TRY = st.builds(
    lambda score, seconds, names: Try(score, seconds, {frozenset(name): INPUTS[name] for name in names}),
    SCORE, SECONDS, st.sets(st.sampled_from("abc")),
)  # fmt: skip


def tried_in(order, seconds):
    """The scores of what fits, one after the other, until something does not; the first that needs an input pays."""
    left, done, made = seconds, [], set()
    for one in order:
        cost = one.seconds + sum(one.inputs[part] for part in one.inputs.keys() - made)
        if cost > left:
            break
        left -= cost
        made |= set(one.inputs)
        done.append(one.score)
    return done


@law
@given(st.lists(TRY, min_size=1, max_size=6), st.floats(0, 200))
def test_a_limit_in_seconds_is_the_mean_over_all_orders(tries, seconds):
    close(within(tries, seconds), worth([best(tried_in(order, seconds)) for order in permutations(tries)]))


@law
@given(st.lists(TRY, min_size=1, max_size=6), st.randoms())
def test_what_several_take_does_not_depend_on_their_order_and_holds_each_input_once(tries, random):
    inputs = {part for one in tries for part in one.inputs}
    wanted = sum(one.seconds for one in tries) + sum(INPUTS[name] for part in inputs for name in part)
    assert seconds_of(tries) == pytest.approx(wanted)
    assert seconds_of(random.sample(tries, len(tries))) == pytest.approx(wanted)


def test_the_whole_cost_buys_the_best_and_none_buys_nothing():
    tries = [Try(50.0, 0.1), Try(80.0, 0.2), Try(70.0, 0.3)]
    assert within(tries, sum(one.seconds for one in tries)) == (80.0, pytest.approx(1))
    assert within(tries, 0.0) == (None, 0)


def test_what_cannot_pay_for_its_inputs_has_no_result():
    pool = {frozenset({"pool"}): 100.0}
    tries = [Try(90.0, 10.0, pool), Try(80.0, 20.0, pool)]
    assert within(tries, 109.0) == (None, 0)
    assert within(tries, 110.0) == (90.0, pytest.approx(0.5))  # the cheaper one first, or nothing
    assert within(tries, 120.0) == (85.0, pytest.approx(1))  # one of them
    assert within(tries, 130.0) == (90.0, pytest.approx(1))  # both: the second reads the pool for nothing


def test_many_configurations_are_drawn_and_agree_with_what_is_counted(monkeypatch):
    pool = {frozenset({"pool"}): 1.5}
    drawn_from = [Try(float(60 + i), 1.0 + i % 3, pool if i % 2 else {}) for i in range(8)]
    exact = within(drawn_from, 6.0)
    monkeypatch.setattr(tries_module, "EXACT", 4)
    drawn = within(drawn_from, 6.0)
    assert drawn != exact
    assert drawn == within(drawn_from, 6.0)
    assert drawn[0] == pytest.approx(exact[0], abs=0.1)


def parts(**readings):
    """Readings and parts, written as their letters."""
    found = parts_of({frozenset(name): seconds for name, seconds in readings.items()})
    return {"".join(sorted(r)): {"".join(sorted(p)): s for p, s in each.items()} for r, each in found.items()}


def test_what_was_read_together_is_taken_apart_where_records_allow_it():
    assert parts(a=5.0) == {"a": {"a": 5.0}}
    assert parts(ab=9.0) == {"ab": {"ab": 9.0}}
    assert parts(ab=9.0, a=5.0) == {"a": {"a": 5.0}, "ab": {"a": 5.0, "b": 4.0}}
    assert parts(ab=9.0, abc=10.0) == {"ab": {"ab": 9.0}, "abc": {"ab": 9.0, "c": 1.0}}
    assert parts(ab=9.0, ac=8.0) == {"ab": {"ab": 9.0}, "ac": {"ac": 8.0}}


@law
@given(st.sets(st.frozensets(st.sampled_from("abcd"), min_size=1), max_size=6))
def test_the_parts_of_a_reading_add_up_to_it(readings):
    seconds = {keys: float(sum(map(ord, keys))) for keys in readings}
    for reading, found in parts_of(seconds).items():
        assert frozenset().union(*found) == reading
        assert sum(found.values()) == pytest.approx(seconds[reading])


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
