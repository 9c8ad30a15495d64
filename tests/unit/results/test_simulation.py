"""The simulation of the statistics in small: `python benchmarks/statistics.py` runs it in full."""

from dataclasses import replace

import pytest

from benchmarks import statistics
from benchmarks.kit.scenario import ERROR, Goal, Line
from benchmarks.statistics import simulate


def test_the_statistics_keep_their_promises():
    lines = simulate(200, seed=0)
    assert not [line for line in lines if line.fails]
    assert {line.what for line in lines if line.goal} == {
        statistics.MISSES, statistics.FALSE, statistics.UNBOLD, statistics.EQUIVALENT, statistics.LOSSLESS,
        statistics.SEES_LOSSLESS, statistics.FALSE_HOLDS, statistics.FALSE_REFUTED,
    }  # fmt: skip


def test_standard_errors_that_are_too_small_are_noticed(monkeypatch):
    true = statistics.paired_contrasts

    def boastful(differences):
        found = true(differences)
        return replace(found, se=0.5 * found.se)

    monkeypatch.setattr(statistics, "paired_contrasts", boastful)
    those = statistics.intervals, statistics.families, statistics.claims
    monkeypatch.setattr(statistics, "scenarios", lambda: [one for each in those for one in each()])
    failed = {line.what for line in simulate(200, seed=0) if line.fails}
    assert failed == {
        statistics.MISSES, statistics.FALSE, statistics.UNBOLD, statistics.FALSE_HOLDS, statistics.FALSE_REFUTED
    }  # fmt: skip


@pytest.mark.parametrize(
    ("hits", "goal", "fails"),
    [
        (60, ERROR, False), (90, ERROR, True), (0, ERROR, False), (60, None, False),
        (740, Goal(0.75, power=True), False), (700, Goal(0.75, power=True), True), (1000, Goal(0.75, power=True), False),
    ],
)  # fmt: skip
def test_a_goal_is_met_when_the_interval_reaches_it(hits, goal, fails):
    assert Line("", "", hits, 1000, goal).fails == fails
