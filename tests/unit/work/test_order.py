"""What runs first where several nodes run at once: the critical path sets the time of a run, and no result changes.

An executor with a clock of its own plays the run: a node takes the seconds that a test says.
"""

from __future__ import annotations

import math

import pytest

from ddbench.core.records import Cost
from ddbench.core.store.folder import CONDENSE, SET, Store, evaluation_path, write_record
from ddbench.plan.graph import Plan
from ddbench.plan.order import longest_first, seconds_left, until_done_s
from ddbench.plan.status import assess
from ddbench.work.attempt import Outcome
from ddbench.work.executors.base import Resources
from ddbench.work.executors.schedule import Schedule
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Beats
from tests.unit.plan.test_planner import planned
from tests.unit.work.test_schedule import Watching, cell, evaluation, record_of


class Played:
    """Nodes end when their seconds (:func:`seconds_of`) have passed on this clock."""

    claims = False

    def __init__(self, nodes, slots, store):
        self.nodes, self.slots, self.store = {node.key: node for node in nodes}, slots, store
        self.now, self.ends, self.begun = 0.0, {}, []

    def has_room(self, resources):
        return True

    def submit(self, document, resources):
        node = self.nodes[document.key]
        assert len(self.ends) < self.slots
        assert all(self.nodes[need].state == "cached" for need in node.needs)
        self.begun.append((node.title, self.now))
        self.ends[node.key] = self.now + seconds_of(node)
        return node.key

    def poll(self, wait_s):
        key = min(self.ends, key=self.ends.__getitem__)
        self.now, node = self.ends.pop(key), self.nodes[key]
        if node.kind == "artifact":
            return [(key, Outcome(status="ok"))]
        took = {"evaluate_s" if node.kind == "evaluation" else "condense_s": seconds_of(node)}
        cost = Cost(**took, steps=max(1, node.steps) * (node.document.students if node.kind == "evaluation" else 1))
        record = record_of(node).model_copy(update={"cost": cost})
        if node.kind == "evaluation":
            write_record(evaluation_path(self.store.folder(node.document.set), key), record)
        else:
            folder = self.store.folder(node.document)
            (folder / "eval").mkdir(parents=True)
            (folder / SET).touch()
            write_record(folder / CONDENSE, record)
        return [(key, Outcome.of(record))]

    def cancel(self, handle):
        pass

    def close(self):
        pass


def play(plan, store, slots, *, limit=1800.0, parallel=True):
    executor = Played(plan.nodes.values(), slots, store)
    Schedule(
        plan, store, executor, lambda document: Resources(), Interrupts(), Beats(Watching()), limit,
        parallel=parallel,
    ).run()  # fmt: skip
    return executor


@pytest.fixture(autouse=True)
def _home(fresh_home):
    """No artifact or claim of another test."""


def forecasts(nodes, **seconds):
    for node in nodes:
        node.forecast_s = seconds.get(node.title)
    return Plan(None, {node.key: node for node in nodes})


def order(plan):
    return [node.title for node in longest_first(plan.pending(), seconds_left(plan.pending()))]


def test_a_node_counts_with_the_longest_way_from_it_to_the_end():
    nodes = [cell("a"), cell("b"), cell("c"), evaluation("ea", "a"), evaluation("eb", "b", "ea"), evaluation("ec", "c")]
    plan = forecasts(nodes, a=1.0, b=4.0, c=2.0, ea=3.0, eb=5.0, ec=8.0)
    left = {plan.nodes[key].title: seconds for key, seconds in seconds_left(nodes).items()}
    assert left == {"a": 9.0, "b": 9.0, "c": 10.0, "ea": 8.0, "eb": 5.0, "ec": 8.0}
    assert order(plan) == ["c", "a", "b", "ea", "ec", "eb"], "equal ones in the order of the plan"


def test_what_nothing_is_known_of_comes_first_and_so_does_what_leads_to_it():
    nodes = [cell("a"), cell("b"), cell("c"), evaluation("eb", "b")]
    plan = forecasts(nodes, a=100.0, b=1.0, eb=None)
    assert order(plan) == ["b", "c", "eb", "a"]
    assert seconds_left(nodes)[nodes[0].key] == 100.0 < math.inf


def test_what_is_done_already_counts_no_more():
    nodes = [cell("a"), evaluation("ea", "a"), cell("b")]
    plan = forecasts(nodes, a=1.0, ea=9.0, b=2.0)
    nodes[1].state = "cached"
    assert order(plan) == ["b", "a"]


def seconds_of(node):
    """About what nodes of the README's first command take: dm some seconds, students by updates and batch."""
    if node.kind != "evaluation":
        return 5.0 if node.title.startswith("dm") else 0.1
    document = node.document
    batch = min(256, document.facts.n)
    return 0.00008 * node.steps * (32 + batch) * document.students


@pytest.fixture
def readme(tmp_path, monkeypatch):
    """Plans the README's first command, each time where nothing is done."""

    def start(name):
        monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / name / "home"))
        made = planned(methods=["random", "kmeans", "herding", "dm"], budget={"ipc": [1, 10]}, profile="short")
        store = Store(tmp_path / name / "runs")
        assess(made, store)
        return made, store

    return start


def chain(made, name):
    """Seconds of the longest chain of nodes in which a title starts so."""
    ends = {}
    for node in made.nodes.values():
        ends[node.key] = seconds_of(node) + max((ends[need] for need in node.needs), default=0.0)
    return max(ends[node.key] for node in made.nodes.values() if node.title.startswith(name))


@pytest.mark.parametrize("slots", [2, 4, 8])
def test_full_begins_where_nothing_else_can_begin(readme, slots):
    made, store = readme("first")
    nodes = {node.title: node for node in made.nodes.values()}
    seconds = {title: seconds_of(node) for title, node in nodes.items()}
    found = play(made, store, slots)
    begun = dict(found.begun)
    assert sorted(begun) == sorted(nodes), "each once"
    full = [title for title, node in nodes.items() if node.is_reference]
    for title in begun.keys() - set(full):
        ready = max((begun[need] + seconds[need] for need in needs_of(made, nodes[title])), default=0.0)
        assert not [one for one in full if ready < begun[one] < begun[title]], f"{title} could have begun before"
    early = min(begun[title] for title in full) < max(begun[title] for title in begun.keys() - set(full))
    assert early == (slots == 8), "fewer are never idle before"
    if slots == 2:
        assert max(begun[title] + seconds[title] for title in begun.keys() - set(full)) < 0.6 * found.now
    assert found.now <= bound(made, slots)


def needs_of(made, node):
    return [made.nodes[key].title for key in node.needs]


def bound(made, slots):
    """Graham's: no order in which no process is idle without need takes longer (Bell Syst. Tech. J. 45, 1966)."""
    seconds, longest = sum(map(seconds_of, made.nodes.values())), chain(made, "")
    return (seconds + (slots - 1) * longest) / slots + 1e-9


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 8, 100])
def test_when_all_is_done_is_told_before(readme, slots, monkeypatch):
    def forecast(plan, speeds=None):
        for node in plan.pending():
            node.forecast_s = seconds_of(node)

    monkeypatch.setattr("ddbench.work.executors.schedule.forecast", forecast)
    made, store = readme("told")
    forecast(made)
    told = until_done_s(made.pending(), slots)
    assert sum(map(seconds_of, made.nodes.values())) / slots <= told + 1e-9
    assert chain(made, "") <= told <= bound(made, slots)
    assert play(made, store, slots, parallel=slots > 1).now == pytest.approx(told)
    assert until_done_s(made.pending(), slots) == 0.0


def test_what_runs_already_goes_on_first_and_what_is_not_known_takes_no_time():
    nodes = [cell("a"), cell("b"), cell("c"), evaluation("ea", "a"), evaluation("eb", "b", "ea")]
    forecasts(nodes, a=4.0, b=3.0, c=6.0, ea=1.0, eb=None)
    assert until_done_s(nodes, 1) == 14.0
    assert until_done_s(nodes, 2) == 9.0, "a and b, then c, beside it ea"
    assert until_done_s(nodes, 3) == 6.0
    assert until_done_s(nodes, 2, {nodes[2].key: 5.0, nodes[1].key: 7.0}) == 5.0, "c for a second, a, ea"
    assert until_done_s([], 4) == 0.0


def test_one_process_keeps_to_the_plan(readme):
    made, store = readme("one")
    found = play(made, store, 1, parallel=False)
    assert [title for title, _ in found.begun] == [node.title for node in made.nodes.values()]


@pytest.mark.parametrize(
    ("limit", "measured", "early"), [(1000.0, True, True), (600.0, True, False), (300.0, False, False)]
)
def test_a_reference_that_could_break_its_limit_waits_for_the_best_forecast(readme, limit, measured, early):
    made, store = readme("one")
    full = [node for node in made.nodes.values() if node.is_reference]
    assert 300 < sum(map(seconds_of, full)) < 500, "twice that is between the others"
    titles = [title for title, _ in play(made, store, 8, limit=limit).begun]
    begun = [titles.index(node.title) for node in full if node.title in titles]
    assert len(begun) == (len(full) if measured else 0), "as a whole or not at all"
    assert {node.state for node in full} == {"cached" if measured else "unmeasured"}
    assert (min(begun, default=math.inf) < len(titles) - len(full)) == early


def test_a_run_that_is_played_twice_has_one_order(readme):
    first, second = (play(*readme(name), 3) for name in ("first", "second"))
    assert first.begun == second.begun
