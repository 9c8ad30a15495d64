"""Laws of ranks, Friedman's test and Kendall's τ; scipy.stats is the oracle."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from ddbench.results.stats import average_ranks, friedman, kendall_tau, ranks

LAW = settings(deadline=None, derandomize=True, max_examples=80)
scores = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=8)
pairs = st.lists(st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)), min_size=3, max_size=9)


def cell(values):
    return {f"m{i}": value for i, value in enumerate(values)}


@LAW
@given(scores)
def test_ranks_are_scipys_with_the_highest_score_first(values):
    assert list(ranks(cell(values)).values()) == pytest.approx(oracle.rankdata([-x for x in values]))


def test_equal_scores_share_a_rank_and_failures_share_the_last():
    assert ranks({"a": 90.0, "b": 80.0, "c": 90.0, "d": None, "e": None}) == {
        "a": 1.5, "c": 1.5, "b": 3.0, "d": 4.5, "e": 4.5,
    }  # fmt: skip


def test_float_noise_does_not_break_a_tie():
    assert ranks({"a": 0.1 + 0.2, "b": 0.3}) == {"a": 1.5, "b": 1.5}


def test_the_cells_of_a_data_set_are_averaged_first_so_many_budgets_do_not_weigh_more():
    cells = [("digits", {"a": 2.0, "b": 1.0})] * 3 + [
        ("digits", {"a": 1.0, "b": 2.0}),
        ("mnist", {"a": 1.0, "b": 2.0}),
    ]
    assert average_ranks(cells, ["a", "b"]) == {"digits": {"a": 1.25, "b": 1.75}, "mnist": {"a": 2.0, "b": 1.0}}


def test_a_cell_without_one_of_the_rows_does_not_count_and_other_rows_take_no_rank():
    cells = [("digits", {"a": 1.0, "c": 9.0}), ("digits", {"a": 1.0, "b": 2.0, "c": 9.0})]
    assert average_ranks(cells, ["a", "b"]) == {"digits": {"a": 2.0, "b": 1.0}}


def test_friedmans_statistic_is_the_textbooks():
    """χ² = 12 / (n k (k + 1)) Σ R² − 3 n (k + 1), for R the sums of ranks over n blocks without ties."""
    orders = [(1, 2, 3), (1, 2, 3), (1, 3, 2), (1, 2, 3), (2, 1, 3), (1, 2, 3), (1, 2, 3)]
    found = friedman({f"d{i}": cell(map(float, order)) for i, order in enumerate(orders)})
    sums = [sum(order[i] for order in orders) for i in range(3)]
    expected = 12 / (7 * 3 * 4) * sum(r * r for r in sums) - 3 * 7 * 4
    assert found.statistic == pytest.approx(expected)
    assert found.p == pytest.approx(oracle.chi2.sf(expected, 2))
    assert found.n == 7


def test_five_data_sets_or_two_rows_or_nothing_but_ties_are_not_tested():
    assert friedman({f"d{i}": cell([1.0, 2.0, 3.0]) for i in range(5)}) is None
    assert friedman({f"d{i}": cell([1.0, 2.0]) for i in range(9)}) is None
    assert friedman({f"d{i}": cell([2.0, 2.0, 2.0]) for i in range(9)}) is None


@LAW
@given(pairs)
def test_tau_is_scipys(values):
    a, b = zip(*values, strict=True)
    expected = oracle.kendalltau(a, b).statistic
    found = kendall_tau(cell(a), cell(b))
    assert (found is None) == math.isnan(expected)  # scipy says nan where all values of a side tie
    if found is not None:
        assert found == pytest.approx(expected)


def test_tau_looks_at_common_rows_and_puts_failures_last():
    assert kendall_tau({"a": 3.0, "b": 2.0, "c": None, "x": 9.0}, {"a": 3.0, "b": 2.0, "c": 1.0, "y": 0.0}) == 1.0
    assert kendall_tau({"a": 3.0, "b": 2.0}, {"a": 3.0, "b": 2.0}) is None
