"""Laws of the statistics; scipy.stats is the oracle."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from ddbench.results.stats import paired, summary

LAW = settings(deadline=None, derandomize=True, max_examples=60)
score = st.floats(0, 100).map(lambda x: round(x, 3))
samples = st.lists(score, min_size=3, max_size=12)


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
