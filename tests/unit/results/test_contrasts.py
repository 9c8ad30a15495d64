"""Laws of differences to a reference of more draws than repetitions."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from ddbench.results.stats import minus_random, paired
from ddbench.results.stats.contrasts import contrast, paired_contrasts, reference_contrasts

LAW = settings(deadline=None, derandomize=True, max_examples=60)
score = st.floats(0, 100).map(lambda x: round(x, 3))


def draws(smallest, largest):
    return st.lists(score, min_size=smallest, max_size=largest)


def scores(values):
    return dict(enumerate(values))


@LAW
@given(st.lists(st.lists(score, min_size=4, max_size=4), min_size=1, max_size=3))
def test_p_is_that_of_the_t_test(values):
    values = np.array(values) - 50
    assume((values.std(axis=1) > 1e-6).all())
    assert paired_contrasts(values).p == pytest.approx(oracle.ttest_1samp(values, 0, axis=1).pvalue, abs=1e-9)


@pytest.mark.parametrize(("values", "p"), [([0.0, 0.0, 0.0], 1.0), ([1.0, 1.0, 1.0], 0.0)])
def test_without_spread_only_no_difference_is_no_evidence(values, p):
    assert paired_contrasts(values).p == p


@LAW
@given(draws(3, 8), draws(3, 8))
def test_a_reference_without_more_draws_is_paired(a, b):
    found = minus_random(scores(a), scores(b[: len(a)]))
    expected = paired(scores(a), scores(b[: len(a)]))
    assert found.paired.n == found.draws == expected.n
    assert (found.paired.low, found.paired.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


@LAW
@given(draws(3, 8), draws(10, 30))
def test_the_formula_written_out(a, b):
    n, m = len(a), len(b)
    (aa, ab), (_, _) = np.cov(a, b[:n])
    bb = np.var(b, ddof=1)
    apart = aa / n + bb / m
    assume(apart > 1e-6)
    variance = max(apart - 2 * ab / m, apart / 4)
    found = contrast(scores(a), scores(b))
    assert (found.n, found.draws) == (n, m)
    assert found.difference == pytest.approx(np.mean(a) - np.mean(b))
    assert found.se == pytest.approx(np.sqrt(variance))
    spread = (
        aa**2 / (n**2 * (n - 1)) + bb**2 / (m**2 * (m - 1)) + 2 * (aa * bb + ab**2) / (m**2 * (n - 1))
        + 2 * ab**2 / (n * m * (m - 1)) - 4 * aa * ab / (n * m * (n - 1)) - 4 * bb * ab / (m**2 * (m - 1))
    )  # fmt: skip
    assume(spread > 1e-6)
    satterthwaite = min(n + m - 2, max(n - 1, variance**2 / spread))
    assert found.df == pytest.approx(2 / (1 / satterthwaite + 1 / (n - 1)), rel=1e-6)
    tested = 2 * oracle.t.sf(abs(found.difference) / found.se, float(found.df))
    assert found.p == pytest.approx(tested, abs=1e-9)


def test_degrees_of_freedom_are_those_that_the_variance_of_the_variance_has():
    """2 E(V)²/Var(V) from many draws, beside the formula at large samples of the same moments."""
    rng, n, m, runs = np.random.default_rng(0), 6, 30, 200_000
    cov = np.array([[1.5**2, 0.6 * 1.5], [0.6 * 1.5, 1.0]])
    pairs = rng.multivariate_normal([0, 0], cov, size=(runs, n))
    b = np.concatenate([pairs[..., 1], rng.normal(size=(runs, m - n))], axis=1)
    found = reference_contrasts(pairs[..., 0], b)
    variance = found.se**2
    truth = cov[0, 0] / n + cov[1, 1] / m - 2 * cov[0, 1] / m
    assert variance.mean() == pytest.approx(truth, rel=0.01)
    simulated = 2 * variance.mean() ** 2 / variance.var()
    aa, ab, bb = cov[0, 0], cov[0, 1], cov[1, 1]
    spread = (
        aa**2 / (n**2 * (n - 1)) + bb**2 / (m**2 * (m - 1)) + 2 * (aa * bb + ab**2) / (m**2 * (n - 1))
        + 2 * ab**2 / (n * m * (m - 1)) - 4 * aa * ab / (n * m * (n - 1)) - 4 * bb * ab / (m**2 * (m - 1))
    )  # fmt: skip
    assert simulated == pytest.approx(truth**2 / spread, rel=0.03)
    assert np.median(found.df) == pytest.approx(2 / (1 / simulated + 1 / (n - 1)), rel=0.1)


def test_independent_samples_have_about_the_degrees_of_welch():
    """Where the n common draws happen to be uncorrelated, only the noise of that 0 is added to Welch's formula."""
    a, b = [1.0, 3.0, 3.0, 1.0], [2.0, 2.0, 4.0, 4.0, *np.linspace(0, 6, 400)]
    found = contrast(scores(a), scores(b))
    welch = oracle.ttest_ind(a, b, equal_var=False)
    assert found.se == pytest.approx(abs(np.mean(a) - np.mean(b)) / abs(welch.statistic))
    assert found.df == pytest.approx(2 / (1 / welch.df + 1 / (len(a) - 1)), rel=0.05)


@LAW
@given(draws(4, 8), draws(10, 30), st.floats(0.1, 10), st.floats(-50, 50))
def test_scale_and_shift_carry_over(a, b, scale, shift):
    one = contrast(scores(a), scores(b))
    assume(one.se > 1e-3)
    other = contrast(scores([scale * x + shift for x in a]), scores([scale * x + shift for x in b]))
    assert other.difference == pytest.approx(scale * one.difference, abs=1e-6)
    assert (other.se, other.df) == (pytest.approx(scale * one.se, rel=1e-5), pytest.approx(one.df, rel=1e-5))


@LAW
@given(draws(4, 8), draws(10, 30), st.randoms(use_true_random=False))
def test_the_order_of_repetitions_and_of_draws_decides_nothing(a, b, random):
    ours, theirs = list(scores(a).items()), list(scores(b).items())
    random.shuffle(ours)
    random.shuffle(theirs)
    assert contrast(dict(ours), dict(theirs)) == contrast(scores(a), scores(b))


def test_repetitions_that_the_reference_lacks_do_not_count():
    b = scores(np.linspace(50, 60, 30))
    a = {r: 60.0 + r for r in range(6)}
    assert contrast(a | {77: 99.0}, b) == contrast(a, b)


def test_more_draws_narrow_the_interval():
    rng = np.random.default_rng(2)
    a, b = scores(rng.normal(60, 0.3, 6)), scores(rng.normal(50, 2, 30))
    narrow, wide = minus_random(a, b).paired, paired(a, b)
    assert narrow.n == wide.n == 6
    assert narrow.high - narrow.low < 0.7 * (wide.high - wide.low)
