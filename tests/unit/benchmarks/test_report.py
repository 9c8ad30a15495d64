"""Exponents, results that are rendered again from their lines, and tables of two devices."""

from __future__ import annotations

import math

import pytest

from benchmarks import __main__ as whole
from benchmarks.devices import compared, scores
from benchmarks.kit import run
from benchmarks.kit.fit import fit
from benchmarks.kit.report import draw, report
from benchmarks.training import ROWS, flops

MACHINE = {"cpu": "a CPU", "cores": 2, "torch": "2.0", "python": "3.11", "date": "2026-01-02", "commit": "abc"}
WHERE = {"device": "cpu", "engine": "auto", "threads": 1, "machine": MACHINE, "error": "", "goals": [], "met": None}


def side(seconds, kernel=0.0, peak=0.0):
    return {"seconds": seconds, "spread": 0.0, "kernel_share": kernel, "peak_mb": peak, "first_s": 1.0, "repeats": 3}


def paired(name="dm ipc 1", **fields):
    sides = {"authors": side(2.0, 0.4, 100.0), "reference": side(1.5), "ours": side(0.5, 0.01, 50.0)}
    numbers = {"ratio": 4.0, "seconds": 0.5, "peak_mb": 50.0}
    goals = {"goals": [["ratio", "≥", 2.5]], "met": True}
    return {
        **WHERE,
        "row": name,
        "work": "a step",
        "sides": sides,
        "numbers": numbers,
        "data": "noise",
        **goals,
        **fields,
    }


def curve(exponent, name="scaling dm"):
    points = [[n, 0.1 * n**exponent, 10.0] for n in (1, 2, 4, 8)]
    numbers = {"time_exponent": exponent, "worst_fit": 1.0, "memory_exponent": 0.0}
    return {**WHERE, "row": name, "work": "a step", "axis": "images", "points": points, "numbers": numbers}


def cells(text, row):
    """The cells of a row of the table, by column."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    found = next(i for i, line in enumerate(lines) if line[0] == row)
    head = max(i for i in range(found) if lines[i][0] == "row")
    return dict(zip(lines[head], lines[found], strict=True))


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 2.0])
def test_the_exponent_of_a_power_is_found(exponent):
    found = fit([(n, 3.0 * n**exponent) for n in (1, 10, 30, 500)])
    assert found.exponent == pytest.approx(exponent, abs=1e-12)
    assert found.factor == pytest.approx(3.0)
    assert found.worst == pytest.approx(1.0)
    assert found.at(7.0) == pytest.approx(3.0 * 7.0**exponent)


def test_an_exponent_between_noisy_points_lies_within_the_noise():
    found = fit([(n, n**1.5 * (1.1 if i % 2 else 1 / 1.1)) for i, n in enumerate((1, 2, 4, 8, 16, 32))])
    assert found.exponent == pytest.approx(1.5, abs=0.1)
    assert 1.05 < found.worst < 1.25


def test_one_size_has_no_exponent():
    with pytest.raises(ValueError, match="of one size"):
        fit([(3.0, 1.0), (3.0, 2.0)])


def test_a_row_shows_all_sides_the_goal_and_whether_it_is_met():
    text = report([paired()])
    assert cells(text, "dm ipc 1") == {
        "row": "dm ipc 1", "work": "a step", "authors [s]": "2", "plain loop [s]": "1.5", "ours [s]": "0.5",
        "ratio": "4.00", "goal": "≥ 2.50", "met": "yes", "turns": "3",
        "kernel, authors / ours": "40% / 1%",
        "peak MB, authors / ours": "100 / 50",
    }  # fmt: skip
    assert "1 of 1 goals met" in text
    assert "Load average before a row: 0.5 to 3.0" in report([paired(load=0.5), paired("b", load=3.0)])
    assert "a CPU, 2 cores, torch 2.0, Python 3.11; device cpu, engine auto, threads of a process 1; 2026-01-02" in text
    assert "noise" in text


def test_a_failed_row_is_a_row_and_counts_among_no_goals():
    failed = {**WHERE, "row": "idc ipc 1", "work": "a step", "numbers": {}, "goals": [["ratio", "≥", 2.0]]}
    text = report([paired(), failed | {"error": "SideError: authors: gone"}])
    assert cells(text, "idc ipc 1")["met"] == "failed"
    assert "- idc ipc 1: SideError: authors: gone" in text
    assert "1 of 1 goals met" in text


def test_machines_that_differ_are_told_apart():
    other = paired("dm ipc 10", machine=MACHINE | {"cpu": "another CPU"})
    text = report([paired(), other])
    assert "another CPU" in text and text.index(": dm ipc 1\n") < text.index(": dm ipc 10\n")


def test_curves_have_their_exponents_and_a_picture(tmp_path):
    lines = [curve(1.5), curve(0.0, "scaling page")]
    assert cells(report(lines), "scaling dm")["exponent of time"] == "1.50"
    assert "](scaling.svg)" in report(lines)
    assert draw(lines, tmp_path / "scaling.svg")
    assert (tmp_path / "scaling.svg").read_text().count("page: 0.00") == 1
    assert not draw([paired()], tmp_path / "none.svg") and "scaling.svg" not in report([paired()])


def test_results_are_rendered_again_without_measuring(tmp_path, monkeypatch):
    run.write(tmp_path / "results.jsonl", [curve(1.0), paired()], [row.name for row in ROWS])
    monkeypatch.setattr("sys.argv", ["benchmarks", "--render", "--folder", str(tmp_path)])
    monkeypatch.setattr(run, "lines", lambda *args: pytest.fail("something was measured"))
    whole.main()
    assert (tmp_path / "RESULTS.md").read_text() == report(run.read(tmp_path / "results.jsonl"))
    assert (tmp_path / "scaling.svg").exists()


def test_new_lines_replace_those_of_the_same_row_in_the_order_of_the_rows(tmp_path):
    path, order = tmp_path / "results.jsonl", ["a", "b", "c"]
    run.write(path, [paired("c"), paired("a", work="old")], order)
    found = run.write(path, [paired("b"), paired("a", work="new")], order)
    assert [(line["row"], line["work"]) for line in found] == [("a", "new"), ("b", "a step"), ("c", "a step")]
    assert run.read(path) == found


def test_rows_are_chosen_by_name_or_by_first_word():
    assert [row.name for row in run.chosen(ROWS, "training w32")] == ["training w32"]
    assert run.chosen(ROWS, "training") == ROWS == run.chosen(ROWS, "")
    with pytest.raises(SystemExit, match="no row 'train'"):
        run.chosen(ROWS, "train")


def test_every_row_has_a_name_of_its_own_and_sides_that_exist():
    import importlib

    rows = [row for name in whole.MODULES for row in importlib.import_module(f"benchmarks.{name}").ROWS]
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        module = importlib.import_module(row.module) if row.module else None
        assert module is None or all(callable(getattr(module, name)) for name in row.sides), row.name


def test_operations_of_a_training_step_are_those_that_torch_counts():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from ddbench.models import build_model

    case = ROWS[1].case
    net = build_model(case.arch, channels=1, classes=10, size=case.size, seed=0)
    with FlopCounterMode(display=False) as counted:
        torch.nn.functional.cross_entropy(net(torch.randn(4, 1, 28, 28)), torch.arange(4)).backward()
    assert counted.get_total_flops() / 4 == pytest.approx(flops(case), rel=0.02)


def test_tables_of_two_devices_agree_within_the_tolerance():
    first = scores("row,budget,mean\ndm,ipc 1,90.5\nrandom,ipc 1,\nherding,ipc 1,80\n")
    assert first == {("dm", "ipc 1"): 90.5, ("herding", "ipc 1"): 80.0}
    found = compared(first, {("dm", "ipc 1"): 88.0, ("kmeans", "ipc 1"): 70.0}, tolerance=3.0)
    assert [(row, wrong) for row, *_, wrong in found] == [("dm", ""), ("herding", "differs"), ("kmeans", "differs")]
    assert found[0][4] == 2.5 and math.isnan(found[1][4])
