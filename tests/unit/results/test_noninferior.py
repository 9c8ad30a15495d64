"""Laws of the non-inferiority test over repetitions and test images; sums written out are the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from ddbench.results.stats import against_full, non_inferior
from ddbench.results.stats.noninferior import crossed, within

LAW = settings(deadline=None, derandomize=True, max_examples=40)


@st.composite
def matrices(draw):
    n, n_test = draw(st.integers(2, 9)), draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rep, img, inter = (draw(st.sampled_from([0.0, 0.1, 0.4])) for _ in range(3))
    drawn = rep * rng.normal(size=(n, 1)) + img * rng.normal(size=(1, n_test)) + inter * rng.normal(size=(n, n_test))
    return np.clip(drawn, -1, 1)


def mean_squares(matrix):
    """Of repetitions, images and their interaction, cell by cell."""
    n, n_test = matrix.shape
    grand = matrix.mean()
    rep = sum(n_test * (row.mean() - grand) ** 2 for row in matrix) / (n - 1)
    img = sum(n * (column.mean() - grand) ** 2 for column in matrix.T) / (n_test - 1)
    rest = sum(
        (matrix[r, t] - matrix[r].mean() - matrix[:, t].mean() + grand) ** 2 for r in range(n) for t in range(n_test)
    )
    return rep, img, rest / ((n - 1) * (n_test - 1))


@LAW
@given(matrices())
def test_the_standard_error_is_that_of_the_crossed_layout(matrix):
    n, n_test = matrix.shape
    rep, img, inter = mean_squares(matrix)
    found = crossed(matrix)
    by_rep, by_img = matrix.mean(axis=1).var(ddof=1), matrix.mean(axis=0).var(ddof=1)
    formula = max(by_rep / n + by_img / n_test - inter / (n * n_test), by_rep / n)
    assert (found.se / 100) ** 2 == pytest.approx(formula, abs=1e-12)
    assert found.difference == pytest.approx(100 * matrix.mean(), abs=1e-9)
    components = (max(0, rep - inter) / n_test, max(0, img - inter) / n, inter)
    assert [(sd / 100) ** 2 for sd in (found.sd_rep, found.sd_img, found.sd_int)] == pytest.approx(
        components, abs=1e-12
    )
    assert n - 1 - 1e-9 <= found.df or img > inter


def test_satterthwaite_written_out():
    matrix = np.random.default_rng(1).normal(size=(6, 50)) * 0.2 + np.random.default_rng(2).normal(size=50) * 0.4
    rep, img, inter = mean_squares(matrix)
    expected = (rep + img - inter) ** 2 / (rep**2 / 5 + img**2 / 49 + inter**2 / (5 * 49))
    assert crossed(matrix).df == pytest.approx(expected)


def test_without_variation_over_images_it_is_the_t_test_of_the_repetitions():
    accuracies = np.array([0.011, -0.002, 0.004, 0.019, -0.006, 0.003])
    found = within(crossed(np.repeat(accuracies[:, None], 40, axis=1)), 0.5)
    expected = oracle.ttest_1samp(100 * accuracies, -0.5, alternative="greater")
    assert found.crossed.df == 5
    assert found.p == pytest.approx(expected.pvalue)
    assert found.low == pytest.approx(expected.confidence_interval(0.95).low)


def test_without_variation_over_repetitions_it_is_the_t_test_of_the_images():
    images = np.random.default_rng(3).normal(0, 0.3, 200)
    found = within(crossed(np.repeat(images[None, :], 6, axis=0)), 0.5)
    expected = oracle.ttest_1samp(100 * images, -0.5, alternative="greater")
    assert found.crossed.df == pytest.approx(199, rel=1e-6)
    assert found.p == pytest.approx(expected.pvalue)


def test_the_variance_is_right_on_average_and_so_are_the_components():
    rng, found = np.random.default_rng(0), []
    for _ in range(3000):
        drawn = 0.02 * rng.normal(size=(6, 1)) + 0.15 * rng.normal(size=(1, 60)) + 0.25 * rng.normal(size=(6, 60))
        found.append(crossed(drawn))
    truth = 0.02**2 / 6 + 0.15**2 / 60 + 0.25**2 / 360
    assert np.mean([(one.se / 100) ** 2 for one in found]) == pytest.approx(truth, rel=0.03)
    assert np.var([one.difference / 100 for one in found]) == pytest.approx(truth, rel=0.08)
    assert np.mean([(one.sd_int / 100) ** 2 for one in found]) == pytest.approx(0.25**2, rel=0.02)
    assert np.mean([(one.sd_img / 100) ** 2 for one in found]) == pytest.approx(0.15**2, rel=0.05)


def test_a_set_that_is_worse_by_the_margin_is_rarely_found_as_good():
    rng, runs = np.random.default_rng(4), 1500
    wrong = sum(
        within(
            crossed(
                -0.005 + 0.002 * rng.normal(size=(6, 1)) + 0.05 * rng.normal(size=(1, 300)) + 0.1 * rng.normal(size=(6, 300))
            ),
            0.5,
        ).p < 0.05
        for _ in range(runs)
    )  # fmt: skip
    assert 0.03 < wrong / runs < 0.07


def test_the_power_is_how_often_equal_ones_are_found_as_good():
    rng = np.random.default_rng(6)
    found = [
        within(crossed(0.003 * rng.normal(size=(6, 1)) + 0.03 * rng.normal(size=(6, 200))), 0.5) for _ in range(1500)
    ]
    se = 100 * np.sqrt(0.003**2 / 6 + 0.03**2 / 1200)
    truth = oracle.nct.sf(oracle.t.ppf(0.95, 5), 5, 0.5 / se)
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(truth, abs=0.05)
    assert np.median([one.power() for one in found]) == pytest.approx(truth, abs=0.05)


def test_the_power_beside_a_verdict_is_that_of_both_fulls_together():
    """Each difference has half of its variance from the set, so the two are found together more often than apart."""
    rng = np.random.default_rng(7)

    def drawn():
        return 0.002 * rng.normal(size=(6, 1)) + 0.02 * rng.normal(size=(6, 200))

    found = []
    for _ in range(1500):
        ours, *fulls = drawn(), drawn(), drawn()
        found += non_inferior([{str(i): within(crossed(ours - full), 0.5) for i, full in enumerate(fulls)}])
    seen = np.mean([one.verdict == "lossless" for one in found])
    alone = within(crossed(drawn() - drawn()), 0.5)
    assert seen - 0.15 < np.mean([one.power for one in found]) < seen + 0.02
    both = non_inferior([{"one": alone, "other": alone}])[0]
    assert both.power == pytest.approx(alone.power() ** 2)


def exactly(errors, repetitions=6, examples=1000):
    """Correct but for the first ``errors`` examples."""
    return np.repeat((np.arange(examples) >= errors)[None, :], repetitions, axis=0)


def noisy(accuracy, seed, repetitions=6, examples=4000):
    hard = np.random.default_rng(99).random(examples)
    own = np.random.default_rng(seed).normal(0, 0.02, (repetitions, examples))
    return hard + own < accuracy


def judge(*claims):
    return non_inferior([{name: against_full(ours, full) for name, full in fulls.items()} for ours, fulls in claims])


def test_a_set_as_good_as_each_full_is_lossless():
    fulls = {"hard-long@2": noisy(0.9, 1), "real@1": noisy(0.9, 2)}
    (found,) = judge((noisy(0.9, 3), fulls))
    assert found.verdict == "lossless"
    assert 0.5 < found.power <= 1


def test_as_good_as_the_weaker_full_alone_is_not_enough():
    fulls = {"hard-long@2": noisy(0.88, 1), "real@1": noisy(0.9, 2)}
    (found,) = judge((noisy(0.88, 3), fulls))
    assert (found.verdict, found.hardest) == ("not shown", "real@1")


def test_the_margin_is_a_tenth_of_a_small_error():
    assert against_full(exactly(10), exactly(20)).margin == pytest.approx(0.2)
    assert against_full(exactly(10), exactly(100)).margin == pytest.approx(0.5)


def test_nothing_may_be_lost_to_a_full_without_error():
    (found,) = judge((exactly(0), {"full": exactly(0)}))
    assert (found.verdict, found.power) == ("not shown", 0.0)


def test_five_repetitions_show_nothing():
    (found,) = judge((exactly(1000, 5, 10_000), {"full": exactly(1000, 5, 10_000)}))
    assert (found.verdict, found.power) == ("not shown", 0.0)
    assert found.p < 0.01
    (found,) = judge((exactly(1000, 6, 10_000), {"full": exactly(1000, 6, 10_000)}))
    assert found.verdict == "lossless"
    assert found.power > 0.99


@pytest.mark.parametrize("n_test", [50, 300, 600])
def test_few_images_on_which_both_never_differ_show_nothing(n_test):
    one = against_full(exactly(n_test // 10, 6, n_test), exactly(n_test // 10, 6, n_test))
    (found,) = non_inferior([{"full": one}])
    assert one.crossed.difference == 0
    assert one.crossed.se == pytest.approx(100 * np.sqrt(max(0.005, 1 / n_test) / n_test))
    assert found.verdict == "not shown"
    assert found.power < 0.5


@pytest.mark.parametrize("n_test", [50, 200, 410, 550, 700, 1000, 2000, 10_000])
def test_a_set_that_loses_a_share_of_the_images_for_good_is_rarely_found_as_good(n_test):
    """Exact: the number of lost images is binomial with the margin's share."""
    full = exactly(n_test // 10, 6, n_test)
    shown = 0.0
    for lost in range(n_test // 200 + 1):
        if against_full(exactly(n_test // 10 + lost, 6, n_test), full).p >= 0.05:
            break
        shown += oracle.binom.pmf(lost, n_test, 0.005)
    assert shown <= 0.05
    assert n_test < 1000 or shown > 0


def test_claims_of_a_page_are_adjusted_together():
    """What passes alone does not pass beside others that are no better, and those do not burden what is clear."""
    rng = np.random.default_rng(8)
    drawn = 0.002 * rng.normal(size=(6, 1)) + 0.1 * rng.normal(size=(6, 4000))
    at = {
        p: within(crossed(drawn - drawn.mean() + shift), 0.5)
        for p, shift in ((0.0, 0.02), (0.03, -0.0024), (0.9, -0.02))
    }
    near, clear, bad = at[0.03], at[0.0], at[0.9]
    assert 0.025 < near.p < 0.05
    assert [one.verdict for one in non_inferior([{"full": near}])] == ["lossless"]
    assert [one.verdict for one in non_inferior([{"full": near}] * 2)] == ["not shown"] * 2
    found = non_inferior([{"full": clear}, {"full": near}, {"full": bad}])
    assert [one.verdict for one in found] == ["lossless", "not shown", "not shown"]
    assert non_inferior([{"full": near}, {"full": clear}])[0].p == pytest.approx(near.p)
    assert found[0].power < clear.power()
    assert non_inferior([]) == []


@LAW
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_repetitions_and_images_decides_nothing(seed):
    rng = np.random.default_rng(seed)
    ours, full = rng.random((6, 50)) < 0.8, rng.random((6, 50)) < 0.8
    rows, columns = rng.permutation(6), rng.permutation(50)
    one, other = against_full(ours, full), against_full(ours[rows][:, columns], full[rows][:, columns])
    assert (one.p, one.low, one.margin) == pytest.approx((other.p, other.low, other.margin))


@LAW
@given(st.integers(0, 2**32 - 1))
def test_right_and_wrong_swapped_swaps_the_sign(seed):
    rng = np.random.default_rng(seed)
    ours, full = rng.random((6, 50)) < 0.8, rng.random((6, 50)) < 0.8
    one, other = against_full(ours, full).crossed, against_full(~ours, ~full).crossed
    assert (one.difference, one.se, one.df) == pytest.approx((-other.difference, other.se, other.df))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([0.0, 1.0], "expected"),
        (np.ones((6, 0)), "expected"),
        (np.ones((1, 9)), "two or more"),
        ([[2.0, 0.0]] * 6, "0, 1"),
        ([[np.nan, 0.0]] * 6, "0, 1"),
    ],
)
def test_what_is_no_correctness_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        against_full(matrix, matrix)


def test_unequal_shapes_cannot_be_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        against_full(exactly(3), exactly(3, examples=999))
