"""Laws of the two-level bootstrap and of the lossless verdict; scipy.stats is the oracle."""

import numpy as np
import pytest
from scipy import stats as oracle

from ddbench.results.stats import bootstrap, bootstrap_difference, lossless

RNG = np.random.default_rng(7)
EXPANDED = 2 * oracle.norm.cdf(-np.sqrt(6 / 5) * oracle.t.ppf(0.975, 5))
"""What the percentiles of six repetitions leave out."""


def noisy(accuracy, repetitions=6, examples=300, seed=0):
    return np.random.default_rng(seed).random((repetitions, examples)) < accuracy


def percentiles_by_scipy(values):
    found = oracle.bootstrap(
        (values,), np.mean, method="percentile", confidence_level=1 - EXPANDED, n_resamples=20_000, rng=1
    ).confidence_interval
    return 100 * found.low, 100 * found.high


def test_without_variation_over_examples_it_is_scipys_bootstrap_of_the_repetitions():
    accuracies = np.array([0.5031, 0.5217, 0.5549, 0.6103, 0.5824, 0.5382])
    found = bootstrap(np.repeat(accuracies[:, None], 40, axis=1), resamples=20_000)
    assert (found.low, found.high) == pytest.approx(percentiles_by_scipy(accuracies), abs=0.25)
    assert found.estimate == pytest.approx(100 * accuracies.mean())
    assert (found.n, found.n_test) == (6, 40)


def test_without_variation_over_repetitions_it_is_scipys_bootstrap_of_the_examples():
    examples = RNG.random(200) < 0.8
    found = bootstrap(np.repeat(examples[None, :], 6, axis=0), resamples=20_000)
    assert (found.low, found.high) == pytest.approx(percentiles_by_scipy(examples.astype(float)), abs=0.6)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng, covered, trials = np.random.default_rng(3), 0, 200
    for trial in range(trials):
        easiness, strength = rng.normal(0, 1, 150), rng.normal(0, 0.3, 6)
        matrix = rng.normal(size=(6, 150)) < easiness + strength[:, None] + 0.8
        truth = 100 * oracle.norm.cdf(0.8 / np.sqrt(1 + 1 + 0.3**2))
        found = bootstrap(matrix, resamples=400, seed=trial)
        covered += found.low <= truth <= found.high
    assert covered / trials >= 0.93


def test_equal_input_gives_equal_intervals_and_the_seed_decides():
    matrix = noisy(0.7)
    assert bootstrap(matrix) == bootstrap(matrix)
    assert bootstrap(matrix) != bootstrap(matrix, seed=1)


def test_a_difference_is_paired_by_example_and_flips_with_its_arguments():
    a, b = noisy(0.7), noisy(0.6, seed=1)
    assert bootstrap_difference(a, a).low == bootstrap_difference(a, a).high == 0.0
    forth, back = bootstrap_difference(a, b), bootstrap_difference(b, a)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.estimate == pytest.approx(100 * (a.mean() - b.mean()))


def test_five_repetitions_have_no_interval():
    assert bootstrap(noisy(0.7, repetitions=5)) is None
    assert bootstrap_difference(noisy(0.7, repetitions=5), noisy(0.7, repetitions=5)) is None


@pytest.mark.parametrize(
    ("matrix", "message"),
    [([0.0, 1.0], "expected"), (np.ones((6, 0)), "expected"), ([[2.0]] * 6, "0, 1"), ([[np.nan]] * 6, "0, 1")],
)
def test_what_is_no_correctness_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(matrix)


def test_unequal_shapes_cannot_be_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        bootstrap_difference(noisy(0.7), noisy(0.7, examples=299))


def exactly(errors, repetitions=6, examples=1000):
    """Correct but for the first ``errors`` examples."""
    return np.repeat((np.arange(examples) >= errors)[None, :], repetitions, axis=0)


def judge(correct, fulls=None, **fields):
    given = {
        "real": "real@1",
        "protocol": "hard-long@1",
        "preprocess": "meanstd",
        "full_preprocess": "meanstd",
        **fields,
    }
    known = {"hard-long@1": exactly(120), "real@1": exactly(100)} if fulls is None else fulls
    return lossless(correct, known, **given)


def test_a_set_as_good_as_the_best_full_is_lossless():
    found = judge(exactly(100))
    assert found.verdict == "lossless"
    assert found.best_full == "real@1"
    assert found.margin == pytest.approx(0.5)
    assert (found.interval.low, found.interval.high) == (0.0, 0.0)


def test_the_margin_is_a_tenth_of_a_small_error():
    few = {"hard-long@1": exactly(10), "real@1": exactly(20)}
    found = judge(exactly(10), few)
    assert found.best_full == "hard-long@1"
    assert found.margin == pytest.approx(0.1)


def test_as_good_as_the_weaker_full_alone_is_not_enough():
    assert judge(exactly(120)).verdict == "not shown"


def test_an_interval_that_reaches_beyond_the_margin_shows_nothing():
    noise = np.random.default_rng(0).random((6, 1000)) < 0.9
    found = judge(noise)
    assert found.interval.low < -found.margin
    assert found.verdict == "not shown"


@pytest.mark.parametrize(
    ("correct", "fields", "why"),
    [
        (exactly(0), {"protocol": "hard@1", "real": None}, "evaluated under hard@1"),
        (exactly(0), {"full_preprocess": "zca-kornia"}, "preprocessing"),
        (exactly(0), {"fulls": {"hard-long@1": exactly(100)}}, "full was not measured under real@1"),
    ],
)
def test_a_missing_condition_is_named_and_nothing_is_shown(correct, fields, why):
    found = judge(correct, **fields)
    assert found.verdict == "not shown"
    assert why in found.why


def test_five_repetitions_cannot_show_losslessness():
    fulls = {name: exactly(100, repetitions=5) for name in ("hard-long@1", "real@1")}
    assert "fewer than 6" in judge(exactly(0, repetitions=5), fulls).why
