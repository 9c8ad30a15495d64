"""What a run says of itself: for how long it goes on, a clock that never stands still, a table before `full`."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from ddbench.library import progress
from ddbench.library.progress import Progress
from tests.unit.plan.test_planner import planned


class Clock:
    """Seconds that a test lets pass."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def nodes():
    found = planned(methods=["dm"], profile="short").pending()
    for node in found:
        node.forecast_s = 5.0 if node.is_reference else 1.0
    return found


class Screen:
    """What stands on stderr by now."""

    def __init__(self, capsys):
        self.capsys, self.text = capsys, ""

    def __str__(self):
        self.text += self.capsys.readouterr().err
        return self.text


@pytest.fixture
def screen(capsys):
    return Screen(capsys)


def watch(nodes, style="plain", jobs=1, **more):
    clock = Clock()
    watching = Progress(style, clock=clock, **more)
    watching.expect("so many nodes", nodes, jobs)
    return watching, clock


def test_where_nobody_knows_how_many_run_at_once_the_pace_so_far_tells_what_is_left(nodes, screen):
    watching, clock = watch(nodes, jobs=None)
    assert watching.left()[0] is None
    work = sum(node.forecast_s for node in nodes)
    clock.now += 300.0  # in the queue of a cluster
    for node in nodes:
        watching.begin(node)
        node.state = "cached"
        watching.end(node)
        work -= node.forecast_s
        done = sum(node.forecast_s for node in nodes) - work
        left = watching.left()[0]
        assert (left is None) == (done < progress.ENOUGH * (work + done))
        assert left is None or left == pytest.approx(300.0 * work / done)


def test_what_never_ran_here_is_no_pace(nodes, screen):
    """Students whose set failed, and nodes of others, end without having begun."""
    watching, clock = watch(nodes, jobs=None)
    clock.now += 60.0
    for node in nodes[: len(nodes) // 2]:
        node.state = "failed"
        watching.end(node)
    assert watching.left()[0] is None


@pytest.mark.parametrize("style", ["plain", "bar"])
def test_a_reference_that_is_not_measured_is_no_node_that_was_done(nodes, screen, style):
    *others, last = [node for node in nodes if not node.is_reference] + [node for node in nodes if node.is_reference][
        :1
    ]
    watching, _ = watch(others, style=style)
    for node in others:
        watching.begin(node)
        node.state = "cached"
        watching.end(node)
    last.state = "unmeasured"
    watching.end(last)
    assert (watching.done, watching.total) == (len(others), len(others))
    last.state = "cached"  # it was, after all
    watching.end(last)
    assert (watching.done, watching.total) == (len(others) + 1, len(others) + 1)
    if style == "bar":
        assert (watching._nodes.n, watching._nodes.total) == (len(others) + 1, len(others) + 1)
    watching.close()


def test_one_small_node_is_no_pace(nodes, screen):
    watching, clock = watch(nodes, jobs=None)
    first, *others = nodes
    first.forecast_s, others[0].forecast_s = 0.01, 1000.0
    clock.now += 60.0
    watching.begin(first)
    first.state = "cached"
    watching.end(first)
    assert watching.left()[0] is None
    assert "left" not in str(screen)


def test_what_is_left_shrinks_as_time_passes_and_as_nodes_end(nodes, screen):
    watching, clock = watch(nodes)
    left = [watching.left()[0]]
    assert left[0] == sum(node.forecast_s for node in nodes)
    for node in nodes:
        watching.begin(node)
        clock.now += 1.0
        left.append(watching.left()[0])
        clock.now += 100.0  # longer than forecast: no less than nothing is left of it
        left.append(watching.left()[0])
        node.state = "cached"
        watching.end(node)
        left.append(watching.left()[0])
    assert left == sorted(left, reverse=True) and left[-1] == 0.0
    assert left[1] == left[0] - 1.0


def test_what_is_left_in_several_processes_is_what_the_nodes_must_wait_for(nodes, screen):
    one_after_the_other = sum(node.forecast_s for node in nodes)
    assert one_after_the_other / 2 < watch(nodes, jobs=2)[0].left()[0] < one_after_the_other, "students wait for sets"
    assert watch(nodes, jobs=1000)[0].left()[0] == 1.0 + 5.0 + 5.0, "full, the choice of its learning rate, its student"


def test_nodes_of_which_nothing_is_known_are_counted_and_not_guessed(nodes, screen):
    for node in nodes[2:]:
        node.forecast_s = None
    watching, _ = watch(nodes)
    assert watching.left() == (2.0, len(nodes) - 2)
    nodes[0].state = "cached"
    watching.end(nodes[0])
    assert f"about 1 s left, {len(nodes) - 2} nodes of unknown length" in str(screen)
    for node in nodes:
        node.forecast_s = None
    assert "about" not in watching._left_text()


def test_lines_of_json_have_the_forecast(nodes, screen):
    watching, _ = watch(nodes, "json")
    watching.begin(nodes[0])
    nodes[0].state = "cached"
    watching.end(nodes[0])
    plan, _, end = map(json.loads, str(screen).splitlines())
    total = sum(node.forecast_s for node in nodes)
    assert plan == {"event": "plan", "nodes": len(nodes), "forecast_s": total, "unknown": 0}
    assert (end["left_s"], end["unknown"]) == (total - nodes[0].forecast_s, 0)


@pytest.mark.parametrize("style", ["plain", "bar"])
def test_the_other_rows_are_shown_while_one_waits_for_full(nodes, screen, style):
    watching, _ = watch(nodes, style, so_far=lambda: "THE TABLE\n")
    last = [node for node in nodes if node.is_reference]
    watching.only_references(last)
    watching.close()
    shown = str(screen)
    assert shown.index("all rows but `full`") < shown.index("not the final table") < shown.index("THE TABLE")
    assert shown.index("THE TABLE") < shown.index("end of the table without `full`")


@pytest.mark.parametrize("why", ["short", "unknown", "json"])
def test_the_other_rows_are_not_shown_for_a_moment(nodes, screen, why):
    def never():
        raise AssertionError("shown")

    watching, _ = watch(nodes, "json" if why == "json" else "plain", so_far=never)
    last = [node for node in nodes if node.is_reference]
    for node in last:
        node.forecast_s = {"short": progress.WORTH_S / len(last) / 2, "unknown": None}.get(why, 1e6)
    watching.only_references(last)
    assert "the final table" not in str(screen)


def test_the_clock_goes_on_while_nothing_happens(nodes, screen, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH_S", 0.01)
    watching, clock = watch(nodes, "bar")
    watching.begin(nodes[0])

    def told(text):
        patience = time.monotonic() + 60.0
        while text not in str(screen) and time.monotonic() < patience:
            time.sleep(0.01)
        return text in str(screen)

    total = sum(node.forecast_s for node in nodes)
    assert told(f"about {total:.0f} s left")
    clock.now += nodes[0].forecast_s
    assert told(f"about {total - nodes[0].forecast_s:.0f} s left")
    watching.close()


def test_the_inner_bar_says_what_it_counts(nodes, screen):
    watching, _ = watch(nodes, "bar")
    watching.begin(nodes[0])
    watching.progress(nodes[0].key, 7, 50, "epochs of the proxy net", {})
    watching._running[nodes[0].key].bar.refresh()
    watching.close()
    assert "7 of 50 epochs of the proxy net" in str(screen)


NOTEBOOK = """
import sys, types
kernel = types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: kernel)
sys.modules["ipykernel.zmqshell"] = types.ModuleType("zmqshell")  # which version of tqdm looks for what
sys.modules["ipywidgets"] = None
from ddbench.library.progress import Progress
bars = Progress("bar", 2)
bars.close()
"""


def test_a_notebook_without_ipywidgets_has_bars_of_text_and_no_warning():
    run = subprocess.run(
        [sys.executable, "-W", "always::tqdm.TqdmWarning", "-c", NOTEBOOK], capture_output=True, text=True
    )
    assert run.returncode == 0 and "nodes:   0%" in run.stderr and "IProgress" not in run.stderr, run.stderr
