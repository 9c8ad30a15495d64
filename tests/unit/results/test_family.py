"""Laws of the family of a column: verdicts on all pairs, bold, and ranges of ranks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.results.stats import compare, family, needed_n, smallest_n
from ddbench.results.stats.families import bold_rows, worse_than

LAW = settings(deadline=None, derandomize=True, max_examples=40)


def scores(values):
    return dict(enumerate(values))


@st.composite
def columns(draw, least=2):
    """Rows with means some way apart, errors that they share by repetition and errors of their own."""
    rows, n = draw(st.integers(least, 6)), draw(st.integers(3, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    step, shared = draw(st.sampled_from([0.0, 0.3, 1.0, 3.0])), rng.normal(0, 1, n)
    means = 60 + step * rng.permutation(rows)
    return {f"row {i}": scores(np.round(mean + shared + rng.normal(0, 0.5, n), 3)) for i, mean in enumerate(means)}


def mean_of(column, row):
    return np.mean(list(column[row].values()))


@LAW
@given(columns())
def test_it_judges_all_pairs_as_compare_does(column):
    found, rows = family(column), list(column)
    pairs = [(a, b) for i, a in enumerate(rows) for b in rows[i + 1 :]]
    assert list(found.pairs) == pairs
    assert list(found.pairs.values()) == compare([(column[a], column[b]) for a, b in pairs])
    assert found.needed == smallest_n(len(pairs))


@LAW
@given(columns(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_repetitions_decides_nothing(column, random):
    def mixed(items):
        return dict(random.sample(list(items), len(items)))

    one, other = family(column), family(mixed({row: mixed(found.items()) for row, found in column.items()}.items()))
    assert one.bold == other.bold
    assert one.ranks == other.ranks
    assert all(one.verdict(a, b) == other.verdict(a, b) for a, b in one.pairs)


@LAW
@given(columns(), st.floats(-20, 20))
def test_what_all_rows_share_changes_nothing(column, by):
    moved = {row: {r: value + by for r, value in found.items()} for row, found in column.items()}
    one, other = family(column), family(moved)
    assert (one.bold, one.ranks) == (other.bold, other.ranks)
    assert all(one.verdict(a, b) == other.verdict(a, b) for a, b in one.pairs)


@LAW
@given(columns())
def test_ranks_are_the_places_that_the_verdicts_leave(column):
    found = family(column)
    for row, (first, last) in found.ranks.items():
        verdicts = [found.verdict(row, other) for other in column if other != row]
        assert (first, last) == (1 + verdicts.count("worse"), len(column) - verdicts.count("better"))
        assert 1 <= first <= last <= len(column)


@LAW
@given(columns())
def test_bold_rows_are_the_upper_ones_and_none_of_them_is_worse_than_the_best(column):
    found = family(column)
    if len(next(iter(column.values()))) < found.needed:
        assert not found.bold
        return
    best = max(column, key=lambda row: mean_of(column, row))
    assert best in found.bold
    assert all(found.verdict(row, best) != "worse" for row in found.bold - {best})
    outside = column.keys() - found.bold
    assert all(mean_of(column, row) >= mean_of(column, other) for row in found.bold for other in outside)
    if outside:
        assert found.verdict(max(outside, key=lambda row: mean_of(column, row)), best) == "worse"


def test_bold_stops_at_the_first_row_that_is_separated_from_the_best():
    """The last row is undecided beside the best, because it is noisy; the one before it is not."""
    steady, noise = np.tile([0.1, -0.1], 6), np.tile([9.0, -9.0], 6)
    column = {"best": 60 + 0 * steady, "near": 60 - 0.02 + steady, "apart": 58 + steady, "noisy": 57 + noise}
    found = family({row: scores(values) for row, values in column.items()})
    assert found.verdict("apart", "best") == "worse"
    assert found.verdict("noisy", "best") == "undecided"
    assert found.bold == {"best", "near"}


def test_rows_of_one_mean_are_bold_each_for_itself():
    worse = worse_than(np.array([0, 1, 0]), 3)  # b beside c is undecided, a is better than c
    assert bold_rows(np.array([2.0, 1.0, 1.0]), worse).tolist() == [True, True, False]
    assert bold_rows(np.array([2.0, 1.0, 0.5]), worse).tolist() == [True, True, False]
    assert bold_rows(np.array([2.0, 0.5, 1.0]), worse).tolist() == [True, False, False]
    assert bold_rows(np.array([2.0, 2.0, 1.0]), worse).tolist() == [True, True, False]


@pytest.mark.parametrize(("rows", "n"), [(2, 6), (4, 8), (8, 11), (12, 12)])
def test_below_the_smallest_n_there_is_no_verdict_whatever_the_data(rows, n):
    def column(repetitions):
        return {str(i): scores([10.0 * i + 0.001 * r for r in range(repetitions)]) for i in range(rows)}

    short, enough = family(column(n - 1)), family(column(n))
    assert short.needed == enough.needed == n
    assert {found.verdict for found in short.pairs.values()} == {"undecided"}
    assert not short.bold
    assert set(short.ranks.values()) == {(1, rows)}
    assert {found.verdict for found in enough.pairs.values()} == {"worse"}
    assert enough.bold == {str(rows - 1)}
    assert sorted(enough.ranks.values()) == [(i, i) for i in range(1, rows + 1)]


def test_equal_rows_are_all_bold_and_equivalent():
    column = {name: scores(60 + np.arange(10) / 10) for name in "abc"}
    found = family(column)
    assert found.bold == set("abc")
    assert {one.verdict for one in found.pairs.values()} == {"equivalent"}
    assert set(found.ranks.values()) == {(1, 3)}


@LAW
@given(columns(least=3))
def test_conditional_rows_take_part_in_nothing(column):
    out = next(iter(column))
    assert family(column, conditional={out}) == family({row: found for row, found in column.items() if row != out})
    assert out not in family(column, conditional={out}).ranks


def test_a_pair_of_few_common_repetitions_counts_and_stays_undecided():
    column = {
        "a": scores([60.0, 61, 62, 60, 61, 62, 61]),
        "b": scores([50.0, 51, 52, 51, 50, 52, 50]),
        "c": {0: 1.0, 9: 2.0},
    }
    found = family(column)
    assert found.pairs["a", "c"] is None
    assert found.verdict("c", "a") == "undecided"
    assert found.needed == smallest_n(3)
    assert not found.bold


def test_undecided_pairs_say_what_would_decide_them():
    rng = np.random.default_rng(5)
    column = {name: scores(mean + rng.normal(0, 0.5, 6)) for name, mean in (("a", 60), ("b", 59), ("c", 55))}
    found = family(column)
    for (a, b), one in found.pairs.items():
        sd = np.std([column[a][r] - column[b][r] for r in range(6)], ddof=1)
        assert one.verdict == "undecided"
        assert one.need == needed_n(one.paired.difference, float(sd), 3)


@pytest.mark.parametrize("column", [{}, {"a": {0: 60.0}}])
def test_fewer_than_two_rows_show_nothing(column):
    found = family(column)
    assert (found.pairs, found.bold, found.ranks) == ({}, frozenset(), dict.fromkeys(column, (1, 1)))


def test_a_pair_that_is_none_of_the_family_is_refused():
    with pytest.raises(KeyError):
        family({"a": {0: 1.0}, "b": {0: 2.0}}).verdict("a", "c")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(3))
def test_scores_that_are_not_finite_are_refused_by_name(value, place):
    column = {f"row {i}": scores([60.0 + i, 61.0, 60.5 + i, 62.0, 60.2, 61.1]) for i in range(3)}
    column[f"row {place}"][4] = value
    with pytest.raises(ValueError, match=f"row 'row {place}': scores must be finite, got {{4: {value}}}"):
        family(column)
    assert family(column, conditional={f"row {place}"}).pairs, "a row that takes no part is not looked at"
    other = scores([60.0] * 6)
    for pair in ((column[f"row {place}"], other), (other, column[f"row {place}"])):
        with pytest.raises(ValueError, match="scores must be finite"):
            compare([pair])
