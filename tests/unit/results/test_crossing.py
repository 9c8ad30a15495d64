"""Crossings: known by construction, outside the budgets, monotone, and covered by their intervals as often as said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ddbench.results.scores.crossing import Share, crossings_of, grid_of
from ddbench.results.stats.crossings import crossing_interval, crossings
from ddbench.results.tables.tables import tables_of
from tests.factories import N_TRAIN, cell, pair, skipped

GRID = (0.01, 0.02, 0.05, 0.1, 0.3)
curves = st.lists(st.integers(-40, 40).map(lambda tenth: tenth / 10), min_size=5, max_size=5)


def rows(method, by_budget, **fields):
    """Records of a row: fraction → the scores of its repetitions."""
    return [x for share, scores in by_budget.items() for x in cell(method, scores, fraction=share, **fields)]


def curve(method, means, *, noise=(0.0, 1.0, -1.0), **fields):
    """Records of a row of these means, all with the same errors."""
    return rows(method, {share: [mean + e for e in noise] for share, mean in zip(GRID, means, strict=True)}, **fields)


def found(*records, row="el2n"):
    (table,) = tables_of([record for part in records for record in part])
    return next(one for one in crossings_of(table) if one.row == row)


# --- the point


@settings(deadline=None, derandomize=True)
@given(st.floats(1.001, 29.99), st.floats(0.1, 50.0))
def test_a_line_over_the_logarithm_crosses_where_it_was_drawn_to(at, slope):
    shares = np.array([1.0, 2.0, 5.0, 10.0, 30.0])
    assert float(crossings(shares, slope * (np.log(at) - np.log(shares)))) == pytest.approx(at, rel=1e-6)


@pytest.mark.parametrize(
    ("differences", "at"),
    [
        ([3.0, 1.0, -1.0, -2.0, -3.0], (2 * 5) ** 0.5),  # halfway between 2 and 5 in the logarithm
        ([3.0, 3.0, -1.0, -2.0, -3.0], 2 * (5 / 2) ** 0.75),
        ([1.0, -1.0, 1.0, -1.0, -3.0], (5 * 10) ** 0.5),  # it rises again: the last time counts
        ([-1.0, -1.0, 2.0, 0.0, -3.0], 10.0),  # no difference is not worse
        ([-1.0, 2.0, 0.0, 0.0, 0.0], 5.0),
        ([0.0, 0.0, 0.0, 0.0, 0.0], 0.0),
        ([-1.0, -1.0, -1.0, -1.0, -1.0], 0.0),
        ([-1.0, -1.0, -1.0, -1.0, 0.5], np.inf),
        ([1.0, 1.0, 1.0, 1.0, 1.0], np.inf),
    ],
)
def test_the_crossing_is_where_the_curve_is_above_zero_for_the_last_time(differences, at):
    assert float(crossings([1.0, 2.0, 5.0, 10.0, 30.0], differences)) == pytest.approx(at)


@settings(deadline=None, derandomize=True)
@given(curves, st.lists(st.floats(0.0, 5.0), min_size=5, max_size=5))
def test_raising_differences_never_lowers_the_crossing(differences, more):
    shares = [1.0, 2.0, 5.0, 10.0, 30.0]
    before, after = float(crossings(shares, differences)), float(crossings(shares, np.add(differences, more)))
    assert after >= before * (1 - 1e-9)


# --- the interval


def sides(rng, truth, *, n=6, draws=30, shift=0.0):
    """Scores of a row and of random, whose errors are half those of the repetition, at every budget alike."""

    def errors(size):
        return (rng.standard_normal((size, 1)) + rng.standard_normal((size, len(truth)))) / np.sqrt(2)

    base = errors(draws)
    own = np.asarray(truth) + 0.3 * base[:n] + np.sqrt(1 - 0.3**2) * errors(n) + shift
    return [(dict(enumerate(a)), dict(enumerate(b))) for a, b in zip(own.T.tolist(), base.T.tolist(), strict=True)]


def test_the_interval_of_an_error_that_all_budgets_share_is_its_t_interval():
    """d = ±2 + e_r: the crossing is linear in the mean of e, in the logarithm."""
    errors = np.random.default_rng(5).normal(size=12)
    budgets = [(dict(enumerate(sign * 2 + errors)), dict.fromkeys(range(12), 0.0)) for sign in (1, -1)]
    ends = stats.t.interval(0.95, 11, errors.mean(), stats.sem(errors))
    wanted = np.log(1) + (np.log(100) - np.log(1)) * (2 + np.array(ends)) / 4
    got = np.log(crossing_interval([1.0, 100.0], budgets))
    assert got == pytest.approx(wanted, abs=0.1 * np.ptp(wanted))


def test_an_error_that_both_sides_share_widens_nothing():
    errors = np.random.default_rng(1).normal(size=6)
    budgets = [(dict(enumerate(errors + d)), dict(enumerate(errors))) for d in (1.0, -1.0)]
    assert crossing_interval([1.0, 100.0], budgets) == pytest.approx((10.0, 10.0))


def test_a_repetition_is_drawn_at_every_budget_at_once():
    """Errors that are opposite at the two budgets: their difference is fixed only while they are drawn together."""
    errors = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
    shared = [(dict(enumerate(4 + errors)), dict.fromkeys(range(6), 0.0)),
              (dict(enumerate(-4 - errors)), dict.fromkeys(range(6), 0.0))]  # fmt: skip
    assert crossing_interval([1.0, 100.0], shared) == pytest.approx((10.0, 10.0))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 10**6), st.lists(st.floats(0.0, 2.0), min_size=4, max_size=4))
def test_raising_all_scores_of_a_row_lowers_no_end_of_its_interval(seed, more):
    shares, truth = [1.0, 3.0, 10.0, 30.0], [2.0, 1.0, -1.0, -2.0]
    budgets = sides(np.random.default_rng(seed), truth)
    raised = [({r: x + by for r, x in own.items()}, other) for (own, other), by in zip(budgets, more, strict=True)]
    for before, after in zip(
        crossing_interval(shares, budgets, 2000), crossing_interval(shares, raised, 2000), strict=True
    ):
        assert after >= before * (1 - 1e-9)


@pytest.mark.parametrize(("n", "draws"), [(6, 30), (6, 6), (12, 30)])
def test_intervals_hold_the_crossing_as_often_as_they_say(n, draws):
    """A curve that crosses at 4.6 %; .922 is five standard errors below .95."""
    rng, truth, shares = np.random.default_rng([n, draws]), [3.0, 1.5, 0.5, -1.0, -3.0], [1.0, 2.0, 4.0, 6.0, 20.0]
    at, runs = 4 * 1.5 ** (1 / 3), 1500
    held = 0
    for _ in range(runs):
        low, high = crossing_interval(shares, sides(rng, truth, n=n, draws=draws), 2000)
        held += low <= at <= high
    assert 0.922 <= held / runs < 0.985


# --- from records


def test_the_grid_is_the_share_of_the_training_images_whatever_the_budget_counts():
    (table,) = tables_of(curve("random", [50.0] * 5) + curve("el2n", [60.0] * 5) + cell("random", [1.0], ipc=2))
    assert [place.share for place in grid_of(table)] == pytest.approx([1, 100 * 20 / N_TRAIN, 2, 5, 10, 30])


def test_the_difference_takes_all_draws_of_random_and_is_that_of_the_second_table():
    records = rows("el2n", {0.01: [60.0, 63.0, 61.0], 0.1: [60.0, 61.0, 62.0]})
    records += rows("random", {0.01: [50.0, 51.0, 52.0, 47.0, 55.0], 0.1: [64.0, 65.0, 63.0, 70.0, 68.0]})
    one = found(records)
    d = [184 / 3 - 51.0, 61.0 - 66.0]
    assert [gap.difference for gap in one.gaps] == pytest.approx(d)
    assert one.at == Share(pytest.approx(10 ** (d[0] / (d[0] - d[1]))))
    assert (one.n, one.draws) == (3, 5)
    (table,) = tables_of(records)
    (versus,) = table.versus_random.rows
    assert [gap.difference for gap in one.gaps] == pytest.approx([c.paired.difference for c in versus.comparisons])
    halves = [(c.paired.high - c.paired.low) / 2 for c in versus.comparisons]
    assert [gap.half_width for gap in one.gaps] == pytest.approx(halves)


def test_outside_the_budgets_the_nearest_one_is_named_on_both_sides():
    base = curve("random", [50.0] * 5)
    low, high = found(base, curve("el2n", [49.0] * 5)), found(base, curve("el2n", [50.1] * 5))
    assert (low.at, low.low, low.high) == (Share(1.0, "below"),) * 3
    assert (high.at, high.low, high.high) == (Share(30.0, "above"),) * 3


def test_a_budget_without_a_complete_result_is_named_and_no_number_is_made_up():
    base = curve("random", [50.0] * 5)
    own = {0.01: [60.0] * 3, 0.02: [60.0, None, 60.0], 0.05: [40.0] * 3, 0.1: [40.0] * 3}
    for last in ([], skipped("el2n", "too slow", fraction=0.3)):
        one = found(base, rows("el2n", own), last)
        assert (one.at, one.low, one.high, one.why) == (None, None, None, "no complete result at 2 %, 30 %")
        assert [gap.budget for gap in one.gaps] == ["1 %", "5 %", "10 %"]


def test_what_random_lacks_is_said():
    base = rows("random", {share: [50.0] * 3 for share in GRID[:4]})
    failed = cell("random", [50.0, None, 50.0], fraction=0.3)
    assert found(base, failed, curve("el2n", [60.0] * 5)).why == "none of random at 30 %"
    late = [x for r in (6, 7, 8) for x in pair("random", 50.0, r=r, fraction=0.3)]
    assert found(base, late, curve("el2n", [60.0] * 5)).why == "no repetition in common with random at 30 %"


def test_a_budget_at_which_random_was_not_run_is_none_of_the_grid():
    base = rows("random", {share: [50.0] * 3 for share in GRID[:4]})
    one = found(base, curve("el2n", [60.0, 60.0, 40.0, 40.0, 60.0]))
    assert one.at == Share(pytest.approx((2 * 5) ** 0.5))


def test_methods_alone_have_a_crossing():
    records = curve("random", [50.0] * 5) + curve("el2n", [60.0] * 5) + cell("full", [99.0] * 3)
    records += curve("random_soft", [55.0] * 5) + curve("dm", [70.0] * 5, label="dm (0 steps)")
    records += curve("dm", [70.0] * 5, label="theirs", source="imported")
    (table,) = tables_of(records)
    assert [one.row for one in crossings_of(table)] == ["el2n"]


def test_a_row_is_held_against_the_random_of_its_own_recipe():
    native = {"protocol": "native"}
    records = curve("datm", [60.0, 60.0, 60.0, 40.0, 40.0], **native)
    records += curve("random", [50.0] * 5, label="random (recipe of datm)", **native)
    assert found(records, row="datm").at == Share(pytest.approx((5 * 10) ** 0.5))


def test_fewer_than_three_repetitions_have_no_interval():
    two = {"noise": (0.0, 1.0)}
    one = found(curve("random", [50.0] * 5, **two), curve("el2n", [60.0] * 4 + [40.0], **two))
    assert one.at is not None and (one.low, one.high) == (None, None)


def test_the_interval_does_not_depend_on_names_or_on_the_order_of_records():
    rng = np.random.default_rng(0)
    base, own = ({share: list(50 + m + rng.normal(size=6)) for share, m in zip(GRID, means, strict=True)}
                 for means in ([0] * 5, [3, 2, 1, -1, -3]))  # fmt: skip
    a = found(rows("random", base), rows("el2n", own))
    b = found(rows("aum", own)[::-1], rows("random", base)[::-1], row="aum")
    assert (a.at, a.low, a.high) == (b.at, b.low, b.high)
    assert a.low.percent < a.at.percent < a.high.percent


def test_one_budget_has_no_crossing():
    (table,) = tables_of(rows("random", {0.01: [50.0] * 3}) + rows("el2n", {0.01: [60.0] * 3}))
    assert crossings_of(table) == []
    (table,) = tables_of(rows("el2n", {0.01: [60.0] * 3, 0.1: [60.0] * 3}))
    assert crossings_of(table) == [], "nor has a table without random"
