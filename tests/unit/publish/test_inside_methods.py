"""What methods say about their runs: in the record, and in a table of its own on demand."""

from __future__ import annotations

import json

import pytest

from ddbench.blocks.said import SAID
from ddbench.publish.text.render import render
from ddbench.publish.views.inside_methods import details_view
from ddbench.results.tables.tables import tables_of
from tests.factories import cell


def told(label, scores, metrics, **where):
    """Records of a cell whose repetitions said ``metrics``."""
    records = cell(label, scores, **where)
    made = [record for record in records if record.kind == "condense"]
    for record, said in zip(made, metrics, strict=True):
        record.metrics.update(said)
    return records


@pytest.fixture
def tables():
    two = told("mtt", [50.0, 52.0], [{"loss": 0.25, "skipped": 1.0}, {"loss": 0.75}])
    return tables_of([*two, *cell("dm", [40.0, 41.0])])


def test_a_line_holds_means_of_what_all_repetitions_said(tables):
    assert details_view(tables[0]).grid == [["method", "budget", "loss"], ["mtt", "ipc 1 (0.8 %)", "0.5"]]


def test_the_table_is_there_on_demand_alone(tables):
    for style in ("table", "markdown"):
        assert "inside the methods" not in render(tables, style)
        assert "inside the methods" in render(tables, style, details=True)
    cells = [c for row in json.loads(render(tables, "json"))[0]["rows"] for c in row["cells"]]
    assert [c["details"] for c in cells] == [{"loss": 0.5}, {}]


def test_where_nothing_is_said_that_is_said():
    tables = tables_of(cell("dm", [40.0, 41.0]))
    told = render(tables, "table", details=True).removeprefix(render(tables, "table"))
    assert told.split("\n")[-2:] == ["nothing to show: no method says anything about its runs", ""]


KNOWN = {
    "c": 0.723, "c_sd": 0.041, "matching_loss": 0.41234, "accepted_steps": 198.0, "lr_first": 0.03, "lr_last": 0.04125,
    "pixel_moved": 0.2134, "moved_percent": 34.06, "window_first_top1": 8.8, "window_last_top1": 91.25,
}  # fmt: skip


def test_what_is_known_stands_together_under_short_headers_with_its_meaning_below():
    view = details_view(tables_of(told("mtt", [50.0, 52.0], [{**KNOWN, "own": 1.5}] * 2))[0])
    assert view.grid == [
        ["method", "budget", "window %", "c", "loss", "accepted", "β", "pixels moved", "own"],
        ["mtt", "ipc 1 (0.8 %)", "8.8–91.2", "0.72 ± 0.04", "0.412", "198", "0.03 → 0.0413", "0.213 sd, 34.1 %", "1.5"],
    ]
    (shown,) = (each for each in view.columns if each.header == "c")
    assert (shown.value(view.rows[0]), shown.sort(view.rows[0])) == (pytest.approx(0.723), 0.72)
    assert [note.partition(":")[0] for note in view.notes] == [*view.grid[0][2:-1]]
    assert all(len(note) > len(header) + 10 for note, header in zip(view.notes, view.grid[0][2:], strict=False))


def test_numbers_of_which_a_row_has_a_part_only_stand_alone():
    records = [*told("mtt", [50.0], [{"c": 0.7, "c_sd": 0.1}]), *told("theirs", [50.0], [{"c": 0.6}])]
    assert details_view(tables_of(records)[0]).grid == [
        ["method", "budget", "c", "c_sd"], ["mtt", "ipc 1 (0.8 %)", "0.7", "0.1"], ["theirs", "ipc 1 (0.8 %)", "0.6", "–"]
    ]  # fmt: skip


def test_every_kind_of_number_has_one_place():
    names = [name for quantity in SAID for name in quantity.names]
    assert len(set(names)) == len(names)
    assert len({quantity.header for quantity in SAID}) == len(SAID)
    for quantity in SAID:
        places = [quantity.pattern.count(f"{{{i}}}") for i in range(len(quantity.names))]
        assert places == [1] * len(quantity.names)
        assert quantity.meaning


@pytest.mark.parametrize(
    ("said", "marked"),
    [
        ({}, False), ({"accepted_steps": 49.0}, True), ({"accepted_steps": 50.0, "skipped_percent": 20.0}, False),
        ({"accepted_steps": 500.0, "skipped_percent": 20.5}, True), ({"skipped_percent": 75.0}, True),
    ],
)  # fmt: skip
def test_a_cell_is_as_run_where_one_of_its_sets_is(said, marked):
    (table,) = tables_of(told("mtt", [50.0, 52.0], [{"accepted_steps": 90.0, "skipped_percent": 1.0}, said]))
    (found,) = [one.cell for one in table.filled() if one.row.label == "mtt"]
    assert found.as_run == marked
