"""The pipe between a row and the processes of its sides, and what becomes of sides that fail."""

from __future__ import annotations

import pytest

from benchmarks.kit import row as rows
from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Options, Row, measured
from benchmarks.kit.turns import SideError, Worker, interleave

TOY = "tests.unit.benchmarks.toy"


def toy(*sides, goals=(), **case) -> Row:
    return Row("toy", "a toy", Case(**case), TOY, goals, sides=sides)


@pytest.fixture(autouse=True)
def _no_images(monkeypatch):
    monkeypatch.setattr(rows.data, "archive", lambda case: None)


def test_a_case_survives_the_command_line():
    case = Case("mtt", ipc=10, steps=80, device="cuda", engine="fused")
    assert Case.load(case.dump()) == case


def test_sides_take_turns_and_the_first_step_does_not_count():
    line = measured(toy("reference", "ours", goals=(Goal("ratio", 0.0),)), Options(repeats=2))
    assert line["error"] == ""
    assert list(line["sides"]) == ["reference", "ours"]
    assert len({side["repeats"] for side in line["sides"].values()}) == 1
    assert 2 <= line["sides"]["ours"]["repeats"] <= 10  # quick ones take more turns
    assert line["against"] == "reference"
    ours, loop = (line["sides"][name]["seconds"] for name in ("ours", "reference"))
    assert line["ratio"] == pytest.approx(loop / ours, rel=0.05)
    assert line["met"] is True


def test_the_peak_is_that_of_a_step_above_what_there_was_before():
    small, large = (
        measured(toy("ours", batch=mb), Options(repeats=1))["sides"]["ours"]["peak_mb"] for mb in (1, 60)
    )  # fmt: skip
    assert 50 < large - small < 80


def test_no_turn_begins_when_the_time_of_a_row_is_up():
    worker = Worker(TOY, "ours", Case())
    try:
        taken, failed = interleave({"ours": worker}, 50, box_s=0.0)
        assert (taken["ours"].repeats, failed) == (1, {})
    finally:
        worker.close()


@pytest.mark.parametrize(("side", "why"), [("broken", "StopIteration"), ("absent", "nothing to import")])
def test_a_side_that_fails_leaves_its_error_and_the_others(side, why):
    line = measured(toy(side, "ours", goals=(Goal("seconds", 0.0),)), Options(repeats=2))
    assert line["error"].startswith(f"{side}: ") and why in line["error"]
    assert list(line["sides"]) == ["ours"] and "ratio" not in line
    assert line["met"] is None


def test_a_row_that_cannot_be_measured_is_a_row_with_its_error():
    def measure(row, options):
        raise OSError("no such machine")

    line = measured(Row("toy", "a toy", Case(), TOY, (Goal("ratio", 2.0),), measure=measure), Options())
    assert (line["row"], line["error"], line["met"], line["numbers"]) == ("toy", "OSError: no such machine", None, {})


def test_the_authors_are_left_out_where_there_is_no_checkout(monkeypatch, tmp_path):
    monkeypatch.setenv("PEERS", str(tmp_path))
    line = measured(toy("authors", "ours"), Options(repeats=1))
    assert (line["error"], list(line["sides"])) == ("", ["ours"])


def test_a_side_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr("benchmarks.kit.turns.PATIENCE_S", 0.0)
    worker = Worker(TOY, "ours", Case())
    try:
        with pytest.raises(SideError, match="no answer"):
            worker.answer()
    finally:
        worker.close()


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [(Goal("ratio", 2.0), 2.0, True), (Goal("ratio", 2.0), 1.9, False), (Goal("seconds", 3.0, "≤"), 3.1, False)],
)
def test_a_goal_is_a_bound(goal, value, met):
    assert goal.met({goal.of: value}) is met
    assert goal.met({}) is None
