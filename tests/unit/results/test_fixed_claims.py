"""Claims fixed beforehand: contrasts by hand, tests by scipy, Holm by hand, and what gets no verdict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ddbench.core.errors import UsageError
from ddbench.results.scores.claims_file import ClaimsFile
from ddbench.results.scores.fixed_claims import findings
from ddbench.results.stats.claims import all_above, contrast_power, judge, one_sided, some_below
from ddbench.results.stats.contrasts import Contrasts, paired_contrasts
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, change, pair, skipped

SHAKE = np.array([0.3, -0.8, 0.5, -0.2, 0.9, -0.6, 0.1, -0.4, 0.7, -0.5])


def contrasts(*differences):
    """The contrasts of one claim."""
    return Contrasts.stacked([paired_contrasts(one) for one in differences])


def around(mean, n=10, scale=1.0):
    """n differences of this mean."""
    errors = SHAKE[:n] - SHAKE[:n].mean()
    return mean + scale * errors


def held(records, *claims):
    """The findings on claims, given as tuples (plus, minus, budgets) each."""
    content = [
        {
            "name": f"claim {i}",
            "holds_if": [dict(zip(("plus", "minus", "budgets"), one, strict=True)) for one in claim],
        }
        for i, claim in enumerate(claims)
    ]
    return findings(ClaimsFile.model_validate({"claims": content}), tables_of(records))


def row(method, mean, n=10, scale=1.0, *, order=1, ipc=1, **fields):
    return cell(method, list(mean + scale * np.roll(SHAKE[:n], order)), ipc=ipc, **fields)


# --- tests and verdicts


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(-30, 30), min_size=3, max_size=12).filter(lambda xs: len(set(xs)) > 1))
def test_p_is_that_of_the_one_sided_t_test(differences):
    found = contrasts([x / 7 for x in differences])
    assert one_sided(found)[0] == pytest.approx(
        stats.ttest_1samp(np.array(differences) / 7, 0.0, alternative="greater").pvalue, rel=1e-6, abs=1e-12
    )


@pytest.mark.parametrize(("difference", "p"), [(0.5, 0.0), (0.0, 1.0), (-0.5, 1.0)])
def test_without_spread_a_contrast_is_above_zero_or_not(difference, p):
    assert one_sided(contrasts([difference] * 6))[0] == p


def test_the_weakest_contrast_decides_whether_all_are_above_zero():
    strong, weak = around(2.0), around(0.2)
    assert all_above(contrasts(strong, weak)) == pytest.approx(
        stats.ttest_1samp(weak, 0.0, alternative="greater").pvalue
    )


def test_the_strongest_contrast_below_zero_decides_whether_some_is_times_their_number():
    low, high = around(-0.3), around(2.0)
    assert some_below(contrasts(low, high, around(0.1))) == pytest.approx(3 * stats.ttest_1samp(low, 0.0).pvalue)
    assert some_below(contrasts(high)) == 1.0


def test_the_largest_p_of_each_claim_is_adjusted_for_all_claims_of_the_file():
    """Holm by hand: the smallest of four times 4, the next times 3, each at least as large as the one before."""
    means = (0.9, 0.4, 0.42, 0.25)
    p = [stats.ttest_1samp(around(mean), 0.0, alternative="greater").pvalue for mean in means]
    first, third, second, fourth = 4 * p[0], 3 * p[2], 2 * p[1], p[3]
    wanted = [first, max(first, third, second), max(first, third), max(first, third, second, fourth)]
    found = judge([contrasts(around(mean), around(3.0)) for mean in means])
    assert [one.p for one in found] == pytest.approx(wanted)
    assert [one.outcome for one in found] == ["holds" if x < 0.05 else "not shown" for x in wanted]
    assert {one.outcome for one in found} == {"holds", "not shown"}


def test_what_cannot_be_judged_counts_among_the_claims():
    weak = around(0.42)
    p = stats.ttest_1samp(weak, 0.0, alternative="greater").pvalue
    assert 0.05 / 3 < p < 0.05 / 1
    alone, beside = judge([contrasts(weak)]), judge([contrasts(weak), None, contrasts(around(5.0, n=6))])
    assert (alone[0].outcome, beside[0].outcome) == ("holds", "not shown")
    assert beside[0].p == pytest.approx(3 * p)
    assert beside[1] is None
    assert (beside[2].outcome, beside[2].p) == ("undecided", None), "six repetitions, and three claims need seven"


def test_a_claim_is_refuted_by_one_contrast_that_is_below_zero():
    """One of two contrasts must be below zero with a two-sided p below .025."""
    (found,) = judge([contrasts(around(3.0), around(-1.0))])
    assert (found.outcome, found.p) == ("refuted", pytest.approx(1.0, abs=0.01))
    slight = around(-0.45)
    assert 0.025 < stats.ttest_1samp(slight, 0.0).pvalue < 0.05
    (found,) = judge([contrasts(around(3.0), slight)])
    assert found.outcome == "not shown"


@settings(deadline=None, derandomize=True)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=5), st.floats(0, 3))
def test_what_is_added_to_every_repetition_never_makes_a_claim_less_likely(means, more):
    before, after = (judge([contrasts(around(mean + by)) for mean in means]) for by in (0.0, more))
    assert all(b.p <= a.p + 1e-12 and b.p_opposite >= a.p_opposite - 1e-12 for a, b in zip(before, after, strict=True))


def test_power_is_that_of_the_non_central_t():
    found = contrasts(around(0.1, scale=0.5))
    ratio = 0.5 / stats.sem(around(0.1, scale=0.5))
    wanted = 1 - stats.nct.cdf(stats.t.ppf(1 - 0.05 / 4, 9), 9, ratio)
    assert contrast_power(found, 4)[0] == pytest.approx(wanted)
    assert contrast_power(contrasts([0.1] * 6), 4)[0] == pytest.approx(1.0)


# --- contrasts of tables


def test_a_contrast_is_the_mean_over_rows_and_budgets_in_each_repetition():
    rng = np.random.default_rng(0)
    scores = {(name, ipc): 50 + 10 * rng.random(8) for name in "abcd" for ipc in (1, 10)}
    records = [x for (name, ipc), own in scores.items() for x in cell(name, list(own), ipc=ipc)]
    (found,) = held(records, [(["a", "b"], ["c"], ["ipc 1", "ipc 10"]), (["d"], ["a", "c"], ["ipc 10"])])
    plus = np.mean([scores[name, ipc] for name in "ab" for ipc in (1, 10)], axis=0)
    first = plus - np.mean([scores["c", ipc] for ipc in (1, 10)], axis=0)
    second = scores["d", 10] - (scores["a", 10] + scores["c", 10]) / 2
    for one, wanted in zip(found.measured, (first, second), strict=True):
        assert one.difference == pytest.approx(wanted.mean())
        assert one.interval == pytest.approx(stats.t.interval(0.95, 7, wanted.mean(), stats.sem(wanted)))
        assert one.p == pytest.approx(stats.ttest_1samp(wanted, 0.0, alternative="greater").pvalue)
        assert one.n == 8


def test_the_repetitions_that_all_cells_have_count():
    (found,) = held(row("a", 60.0, n=10) + row("random", 50.0, n=7, order=2), [(["a"], ["random"], ["ipc 1"])])
    wanted = np.roll(SHAKE, 1)[:7] + 10 - np.roll(SHAKE[:7], 2)
    assert (found.n, found.verdict) == (7, "holds")
    assert found.measured[0].difference == pytest.approx(wanted.mean())


def test_too_few_repetitions_leave_a_claim_undecided_and_say_how_many_would_do():
    records = row("a", 60.0, n=6) + row("b", 50.0, n=6, order=2)
    one, other = held(records, [(["a"], ["b"], ["ipc 1"])], [(["b"], ["a"], ["ipc 1"])])
    assert (one.verdict, other.verdict) == ("undecided: n = 6 of 7",) * 2
    (alone,) = held(records, [(["a"], ["b"], ["ipc 1"])])
    assert alone.verdict == "holds"


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ((["aum"], ["b"], ["ipc 1"]), "not measured: no row aum"),
        ((["a"], ["b"], ["ipc 1", "5 %"]), "not measured: no budget 5 %"),
        ((["a", "aum"], ["b"], ["ipc 1", "ipc 50"]), "not measured: no row aum; no budget ipc 50"),
        ((["a"], ["c"], ["ipc 10"]), "not measured: no c at ipc 10"),
        ((["a"], ["b"], ["ipc 10"]), "not measured: b at ipc 10 is not complete (nan)"),
        ((["late"], ["b"], ["ipc 1"]), "not measured: late at ipc 1 is not complete (skipped)"),
        ((["theirs"], ["b"], ["ipc 1"]),
         "not measured: theirs at ipc 1 was not measured here with a set of this size"),
        ((["a"], ["full"], ["ipc 1"]), "not measured: full stands at no budget"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_and_nothing_is_judged(claim, verdict):
    records = row("a", 60.0) + row("a", 80.0, ipc=10) + row("b", 50.0) + cell("b", [70.0, None], ipc=10)
    records += row("c", 50.0) + row("theirs", 55.0, source="imported") + cell("full", [97.0] * 10)
    records += skipped("late", "too slow", ipc=1)
    (found,) = held(records, [claim])
    assert (found.verdict, found.judged, found.measured) == (verdict, None, (None,))


def test_cells_without_a_repetition_in_common_are_not_compared():
    kept = {"a": (0, 1, 2), "b": (3, 4, 5)}
    both = row("a", 60.0, n=6) + row("b", 50.0, n=6)
    records = [record for record in both if record.document.set.cell.r in kept[record.document.label]]
    (found,) = held(records, [(["a"], ["b"], ["ipc 1"])])
    assert found.verdict == "not measured: no repetition that all cells of a − b at ipc 1 have"


def test_rows_whose_repetitions_share_an_artifact_have_an_interval_and_no_verdict():
    experts = {"artifacts": {"experts": ["experts", "e" * 64]}}
    records = row("mtt", 60.0, **experts) + row("datm", 60.0, **experts) + row("b", 50.0, order=2)
    shared, plain = held(records, [(["mtt", "datm"], ["b"], ["ipc 1"])], [(["b"], ["mtt"], ["ipc 1"])])
    why = "no verdict: mtt, datm: all repetitions share one artifact (experts)"
    assert (shared.verdict, shared.judged) == (why, None)
    (measured,) = shared.measured
    assert (measured.p, measured.power) == (None, None) and measured.interval is not None
    assert plain.judged is None


def test_a_claim_about_runs_with_too_few_steps_is_one_about_these_runs():
    records = row("mtt", 60.0) + row("b", 50.0, order=2)
    for record in records:
        if record.kind == "condense" and record.document.label == "mtt":
            record.metrics["accepted_steps"] = 1
    (found,) = held(records, [(["mtt"], ["b"], ["ipc 1"])])
    assert (found.as_run, found.verdict) == (True, "holds (as run)")


# --- several tables, and what sets took


def one_claim(records, where, *contrasts):
    claim = {"name": "x", "where": where, "holds_if": list(contrasts)}
    (found,) = findings(ClaimsFile.model_validate({"claims": [claim]}), tables_of(records))
    return found


def test_a_difference_of_differences_is_half_of_it():
    """What a row gains over random at one size, less what it gains at another: cells of both on both sides."""
    rng = np.random.default_rng(1)
    scores = {(name, ipc): 50 + 10 * rng.random(8) for name in ("dm", "random") for ipc in (1, 10)}
    records = [x for (name, ipc), own in scores.items() for x in cell(name, list(own), ipc=ipc)]
    terms = {
        "plus": [{"rows": ["dm"], "budgets": ["ipc 1"]}, {"rows": ["random"], "budgets": ["ipc 10"]}],
        "minus": [{"rows": ["random"], "budgets": ["ipc 1"]}, {"rows": ["dm"], "budgets": ["ipc 10"]}],
    }
    found = one_claim(records, {}, terms)
    gain = {ipc: scores["dm", ipc] - scores["random", ipc] for ipc in (1, 10)}
    wanted = (gain[1] - gain[10]) / 2
    assert found.measured[0].difference == pytest.approx(wanted.mean())
    assert found.measured[0].p == pytest.approx(stats.ttest_1samp(wanted, 0.0, alternative="greater").pvalue)
    said = found.claim.holds_if[0].text
    assert said == "dm at ipc 1 and random at ipc 10 − random at ipc 1 and dm at ipc 10"


def test_a_term_may_stand_in_another_table_than_its_claim():
    other = {"eval_arch": "convnet2-w32-nn"}
    records = row("a", 60.0) + row("a", 50.0, order=2, **other)
    found = one_claim(
        records, {"eval_arch": "convnet2-w32-in"},
        {"plus": ["a"], "minus": [{"rows": ["a"], "where": other}], "budgets": ["ipc 1"]},
    )  # fmt: skip
    assert found.verdict == "holds" and len(found.tables) == 2
    assert found.measured[0].difference == pytest.approx(10.0 + np.mean(np.roll(SHAKE, 1) - np.roll(SHAKE, 2)))
    assert found.claim.holds_if[0].text == "a − a (eval_arch convnet2-w32-nn) at ipc 1"
    away = one_claim(
        records, {"eval_arch": "convnet2-w32-in"},
        {"plus": ["a"], "minus": [{"rows": ["a"], "where": {"protocol": "soft"}}], "budgets": ["ipc 1"]},
    )  # fmt: skip
    assert away.verdict == "not measured: no table of eval_arch convnet2-w32-in, protocol soft"


def spending(method, seconds, peak, n=8):
    return [
        x
        for r in range(n)
        for x in pair(method, 50.0 + r, r=r, cost={
            "cpu": {"prepare_s": 0.0, "condense_s": seconds * 1.1 ** (r % 3), "artifact_s": 1.0},
            "peak_mb": peak * 1.05 ** (r % 2),
        })
    ]  # fmt: skip


@pytest.mark.parametrize(("measure", "base"), [("cpu_s", (20.0, 5.0)), ("peak_mb", (300.0, 100.0))])
def test_what_sets_took_is_compared_by_the_logarithm_of_ratios(measure, base):
    records = spending("mtt", 20.0, 300.0) + spending("dm", 5.0, 100.0)
    contrast = {"plus": ["mtt"], "minus": ["dm"], "budgets": ["ipc 1"], "measure": measure}
    found = one_claim(records, {}, contrast)
    if measure == "cpu_s":
        wanted = [np.log((20 * 1.1 ** (r % 3) + 1) / (5 * 1.1 ** (r % 3) + 1)) for r in range(8)]
    else:
        wanted = [np.log(base[0] / base[1])] * 8
    assert found.measured[0].difference == pytest.approx(np.mean(wanted))
    assert found.verdict == "holds"
    back = one_claim(records, {}, {**contrast, "plus": ["dm"], "minus": ["mtt"]})
    assert back.verdict == "refuted"


def test_what_nobody_measured_of_a_set_is_not_compared():
    records = row("a", 60.0) + row("b", 50.0)
    found = one_claim(records, {}, {"plus": ["a"], "minus": ["b"], "budgets": ["ipc 1"], "measure": "cpu_s"})
    assert found.verdict == "not measured: CPU seconds of a at ipc 1; CPU seconds of b at ipc 1"


# --- the table


def whole(where, records):
    claim = {"name": "x", "where": where, "holds_if": [{"plus": ["a"], "minus": ["b"], "budgets": ["ipc 1"]}]}
    (found,) = findings(ClaimsFile.model_validate({"claims": [claim]}), tables_of(records))
    return found


def two(**fields):
    return row("a", 60.0, **fields) + row("b", 50.0, order=2, **fields)


PLACES = [
    ({"protocol": "soft"}, {"protocol": "soft"}),
    ({"protocol": "soft"}, {"protocol": "soft@1"}),
    ({"eval_arch": "mlp-w128-nn"}, {"eval_arch": "mlp-w128-nn"}),
    ({"data": {"name": "mnist", "revision": "1" * 16}}, {"dataset": "mnist"}),
    ({"preprocess": "zca-kornia"}, {"preprocess": "zca-kornia"}),
    ({"profile": "paper"}, {"profile": "paper"}),
    ({"data": {"split": "paper"}}, {"split": "paper"}),
]


@pytest.mark.parametrize(("other", "where"), PLACES, ids=str)
def test_a_claim_says_which_of_several_tables_it_is_about(other, where):
    records = two() + row("b", 60.0, **other) + row("a", 50.0, order=2, **other)
    assert whole(where, records).verdict == "refuted"
    with pytest.raises(UsageError, match=r"claim 'x' fits 2 tables \(.*; .*\): say which under `where`"):
        whole({}, records)


def test_a_table_that_is_not_there_is_not_measured():
    assert whole({"protocol": "soft", "dataset": "mnist"}, two()).verdict == (
        "not measured: no table of dataset mnist, protocol soft"
    )


def test_configurations_of_a_tuning_run_are_no_results():
    records = two()
    for record in records:
        change(record, data={"split": "tune"})
    assert whole({}, records).verdict == "not measured: no table"
