"""Rows that differ from random in labels alone: where hard labels are learned they say so, and nothing is trained."""

from __future__ import annotations

import pytest

from ddbench.core.errors import UsageError
from ddbench.data.exchange.params import ImportedParams
from ddbench.publish.text.render import render
from ddbench.results.scores.ranking import rankings
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, skipped
from tests.unit.plan.test_planner import nodes, planned, rows

SAME = "= random (labels only)"


def evaluations(made, row, protocol):
    return [entry for entry in made.entries if (entry.row, entry.table.protocol) == (row, protocol)]


def test_under_hard_labels_its_cells_name_what_it_equals_and_no_student_is_trained():
    made = planned(methods=["label_solve", "dm"], protocols=["hard-fixed", "krr-fc1"], budget={"ipc": [1, 2]})
    hard = evaluations(made, "label_solve", "hard-fixed@1")
    assert len(hard) > 1 and {entry.skip for entry in hard} == {SAME}
    assert all(entry.evaluation is None and entry.cell is None for entry in hard)
    learned = evaluations(made, "label_solve", "krr-fc1@1")
    assert all(entry.skip is None and entry.evaluation in made.nodes for entry in learned)
    trained = {node.document.label for node in nodes(made, "evaluation") if node.document.eval.protocol == "hard-fixed"}
    assert trained == {"full", "random", "dm"}


def test_its_set_is_not_made_for_them_alone():
    made = planned(methods=["label_solve", "dm"], protocols=["hard-fixed"])
    assert "label_solve" in rows(made)
    assert not [node for node in nodes(made, "cell") if node.document.label == "label_solve"]
    with pytest.raises(UsageError, match="no cell can run: label_solve: = random"):
        planned(methods=["label_solve"], protocols=["hard-fixed"])


@pytest.mark.parametrize("protocol", ["native", "val"])
def test_where_labels_are_learned_it_is_a_row_like_any_other(protocol):
    made = planned(methods=["label_solve"], protocols=[protocol])
    assert all(entry.skip is None for entry in made.entries if entry.row == "label_solve")


def test_a_method_that_learns_images_too_is_trained_everywhere():
    made = planned(methods=[{"name": "kip", "params": {"learn_labels": True}}], protocols=["hard-fixed", "krr-fc1"])
    assert all(entry.skip is None for entry in made.entries)


LEARNED = {"name": "kip", "label": "kip learned", "params": {"learn_labels": True}}


def test_centred_labels_are_left_out_where_probabilities_are_learned_before_anything_is_condensed():
    made = planned(methods=["frepo", "label_solve", LEARNED, "kip", "ld"], protocols=["soft"])
    why = {entry.row: entry.skip for entry in made.entries}
    centred = {row for row, skip in why.items() if skip is not None}
    assert centred == {"frepo", "label_solve", "kip learned"}
    assert {why[row] for row in centred} == {
        "its labels are centred, so no probabilities: use native, or a protocol with hard labels"
    }
    condensed = {node.document.label for node in nodes(made, "cell")}
    assert condensed.isdisjoint(centred) and {"kip", "ld"} <= condensed
    native = planned(methods=["frepo"], protocols=["soft", "native"])
    assert "frepo" in {node.document.label for node in nodes(native, "cell")}


@pytest.mark.parametrize("centred", ["no", "learned", "unlearned"])
def test_imported_sets_stand_where_their_labels_can_be_learned(centred):
    params = {"sources": ["0" * 16], "n": 10, "centred": centred}
    made = planned(
        methods=[{"name": "imported", "label": "imported", "params": params}],
        protocols=["soft", "native", "hard-fixed"],
    )
    out = {entry.table.protocol for entry in made.entries if entry.row == "imported" and entry.skip is not None}
    assert out == {"no": set(), "learned": {"soft@1"}, "unlearned": {"soft@1", "native@2"}}[centred]
    recipes = [node.title for node in nodes(made, "evaluation") if "recipe of imported" in node.title]
    assert bool(recipes) == (centred != "unlearned")


def test_what_is_said_of_labels_enters_no_key():
    given = {"sources": ["0" * 16], "n": 10}
    for centred in ("no", "unlearned"):
        found = ImportedParams.model_validate({**given, "centred": centred})
        assert found.model_dump(mode="json") == given
        assert found.centred_labels == (centred != "no")
    for wrong in ("maybe", True, None):
        with pytest.raises(ValueError, match="'no', 'learned' or 'unlearned'"):
            ImportedParams.model_validate({**given, "centred": wrong})


# --------------------------------------------------------------------------------------------------------------- tables

RECORDS = (
    cell("full", [98.0] * 6)
    + cell("random", [40.0, 42.0, 44.0, 41.0, 43.0, 42.0])
    + cell("dm", [70.0, 71.0, 69.0, 70.0, 71.0, 69.0])
    + cell("dc", [60.0, 61.0, 59.0, 60.0, 61.0, 59.0])
)


def test_the_table_shows_the_row_with_the_text_in_its_cells_and_no_footnote():
    records = RECORDS + skipped("label_solve", SAME, repetitions=6, kind="selection")
    shown = render(tables_of(records), "table")
    (line,) = (line for line in shown.splitlines() if line.startswith("| label_solve"))
    assert line.split("|")[2].strip() == SAME
    assert "skipped" not in shown


def test_it_takes_no_part_in_ranks_and_verdicts_and_excludes_no_column_from_them():
    (plain,), (more,) = (
        rankings(tables_of(RECORDS + added)) for added in ([], skipped("label_solve", SAME, repetitions=6))
    )
    assert more == plain and plain.complete == 1 and "label_solve" not in more.left_out
    with_row, without = (
        tables_of(RECORDS + added)[0].families for added in ([], skipped("label_solve", SAME, repetitions=6))
    )
    assert with_row == without
    (other,) = rankings(tables_of(RECORDS + skipped("label_solve", "too many images", repetitions=6)))
    assert other.complete == 0, "any other skip of a method excludes its column"
