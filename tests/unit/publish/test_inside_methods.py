"""What methods say about their runs: in the record, and in a table of its own on demand."""

from __future__ import annotations

import json

import pytest

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


def test_nothing_said_makes_no_table():
    tables = tables_of(cell("dm", [40.0, 41.0]))
    assert render(tables, "table", details=True) == render(tables, "table")
