"""Costs of cells: medians over repetitions, and seconds that can be compared."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.core.records import Cost, Record, Seconds
from ddbench.core.store import artifacts
from ddbench.core.store.jsonl import read_records
from ddbench.publish.text.render import render
from ddbench.publish.views.cost import cost_view
from ddbench.publish.views.main import main_view
from ddbench.results.scores.scores import break_even_timer, cost_of, making_timer
from ddbench.results.tables.costs import CellCost, timer_of
from ddbench.results.tables.tables import tables_of
from ddbench.work.allocator import keep_freed
from ddbench.work.costs import charged
from ddbench.work.costs import cost_of as cost_of_node
from ddbench.work.meter import Meter, Spent
from tests.factories import cell, pair, unsealed

RECORDS = Path(__file__).parents[3] / "leaderboards/records/digits-trajectory.jsonl"
SECONDS = st.floats(0.0, 1e6)


def spent(condense=2.0, artifact=4.0, rest=1.0, **cost):
    """A condensation whose CPU seconds are half of its wall seconds."""
    wall = {"prepare_s": 0.0, "condense_s": condense, "artifact_s": artifact, "artifact_rest_s": rest}
    return {**wall, "cpu": {name: seconds / 2 for name, seconds in wall.items()}, "warm": True, **cost}


STUDENT = {"cpu": {"evaluate_s": 1.0}}


def measured(method, *costs, **fields):
    """A row of one budget, a cost per repetition."""
    return [x for r, c in enumerate(costs) for x in pair(method, 60.0, r=r, cost=c, **{"student": STUDENT, **fields})]


def the_cell(records, row="dm"):
    (table,) = tables_of(records)
    return next(one.cell for one in table.filled() if one.row.label == row).cost


def test_seconds_and_memory_are_medians_over_repetitions():
    costs = [spent(1.0, 10.0, 5.0, peak_mb=9.0, device_mb=2.0), spent(2.0, 30.0, 7.0, peak_mb=80.0, device_mb=4.0),
             spent(60.0, 20.0, 6.0, peak_mb=10.0, device_mb=90.0)]  # fmt: skip
    found = the_cell(measured("dm", *costs))
    assert (found.condense_s, found.artifact_s, found.artifact_rest_s) == (2.0, 20.0, 6.0)
    assert (found.condense_cpu_s, found.artifact_cpu_s, found.artifact_rest_cpu_s) == (1.0, 10.0, 3.0)
    assert (found.peak_mb, found.device_mb) == (10.0, 4.0)
    assert (found.condense_device_s, found.warm, found.beside) == (None, True, None)
    assert (found.making("wall"), found.making("cpu"), found.making("device")) == (22.0, 11.0, None)


def test_of_students_the_median_over_repetitions_of_their_median():
    records = [
        record
        for r, times in enumerate([(1.0, 3.0, 50.0), (4.0, 4.0, 4.0), (9.0, 2.0, 9.0)])
        for e, seconds in enumerate(times)
        for record in pair("dm", 60.0, r=r, e=e, evaluate_s=seconds, student={"cpu": {"evaluate_s": seconds / 4}})
    ]
    found = the_cell(list({record.key: record for record in records}.values()))
    assert (found.train_s, found.evaluate_s, found.train_cpu_s) == (4.0, 4.0, 1.0)


def test_a_repetition_without_cpu_seconds_leaves_the_cell_without():
    found = the_cell(measured("dm", spent(), spent(), {"condense_s": 3.0}))
    assert (found.condense_cpu_s, found.artifact_cpu_s, found.condense_s) == (None, None, 2.0)


cell_costs = st.builds(
    CellCost,
    condense_s=SECONDS | st.none(), condense_cpu_s=SECONDS | st.none(), condense_device_s=SECONDS | st.none(),
    artifact_s=SECONDS, artifact_cpu_s=SECONDS | st.none(), artifact_device_s=SECONDS | st.none(),
)  # fmt: skip


@settings(deadline=None, derandomize=True)
@given(st.lists(cell_costs, max_size=4))
def test_all_that_is_compared_has_the_seconds_it_is_compared_by(costs):
    """What was made has a number by that timer: no column holds two kinds of seconds, and none is dropped."""
    timer = timer_of(costs)
    assert all((cost.making(timer) is not None) for cost in costs if cost.condense_s is not None)
    assert timer_of(list(reversed(costs))) == timer


def test_the_best_seconds_that_all_have():
    wall = CellCost(condense_s=2.0, artifact_s=0.0)
    cpu = replace(wall, condense_cpu_s=1.0, artifact_cpu_s=0.0)
    gpu = replace(cpu, condense_device_s=0.5, artifact_device_s=0.0)
    reference = CellCost(train_s=3.0)
    assert [timer_of(those) for those in ([], [wall], [cpu, cpu], [gpu], [cpu, wall], [cpu, reference])] == [
        "wall", "wall", "cpu", "device", "wall", "cpu"
    ]  # fmt: skip
    assert timer_of([gpu, cpu]) == "wall", "CPU seconds of what ran on a GPU are not those of the work"
    assert timer_of([cpu, reference], ("train",)) == "wall"


# ------------------------------------------------------------------------------------------------------------- tables


def test_a_table_shows_cpu_seconds_where_all_sets_have_them_and_says_so():
    records = measured("dm", *[spent(4.0, 6.0)] * 3) + measured("random", *[spent(0.0, 0.0, 0.0)] * 3)
    (table,) = tables_of(records)
    view = main_view(table)
    assert view.grid[0][2:] == ["condense CPU s", "artifact CPU s", "peak MB", "bytes"]
    row = next(line for line in view.grid if line[0] == "dm")
    assert row[2:4] == ["2.0", "3.0"]
    notes = " ".join(view.notes)
    assert "CPU seconds to prepare and condense" in notes and "not measured" not in notes


def test_one_row_of_before_makes_all_of_a_table_wall_seconds_and_is_named():
    records = measured("dm", *[spent(4.0, 6.0)] * 3) + cell("old", [50.0] * 3)
    (table,) = tables_of(records)
    view = main_view(table)
    assert view.grid[0][2:4] == ["condense wall s", "artifact wall s"]
    assert [line[2] for line in view.grid[1:]] == ["4.0", "1.2"]
    assert "wall seconds, because CPU seconds were not measured: old" in " ".join(view.notes)
    assert (making_timer(table), break_even_timer(table)) == ("wall", "wall")


def test_rows_that_ran_beside_others_are_named():
    records = measured("dm", *[spent(beside=0), spent(beside=2)]) + measured("random", *[spent(beside=0)] * 2)
    (table,) = tables_of(records)
    assert "not made with --jobs 1, but beside up to 2 other nodes of ddbench: dm" in " ".join(main_view(table).notes)
    alone = measured("dm", *[spent(beside=0)] * 2)
    assert "--jobs" not in main_view(tables_of(alone)[0]).notes[-1]


def test_what_repetition_minus_1_took_is_in_no_column_and_the_view_says_so():
    reported = measured("dm", spent(4.0, 6.0, peak_mb=9.0))
    choosing = pair("dm", 60.0, r=-1, cost=spent(4000.0, 6000.0, peak_mb=9000.0), evaluate_s=500.0, student=STUDENT)
    (alone,), (both,) = tables_of(reported), tables_of(reported + list(choosing))
    assert cost_view(both).grid == cost_view(alone).grid
    said = "where repetition −1 chose the learning rate, no column has its set and its student"
    assert said in cost_view(alone).notes


def test_break_even_and_the_front_are_by_cpu_seconds_where_all_have_them():
    full = cell("full", [97.0] * 3, evaluate_s=1000.0, student={"cpu": {"evaluate_s": 11.0}})
    rows = measured("dm", *[spent(40.0, 20.0)] * 3) + measured(
        "dc", *[{**spent(1.0, 0.0), "cpu": {"condense_s": 500.0, "artifact_s": 0.0}}] * 3
    )
    (table,) = tables_of(full + rows)
    found = {line.row: line for line in cost_of(table)}
    assert found["dm"].break_even == pytest.approx(20 / (11 - 1))
    assert found["dm"].break_even_with_artifacts == pytest.approx(30 / (11 - 1))
    assert ("seconds" in found["dm"].pareto, "seconds" in found["dc"].pareto) == (True, False)
    old = tables_of(cell("full", [97.0] * 3, evaluate_s=1000.0) + rows)[0]
    assert (making_timer(old), break_even_timer(old)) == ("cpu", "wall")
    assert {line.row: line for line in cost_of(old)}["dm"].break_even == pytest.approx(40 / (1000 - 4))
    notes = render([old], "markdown", views=["cost"])
    assert "training on the set is not faster; by wall seconds" in notes and "as 1 MB at least; by CPU seconds" in notes


def test_the_rest_of_pools_stands_apart_and_in_no_total():
    records = measured("mtt", *[spent(2.0, 4.0, 96.0)] * 3) + measured("dm", *[spent(2.0, 0.0, 0.0)] * 3)
    line = next(x for x in csv.DictReader(io.StringIO(render(tables_of(records), "csv"))) if x["row"] == "mtt")
    told = {
        name: float(line[name]) for name in ("artifact_s", "artifact_rest_s", "artifact_cpu_s", "artifact_rest_cpu_s")
    }
    assert told == {"artifact_s": 4.0, "artifact_rest_s": 96.0, "artifact_cpu_s": 2.0, "artifact_rest_cpu_s": 48.0}
    documents = json.loads(render(tables_of(records), "json", views=["cost"]))
    (mtt,) = (x for x in documents[-1]["lines"] if x["row"] == "mtt")
    assert (mtt["artifact_rest_s"], mtt["condense_cpu_s"], mtt["condense_device_s"], mtt["beside"]) == (
        96.0,
        1.0,
        None,
        None,
    )
    shown = render(tables_of(records), "markdown", views=["cost"])
    assert "rest CPU s" in shown and "rest CPU s" not in render(tables_of(records[-6:]), "markdown", views=["cost"])


# ----------------------------------------------------------------------------------------------------- old records


def test_records_of_before_are_read_and_their_cpu_seconds_are_not_known():
    found = read_records(RECORDS)
    assert all(record.cost.cpu is None and record.cost.beside is None and not record.cost.warm for record in found)
    assert all(record.train_s("cpu") is None for record in found if record.kind == "evaluation")
    for table in tables_of(found):
        assert making_timer(table) == "wall"
        assert any("CPU seconds were not measured: all rows" in note for note in main_view(table).notes)


def test_new_fields_survive_json():
    made, _ = pair("mtt", 60.0, cost=spent(beside=1, device={"condense_s": 0.5, "artifact_s": None}))
    again = Record.from_json(made.to_json(), "here")
    assert again == made
    assert again.cost.cpu is not None and again.cost.cpu.artifact_rest_s == 0.5
    old = unsealed(pair("dm", 50.0)[0])
    for name in ("cpu", "device", "artifact_rest_s", "warm", "device_mb", "beside"):
        del old["cost"][name]
    cost = Record.from_json(json.dumps(old), "here").cost
    assert (cost.cpu, cost.artifact_rest_s, cost.warm) == (None, None, False)
    assert cost.by("wall") is not None and cost.by("wall").condense_s == 1.0


# ------------------------------------------------------------------------------------------------ what a node is charged


def pool(monkeypatch, **costs):
    """Artifacts that are built, by name, with these manifest costs."""
    monkeypatch.setattr(artifacts, "manifest", lambda kind, key: {"cost": costs[kind]})
    return {name: (name, "key") for name in costs}


def test_a_node_is_charged_for_its_share_of_every_artifact(monkeypatch):
    used = pool(
        monkeypatch, experts={"seconds": 100.0, "cpu_seconds": 40.0}, features={"seconds": 8.0, "cpu_seconds": 4.0}
    )
    assert charged(used, "wall", {"experts": 0.25}) == (33.0, 75.0)
    assert charged(used, "cpu", {"experts": 0.25, "features": 0.5}) == (12.0, 32.0)
    assert charged(used, "device", {"experts": 0.25}) == (None, None)
    assert charged(used, "wall", None) == (108.0, None)
    assert charged({}, "device", {}) == (0.0, 0.0)


def test_a_pool_of_before_has_no_cpu_seconds_and_an_imported_one_none_to_charge(monkeypatch):
    assert charged(pool(monkeypatch, experts={"seconds": 9.0}), "cpu", {}) == (None, None)
    assert charged(pool(monkeypatch, experts={"seconds": 0.0}), "cpu", {}) == (0.0, 0.0)


@settings(deadline=None, derandomize=True)
@given(SECONDS, st.floats(0.0, 1.0))
def test_what_can_be_opened_and_the_rest_are_the_whole(seconds, share):
    with pytest.MonkeyPatch.context() as patch:
        opened, rest = charged(pool(patch, experts={"seconds": seconds}), "wall", {"experts": share})
    assert opened + rest == pytest.approx(seconds)
    assert min(opened, rest) >= 0.0


def test_the_set_that_a_node_starts_from_is_charged_like_an_artifact(monkeypatch):
    used = pool(monkeypatch, experts={"seconds": 10.0, "cpu_seconds": 4.0})
    start = Cost(prepare_s=1.0, condense_s=2.0, artifact_s=50.0, cpu=Seconds(prepare_s=0.5, condense_s=1.0))
    taken = Spent(seconds={"wall": {"condense": 7.0}, "cpu": {"condense": 6.0}})
    cost = cost_of_node(taken, Meter(0.0), used, steps=1, shares={"experts": 0.5}, starts=[start])
    assert (cost.artifact_s, cost.artifact_rest_s, cost.condense_s) == (5.0 + 3.0, 5.0, 7.0)
    assert cost.cpu is not None and cost.cpu.artifact_s == 2.0 + 1.5, "its artifacts are charged by themselves"
    before = Cost(condense_s=2.0)
    cost = cost_of_node(taken, Meter(0.0), used, steps=1, shares={"experts": 0.5}, starts=[before])
    assert cost.artifact_s == 7.0 and cost.cpu is not None and cost.cpu.artifact_s is None, "nobody read that timer"


def test_a_record_says_what_every_timer_that_was_read_said(monkeypatch):
    used = pool(monkeypatch, experts={"seconds": 10.0, "cpu_seconds": 4.0})
    meter = Meter(0.0)
    taken = Spent(
        seconds={"wall": {"prepare": 1.0, "condense": 5.0}, "cpu": {"condense": 2.0}}, peak_mb=7.0, beside=1, attempts=2
    )
    found = cost_of_node(taken, meter, used, steps=9, shares={"experts": 0.5})
    assert found == Cost(
        prepare_s=1.0, condense_s=5.0, artifact_s=5.0, artifact_rest_s=5.0, steps=9, peak_mb=7.0, warm=True,
        kept=keep_freed() == "kept", peak_from=meter.peak_from, beside=1, attempts=2,
        cpu={"condense_s": 2.0, "artifact_s": 2.0, "artifact_rest_s": 2.0},
    )  # fmt: skip
    assert found.device is None
    old = cost_of_node(replace(taken, seconds={"wall": {"evaluate": 3.0}}), meter, {}, steps=1)
    assert (old.cpu, old.evaluate_s, old.artifact_rest_s) == (None, 3.0, None)
