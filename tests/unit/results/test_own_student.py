"""Rows whose students start from an initial state of their own are shown, and decide nothing about others."""

from __future__ import annotations

import pytest

from ddbench.results.scores.ranking import rankings
from ddbench.results.scores.scores import cost_of
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, decided

OWN = {"own_student": True}
SCORES = [90.0, 91.5, 90.5, 91.0, 92.0, 90.2]


def table(*more):
    (found,) = tables_of([*decided(), *more])
    return found


@pytest.fixture(scope="module")
def beside():
    """With a row that would win everything."""
    return table(*cell("own", SCORES, facts=OWN))


def test_it_stands_behind_the_methods_with_its_score(beside):
    assert [row.label for row in beside.rows] == ["random", "dm", "datm", "own"]
    row = beside.rows[-1]
    assert row.cells[0].summary.mean == pytest.approx(sum(SCORES) / 6) and not row.competes
    (note,) = [beside.footnotes[mark - 1] for mark in row.marks]
    assert note.startswith("own: from its own initial state")


def test_verdicts_bold_type_and_places_are_those_without_it(beside):
    alone = table()
    assert beside.families == alone.families
    shown = {row.label: (row.cells[0].bold, row.cells[0].rank) for row in beside.rows}
    assert shown.pop("own") == (False, None)
    assert shown == {row.label: (row.cells[0].bold, row.cells[0].rank) for row in alone.rows}
    assert beside.versus_random == alone.versus_random
    assert rankings([beside]) == rankings([alone]) != []


def test_it_is_on_no_front_and_in_no_claim(beside):
    assert all(not line.pareto for line in cost_of(beside) if line.row == "own")
    assert any(line.pareto for line in cost_of(beside))


def test_nothing_but_the_declared_fact_keeps_it_apart():
    found = table(*cell("own", SCORES))
    assert found.rows[-1].competes and found.rows[-1].cells[0].rank is not None
    assert found.families[0].rows == ("own", "datm", "dm")


def test_a_twin_that_starts_from_it_is_apart_as_well():
    twin = {**OWN, "role": {"kind": "twin", "of": ["own"]}}
    records = [*cell("own", SCORES, facts=OWN), *cell("random", SCORES, label="random (recipe of own)", facts=twin)]
    found = table(*records)
    assert not any(row.cells[0].ranked for row in found.rows[-2:])
    assert found.versus_random == table().versus_random
    assert [note.partition(": ")[0] for note in found.footnotes] == ["own, random (recipe of own)"]
