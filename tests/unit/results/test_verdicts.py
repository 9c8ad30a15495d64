"""Laws of the verdicts on several comparisons; scipy.stats, and sums written out, are the oracles."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from ddbench.results.stats import compare, holm, needed_n, paired, smallest_n
from ddbench.results.stats.contrasts import paired_contrasts
from ddbench.results.stats.verdicts import decide, equivalence_power, separation_power

LAW = settings(deadline=None, derandomize=True, max_examples=60)
score = st.floats(0, 100).map(lambda x: round(x, 3))
samples = st.lists(score, min_size=3, max_size=12)
p_values = st.lists(st.floats(0, 1), max_size=8)


def scores(values):
    return dict(enumerate(values))


@LAW
@given(p_values)
def test_holm_never_lowers_a_p_value_keeps_their_order_and_stays_a_probability(values):
    adjusted = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, adjusted, strict=True))
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


@LAW
@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=4))
def test_holm_takes_each_last_axis_for_a_family(values):
    assert np.array_equal(holm(values), [holm(row) for row in values])


@pytest.mark.parametrize(
    ("comparisons", "n"), [(0, 6), (1, 6), (2, 7), (11, 9), (15, 10), (21, 10), (28, 11), (66, 12), (91, 12)]
)
def test_what_a_family_needs(comparisons, n):
    assert smallest_n(comparisons) == n
    assert 2 * 0.5**n <= 0.05 / max(1, comparisons) < 2 * 0.5 ** (n - 1)


@LAW
@given(st.lists(st.tuples(samples, samples), min_size=1, max_size=5))
def test_a_decision_is_an_adjusted_interval_without_zero(pairs):
    """Holm in the form of intervals: level 1 − α/(pairs left), in the order of the p-values."""
    pairs = [(a[: len(b)], b[: len(a)]) for a, b in pairs]  # of more draws than repetitions: test_contrasts.py
    found = compare([(scores(a), scores(b)) for a, b in pairs])
    raw = [oracle.ttest_rel(a, b).pvalue for a, b in pairs]
    assume(not any(math.isnan(p) for p in raw))
    decided = set()
    for step, i in enumerate(sorted(range(len(pairs)), key=raw.__getitem__)):
        if paired(scores(pairs[i][0]), scores(pairs[i][1]), 1 - 0.05 / (len(pairs) - step)).contains(0):
            break
        decided.add(i)
    enough = smallest_n(len(pairs))
    for i, comparison in enumerate(found):
        assert (comparison.verdict in ("better", "worse")) == (i in decided and comparison.paired.n >= enough)


@LAW
@given(st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=12), st.integers(1, 4))
def test_equivalence_is_two_one_sided_tests_at_a_share_of_the_level(values, comparisons):
    values = np.round(values, 3)
    assume(values.std() > 1e-6)
    found = decide(paired_contrasts(np.tile(values, (comparisons, 1))))
    level = 0.05 / comparisons
    se_and_df = values.std(ddof=1) / np.sqrt(len(values)), len(values) - 1
    below = oracle.ttest_1samp(values, 0.5, alternative="less").pvalue
    above = oracle.ttest_1samp(values, -0.5, alternative="greater").pvalue
    different = oracle.ttest_1samp(values, 0).pvalue < level  # Holm of equal p-values
    expected = max(below, above) < level and not different and len(values) >= smallest_n(comparisons)
    assert found.equivalent.tolist() == [expected and equivalence_power(*se_and_df, level) >= 0.2] * comparisons


def test_swapping_a_pair_swaps_the_verdict():
    a, b = scores([60.0, 61, 62, 60, 61, 62]), scores([50.0, 52, 51, 50, 52, 51])
    assert [c.verdict for c in compare([(a, b)])] == ["better"]
    assert [c.verdict for c in compare([(b, a)])] == ["worse"]


def test_small_differences_are_equivalent_only_with_enough_repetitions():
    a = [60.0, 61.0, 62.0, 63.0, 64.0, 65.0]
    b = [x + d for x, d in zip(a, [0.1, -0.1, 0.05, -0.05, 0.1, -0.1], strict=True)]
    pair = (scores(a), scores(b))
    (alone,) = compare([pair])
    assert (alone.verdict, alone.needed, alone.need) == ("equivalent", 6, None)
    short = compare([(scores(a[:5]), scores(b[:5]))])[0]
    assert (short.verdict, short.power) == ("undecided", 0.0)
    assert short.need.equivalent == 6
    assert [c.verdict for c in compare([pair, pair])] == ["undecided"] * 2


@pytest.mark.parametrize(("repetitions", "offered"), [(6, True), (20, False)])
def test_equivalence_is_not_offered_where_it_has_no_power(repetitions, offered):
    """Differences that average 0 by luck, and spread so far that the two tests just pass."""
    spread = np.resize([1.0, -1.0], repetitions)
    found = paired_contrasts([spread * 0.499 / paired_contrasts(spread).half_width(0.9)])
    assert abs(found.difference[0]) + found.half_width(0.9)[0] < 0.5
    assert (equivalence_power(found.se, found.df, 0.05)[0] >= 0.2) == offered
    assert decide(found).equivalent.tolist() == [offered]


def test_three_repetitions_decide_nothing_however_far_apart():
    assert compare([(scores([90.0, 91, 90]), scores([10.0, 11, 10]))])[0].verdict == "undecided"


def test_pairs_without_an_interval_count_in_the_family():
    good = (scores([60.0, 61, 62, 60, 61, 62]), scores([50.0, 52, 51, 50, 52, 51]))
    short = (scores([1.0, 2.0]), scores([1.0, 2.0]))
    found = compare([good, short, short])
    assert found[1:] == [None, None]
    assert (found[0].needed, found[0].verdict, found[0].comparisons) == (7, "undecided", 3)


def test_nothing_to_compare_is_no_family():
    assert compare([]) == []


@pytest.mark.parametrize(
    ("sd", "n", "level", "difference"), [(0.3, 6, 0.05, 0.0), (0.5, 10, 0.05, 0.2), (0.3, 10, 0.05 / 21, 0.0)]
)
def test_the_power_of_equivalence_is_how_often_it_is_found(sd, n, level, difference):
    drawn = np.random.default_rng(0).normal(difference, sd, (40_000, n))
    mean, se = drawn.mean(axis=1), drawn.std(axis=1, ddof=1) / np.sqrt(n)
    inside = np.abs(mean) + oracle.t.ppf(1 - level, n - 1) * se < 0.5
    different = np.abs(mean) > oracle.t.ppf(1 - level / 2, n - 1) * se
    found = float(equivalence_power(sd / np.sqrt(n), n - 1, level, difference=difference))
    assert found == pytest.approx((inside & ~different).mean(), abs=0.008)


@LAW
@given(st.floats(0.01, 5), st.floats(1, 3), st.integers(5, 60), st.floats(0.0005, 0.05))
def test_equivalence_is_the_likelier_the_smaller_the_spread(se, factor, df, level):
    small, large = equivalence_power([se, se * factor], df, level)
    assert 0 <= large <= small + 1e-3
    assert small <= 1 - level + 1e-3  # equal rows are found different that often


def test_without_spread_equal_rows_are_surely_equivalent():
    assert equivalence_power(0.0, 5, 0.05) == pytest.approx(0.95, abs=1e-3)
    assert equivalence_power(math.inf, 5, 0.05) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(
    ("ratio", "n", "level"),
    [(2.0, 6, 0.05), (6.63, 11, 0.05 / 38), (5.0, 10, 0.05 / 21), (0.0, 12, 0.05), (-2.0, 6, 0.05)],
)
def test_the_power_to_see_a_difference_is_that_of_the_non_central_t(ratio, n, level):
    t = oracle.t.ppf(1 - level / 2, n - 1)
    expected = oracle.nct.sf(t, n - 1, ratio) + np.nan_to_num(oracle.nct.cdf(-t, n - 1, ratio))
    assert separation_power(np.array(ratio), np.array(n - 1.0), level) == pytest.approx(expected, abs=1e-9)


def test_the_repetitions_that_would_decide_are_the_fewest_with_enough_power():
    need = needed_n(1.0, 1.0, 21)
    n = need.separate
    powers = [float(separation_power(np.array(math.sqrt(k)), np.array(k - 1.0), 0.05 / 21)) for k in (n - 1, n)]
    assert powers[0] < 0.8 <= powers[1]
    assert need.equivalent is None
    same = needed_n(0.0, 0.5, 1)
    assert same.separate is None
    chances = [
        float(equivalence_power(0.5 / math.sqrt(k), k - 1, 0.05)) for k in (same.equivalent - 1, same.equivalent)
    ]
    assert chances[0] < 0.8 <= chances[1]


def test_hopeless_differences_need_more_than_a_hundred():
    assert needed_n(0.1, 3.0, 66) == needed_n(0.0, 10.0, 1)
    assert needed_n(0.1, 3.0, 66).separate is None


@LAW
@given(st.floats(0.01, 20), st.floats(0.01, 20), st.integers(1, 91))
def test_more_repetitions_are_needed_for_more_spread_and_in_larger_families(difference, sd, comparisons):
    here = needed_n(difference, sd, comparisons).separate
    assert here is None or smallest_n(comparisons) <= here <= 100
    for wider in (needed_n(difference, 1.5 * sd, comparisons), needed_n(difference, sd, comparisons + 20)):
        assert wider.separate is None or (here is not None and here <= wider.separate)


def test_only_what_is_undecided_is_told_what_it_needs():
    base = [60.0, 61, 62, 60, 61, 62, 60, 61]
    near = [60.4, 60.8, 62.9, 59.6, 61.3, 61.2, 60.1, 61.2]
    decided, undecided = compare([(scores(base), scores([x - 10 for x in near])), (scores(base), scores(near))])
    assert (decided.verdict, decided.need) == ("better", None)
    assert undecided.verdict == "undecided"
    assert undecided.need == needed_n(undecided.paired.difference, np.std(np.subtract(base, near), ddof=1), 2)
