"""What a node is expected to need: what its kind needed, else its data."""

from __future__ import annotations

import pytest

from ddbench.plan.memory import Peaks, in_memory
from tests.unit.plan.test_planner import finished, nodes, planned


def recorded(made, node, host, device=None, **more):
    record = finished(made, node, 1.0, 10, **more)
    record.cost.peak_mb, record.cost.device_mb = host, device
    return record


def one(made, kind, title):
    return next(node for node in nodes(made, kind) if node.title.startswith(title))


def test_what_was_never_seen_needs_its_images_as_bytes_and_as_floats():
    made = planned(methods=["dm", "kmeans"])
    sizes = in_memory(made.grid.data)
    assert sizes == {"digits": pytest.approx(1497 * 8 * 8 * (1 + 4) / 2**20)}
    for node in made.nodes.values():
        assert Peaks(sizes).of(node.document) == (sizes["digits"], sizes["digits"])
        assert Peaks().of(node.document) == (0.0, 0.0)


def test_the_largest_peak_of_a_kind_and_budget_counts_on_either_side():
    made = planned(methods=["dm"], budget={"ipc": [1, 2, 10]})
    small, middle, large = (one(made, "cell", f"dm ipc {n} ") for n in (1, 2, 10))
    peaks = Peaks({"digits": 7.0})
    for record in (
        recorded(made, large, 50.0, 3.0),
        recorded(made, large, 40.0, 5.0),
        recorded(made, small, 20.0, 4.0),
    ):
        peaks.add(record)
    assert peaks.of(small.document) == (20.0, 4.0)
    assert peaks.of(large.document) == (50.0, 5.0)
    assert peaks.of(middle.document) == (40.0, 5.0), "as much as ten, or twice as much as one, if that is less"
    assert peaks.of(one(made, "cell", "random").document) == (7.0, 7.0), "another method"
    assert peaks.of(one(made, "evaluation", "dm").document) == (7.0, 7.0)


def test_a_student_of_all_images_says_nothing_of_one_of_a_few():
    made = planned(methods=["dm"])
    few, whole = one(made, "evaluation", "dm"), one(made, "evaluation", "full")
    peaks = Peaks({"digits": 7.0})
    peaks.add(recorded(made, whole, 900.0))
    assert peaks.of(whole.document) == (900.0, 7.0)
    assert peaks.of(few.document) == (7.0, 7.0)


def test_what_ran_out_of_memory_counts_and_a_run_for_tests_does_not():
    made = planned(methods=["dm"])
    cell = one(made, "cell", "dm")
    peaks = Peaks({"digits": 7.0})
    peaks.add(recorded(made, cell, 80.0, profile="smoke"))
    assert peaks.of(cell.document) == (7.0, 7.0)
    peaks.add(recorded(made, cell, 60.0).model_copy(update={"status": "oom", "reason": "out of memory"}))
    assert peaks.of(cell.document) == (60.0, 7.0)


def test_what_was_not_measured_is_not_taken_for_nothing():
    made = planned(methods=["dm"])
    cell = one(made, "cell", "dm")
    peaks = Peaks({"digits": 7.0})
    peaks.add(recorded(made, cell, 0.0))
    assert peaks.of(cell.document) == (7.0, 7.0)
