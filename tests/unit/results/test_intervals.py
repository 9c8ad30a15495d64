"""Laws of the statistics; scipy.stats is the oracle."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from ddbench.results.stats import compare, holm, paired, smallest_n, summary

LAW = settings(deadline=None, derandomize=True, max_examples=60)
score = st.floats(0, 100).map(lambda x: round(x, 3))
samples = st.lists(score, min_size=3, max_size=12)
p_values = st.lists(st.floats(0, 1), max_size=8)


def scores(values):
    return dict(enumerate(values))


def shifted(values, by):
    return {r: value + by for r, value in enumerate(values)}


@LAW
@given(samples)
def test_interval_of_the_mean_is_scipys(values):
    found = summary(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    assume(found.sd > 1e-9)
    low, high = oracle.t.interval(0.95, len(values) - 1, np.mean(values), oracle.sem(values))
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))


def test_one_value_has_no_sd_and_two_have_no_interval():
    assert summary([3.0]).sd is None
    assert summary([3.0, 4.0]).sd == pytest.approx(math.sqrt(0.5))
    assert summary([3.0, 4.0]).half_width is None
    with pytest.raises(ValueError, match="no values"):
        summary([])


@LAW
@given(samples, samples, st.sampled_from([0.9, 0.95, 0.99]))
def test_paired_interval_is_scipys_of_the_differences(a, b, level):
    n = min(len(a), len(b))
    differences = np.array(a[:n]) - np.array(b[:n])
    assume(differences.std() > 1e-6)
    found = paired(scores(a), scores(b), level)
    expected = oracle.ttest_rel(a[:n], b[:n]).confidence_interval(level)
    assert found.n == n
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


@LAW
@given(samples)
def test_paired_interval_flips_with_its_arguments(values):
    a, b = scores(values), scores(reversed(values))
    one, other = paired(a, b), paired(b, a)
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low), abs=1e-9)


@LAW
@given(samples, st.floats(-50, 50))
def test_what_all_repetitions_share_cancels(values, by):
    other = scores([value * 0.5 for value in values])
    moved = paired(shifted(values, by), {r: value + by for r, value in other.items()})
    assert moved.difference == pytest.approx(paired(scores(values), other).difference, abs=1e-6)


def test_only_common_repetitions_are_paired():
    assert paired({0: 1.0, 1: 2.0, 5: 3.0}, {0: 1.0, 1: 2.0, 2: 9.0}) is None
    assert paired({0: 1.0, 1: 2.0, 2: 3.0, 5: 90.0}, {0: 0.0, 1: 1.0, 2: 2.0}).difference == 1.0


def test_float_noise_does_not_decide_a_tie():
    a, b = scores([0.1 + 0.2] * 3), scores([0.3] * 3)
    assert paired(a, b).contains(0.0)


@LAW
@given(p_values)
def test_holm_never_lowers_a_p_value_keeps_their_order_and_stays_a_probability(values):
    adjusted = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, adjusted, strict=True))
    assert all(x <= y for (_, x), (_, y) in zip(*(2 * [sorted(zip(values, adjusted, strict=True))]), strict=True))
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


@LAW
@given(p_values, st.sampled_from([0.01, 0.05, 0.1]))
def test_holm_rejects_what_stepping_down_rejects(values, alpha):
    rejected = set()
    for step, i in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        if values[i] * (len(values) - step) >= alpha:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(holm(values)) if p < alpha} == rejected


@pytest.mark.parametrize(("comparisons", "n"), [(1, 6), (2, 7), (15, 10)])
def test_six_pairs_decide_one_comparison_and_ten_decide_fifteen(comparisons, n):
    assert smallest_n(comparisons) == n
    assert 2 * 0.5**n <= 0.05 / comparisons < 2 * 0.5 ** (n - 1)


@LAW
@given(st.lists(st.tuples(samples, samples), min_size=1, max_size=5))
def test_a_decision_is_an_adjusted_interval_without_zero(pairs):
    """Holm in the form of intervals: level 1 − α/(pairs left), in the order of the p-values."""
    found = compare([(scores(a), scores(b)) for a, b in pairs])
    raw = [oracle.ttest_rel(a[: len(b)], b[: len(a)]).pvalue for a, b in pairs]
    assume(not any(math.isnan(p) for p in raw))
    decided = set()
    for step, i in enumerate(sorted(range(len(pairs)), key=raw.__getitem__)):
        if paired(scores(pairs[i][0]), scores(pairs[i][1]), 1 - 0.05 / (len(pairs) - step)).contains(0):
            break
        decided.add(i)
    enough = smallest_n(len(pairs))
    for i, comparison in enumerate(found):
        assert (comparison.verdict in ("better", "worse")) == (i in decided and comparison.paired.n >= enough)


def test_swapping_a_pair_swaps_the_verdict():
    a, b = scores([60.0, 61, 62, 60, 61, 62]), scores([50.0, 52, 51, 50, 52, 51])
    assert [c.verdict for c in compare([(a, b)])] == ["better"]
    assert [c.verdict for c in compare([(b, a)])] == ["worse"]


def test_small_differences_are_equivalent_only_with_enough_repetitions():
    a = [60.0, 61.0, 62.0, 63.0, 64.0, 65.0]
    b = [x + d for x, d in zip(a, [0.1, -0.1, 0.05, -0.05, 0.1, -0.1], strict=True)]
    assert [c.verdict for c in compare([(scores(a), scores(b))])] == ["equivalent"]
    assert [c.verdict for c in compare([(scores(a[:5]), scores(b[:5]))])] == ["undecided"]


def test_three_repetitions_decide_nothing_however_far_apart():
    assert compare([(scores([90.0, 91, 90]), scores([10.0, 11, 10]))])[0].verdict == "undecided"


def test_pairs_without_an_interval_do_not_burden_the_others():
    good = (scores([60.0, 61, 62, 60, 61, 62]), scores([50.0, 52, 51, 50, 52, 51]))
    short = (scores([1.0, 2.0]), scores([1.0, 2.0]))
    found = compare([good, short, short])
    assert found[1:] == [None, None]
    assert (found[0].needed, found[0].verdict) == (6, "better")
