"""The cross-architecture table: what stands in it, and what a row without all students may not claim."""

from __future__ import annotations

from ddbench.publish.text.render import render
from ddbench.publish.views.students import students_view
from ddbench.results.scores.cross import cross_tables
from ddbench.results.tables.tables import tables_of
from tests.factories import cell


def grid(records):
    (cross,) = cross_tables(tables_of(records))
    return students_view(cross).grid


def students(label, **scores):
    return [record for arch, values in scores.items() for record in cell(label, values, eval_arch=f"{arch}-in")]


def test_a_line_holds_each_student_their_mean_the_worst_and_the_spread():
    records = students("dm", mlp=[40.0, 42.0], vgg11=[60.0, 70.0]) + students(
        "random", mlp=[30.0, 30.0], vgg11=[50.0, 50.0]
    )
    header, random, dm = grid(records)
    assert header == ["method", "mlp-in", "vgg11-in", "mean", "worst", "spread"]
    assert dm == ["dm", "41.0", "65.0", "53.0 ± 4.2 (2)", "41.0", "24.0"]
    assert random == ["random", "30.0", "50.0", "40.0 ± 0.0 (2)", "30.0", "20.0"]


def test_a_row_without_all_students_has_no_summary():
    records = students("dm", mlp=[40.0], vgg11=[60.0]) + students("kmeans", mlp=[50.0])
    rows = {line[0]: line for line in grid(records)}
    assert rows["kmeans"] == ["kmeans", "50.0", "–", "–", "–", "–"]


def test_students_with_other_repetitions_are_summarised_over_those_that_all_have():
    both = [*cell("dm", [40.0, 41.0], eval_arch="mlp-w128-nn"), *cell("dm", [60.0, 61.0, 90.0])]
    (cross,) = cross_tables(tables_of(both))
    assert students_view(cross).grid[-1][-3:] == ["50.5 ± 0.7 (2)", "40.5", "20.0"]
    apart = [*cell("dm", [40.0], eval_arch="mlp-w128-nn"), *cell("dm", [60.0, 61.0])[2:]]
    (cross,) = cross_tables(tables_of(apart))
    assert students_view(cross).grid[-1][-3:] == ["–"] * 3


def test_budgets_and_protocols_have_tables_of_their_own():
    records = students("dm", mlp=[40.0], vgg11=[60.0])
    more = [r for arch in ("mlp", "vgg11") for r in cell("dm", [70.0], eval_arch=f"{arch}-in", ipc=10)]
    other = [r for arch in ("mlp", "vgg11") for r in cell("dm", [70.0], eval_arch=f"{arch}-in", protocol="native")]
    assert len(cross_tables(tables_of(records + more + other))) == 3


def test_one_student_makes_none():
    assert cross_tables(tables_of(cell("dm", [40.0, 41.0]))) == []
    assert "students" not in render(tables_of(cell("dm", [40.0])), "markdown").replace("student", "", 1)


def test_it_follows_the_tables_in_both_formats():
    tables = tables_of(students("dm", mlp=[40.0], vgg11=[60.0]))
    for style in ("table", "markdown"):
        assert "worst student" in render(tables, style).split("\n\n")[-1]
