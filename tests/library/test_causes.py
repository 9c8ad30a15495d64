"""Why nodes have no result: each cause once, what waits for it counted, and the log of the first of its nodes."""

from __future__ import annotations

import pytest

from ddbench.library.causes import causes
from ddbench.work.attempt import Outcome, keep_log, read_log
from tests.unit.work.test_schedule import Scripted, artifact, cell, chains, evaluation, schedule


@pytest.fixture(autouse=True)
def _home(fresh_home):
    """No artifact or claim of another test."""


def run(tmp_path, nodes, **script):
    running = schedule(tmp_path, nodes, Scripted(nodes, **script))
    running.run()
    return causes(running.plan, running.store)


FAILED = Outcome(status="failed", reason="ValueError: boom (dm.py:3)")


def test_an_artifacts_failure_is_said_once(tmp_path):
    (found,) = run(tmp_path, chains(), a=[FAILED])
    assert found.text == "a: ValueError: boom (dm.py:3); 2 cells and 2 evaluations wait for it"
    assert found.log is None


def test_nodes_that_fail_alike_are_told_as_one(tmp_path):
    nodes = [cell("c1"), cell("c2"), evaluation("e1", "c1"), evaluation("e2", "c2"), evaluation("e3", "c2")]
    (found,) = run(tmp_path, nodes, e1=[FAILED], e2=[FAILED], e3=[FAILED])
    assert found.text == "e1 and 2 more evaluations: ValueError: boom (dm.py:3)"


def test_other_reasons_and_other_methods_are_told_apart(tmp_path):
    nodes = [cell("c1"), cell("c2"), cell("c3"), evaluation("e1", "c1")]
    nan = Outcome(status="failed", reason="the set is empty")
    found = run(tmp_path, nodes, c1=[FAILED], c2=[FAILED], c3=[nan])
    assert [one.text for one in found] == [
        "c1: ValueError: boom (dm.py:3); 1 evaluation waits for it",
        "c2: ValueError: boom (dm.py:3)",
        "c3: the set is empty",
    ]


def test_the_log_of_the_first_is_named_if_there_is_one(tmp_path):
    nodes = [artifact("a"), cell("c1", "a")]
    running = schedule(tmp_path, nodes, Scripted(nodes, a=[FAILED]))
    running.run()
    log = running.store.log(nodes[0].document)
    keep_log(log, "failed", "boom", "Traceback \udcff")
    (found,) = causes(running.plan, running.store)
    assert found.log == log and log.suffix == ".log"
    assert "failed: boom\nTraceback \\udcff\n" in read_log(log)


def test_a_plan_without_failures_has_no_causes(tmp_path):
    assert run(tmp_path, chains()) == []
